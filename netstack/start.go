package netstack

import (
	"errors"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Start attaches network cards, dev as eth0, and configures them from the boot
// parameters (see [ParseParams]); a nil device is left out, so that without any
// it only checks them. It is called once, before the program runs.
func (s *Stack) Start(dev Device, words string, more ...Device) error {
	c, err := ParseParams(words)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cards) > 0 {
		return errors.New("netstack: started twice")
	}
	s.config = c
	if err := s.config.possible(); err != nil {
		return err
	}
	for n := range c.Cards {
		if n > 0 {
			dev = nil
		}
		if n > 0 && n <= len(more) {
			dev = more[n-1]
		}
		if dev != nil {
			if err := s.addCard(n, dev); err != nil {
				return err
			}
		} else if given := c.Cards[n].given(); given != "" {
			err = errors.New("the machine has no network device " + cardName(n) + ", or none that can be used, for the address given by " + given)
		}
	}
	if e := s.run(); e != nil {
		return e
	}
	return err
}

// possible refuses what the program was not built for.
func (c *Config) possible() error {
	if startDHCP != nil {
		return nil
	}
	for n := range c.Cards {
		if c.Cards[n].DHCP {
			return errors.New("boot parameter ip=dhcp: the program was built without a DHCP client; rebuild it with: tailor build --dhcp")
		}
	}
	if c.Temporary {
		return errors.New("boot parameter ip6-privacy=temporary: the program was built to find no addresses; rebuild it with: tailor build --dhcp")
	}
	return nil
}

// addCard makes a card an interface, with the addresses that it is given.
func (s *Stack) addCard(n int, dev Device) error {
	c := &card{s: s, nic: ethernetNIC + tcpip.NICID(n), name: cardName(n), config: s.config.Cards[n]}
	c.link = newLink(dev, c.mtu(dev))
	if err := s.ip.CreateNICWithOptions(c.nic, c.link, stack.NICOptions{Name: c.name, Disabled: c.finds()}); err != nil {
		return stackError("create "+c.name, err)
	}
	s.cards = append(s.cards, c)
	return c.configure()
}

// run makes the cards receive, and has addresses found for those without.
func (s *Stack) run() error {
	if len(s.cards) == 0 {
		return nil
	}
	holdBehind(s.backlog)
	for _, c := range s.cards {
		if err := c.link.dev.Run(c.link.receive); err != nil {
			return err
		}
		if watchStatic != nil {
			watchStatic(c)
		}
	}
	if startDHCP != nil {
		return startDHCP(s)
	}
	return nil
}

// backlog returns the longest queue before a card.
func (s *Stack) backlog() (n int) {
	for _, c := range s.cards {
		n = max(n, c.link.dev.Backlog())
	}
	return n
}

// Config returns what [Stack.Start] was told.
func (s *Stack) Config() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

// The multicast networks, 224.0.0.0/4 and ff00::/8.
var (
	ipv4Multicast = subnet(tcpip.AddrFrom4([4]byte{0: 224}), 4)
	ipv6Multicast = subnet(tcpip.AddrFrom16([16]byte{0: 0xff}), 8)
)

func subnet(a tcpip.Address, bits int) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: a, PrefixLen: bits}.Subnet()
}

// isLoopback reports whether an address is in 127.0.0.0/8 or ::1.
func isLoopback(a tcpip.Address) bool {
	return header.IsV4LoopbackAddress(a) || a == header.IPv6Loopback
}
