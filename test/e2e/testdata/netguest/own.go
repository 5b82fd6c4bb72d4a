package main

import (
	"fmt"
	"net"
	"syscall"
	"time"
)

func init() { register("own", own) }

// own says of each interface its multicast groups, and asks each of its addresses
// for an echo, by a raw socket and by a ping socket (icmp(7)).
func own([]string) {
	interfaces, err := net.Interfaces()
	check(err)
	for _, i := range interfaces {
		groups, err := i.MulticastAddrs()
		check(err)
		fmt.Println(i.Name, "listens to", groups)
		addrs, err := i.Addrs()
		check(err)
		for _, a := range addrs {
			ip := a.(*net.IPNet).IP
			for _, typ := range []int{syscall.SOCK_RAW, syscall.SOCK_DGRAM} {
				check(ping(ip, i.Index, typ))
			}
			fmt.Println(ip, "answers")
		}
	}
}

// ping sends an echo request (RFC 792, RFC 4443) and waits for its answer.
func ping(ip net.IP, index, typ int) error {
	family, proto, msg, reply := syscall.AF_INET6, syscall.IPPROTO_ICMPV6, []byte{128, 0, 0, 0, 0, 1, 0, 1}, byte(129)
	var to syscall.Sockaddr = &syscall.SockaddrInet6{Addr: [16]byte(ip.To16()), ZoneId: uint32(index)}
	if ip4 := ip.To4(); ip4 != nil {
		family, proto, msg, reply = syscall.AF_INET, syscall.IPPROTO_ICMP, []byte{8, 0, 0xf7, 0xfd, 0, 1, 0, 1}, 0
		to = &syscall.SockaddrInet4{Addr: [4]byte(ip4)}
	}
	fd, err := syscall.Socket(family, typ, proto)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 5}); err != nil {
		return err
	}
	if err := syscall.Sendto(fd, msg, 0, to); err != nil {
		return fmt.Errorf("send to %v: %w", ip, err)
	}
	for began := time.Now(); time.Since(began) < 5*time.Second; {
		b := make([]byte, 100)
		n, _, err := syscall.Recvfrom(fd, b, 0)
		if err != nil {
			return fmt.Errorf("answer of %v, socket type %d: %w", ip, typ, err)
		}
		b = b[:n]
		if family == syscall.AF_INET && typ == syscall.SOCK_RAW && n > 20 {
			b = b[20:] // the IP header
		}
		if len(b) >= 8 && b[0] == reply {
			return nil
		}
	}
	return fmt.Errorf("no answer of %v, socket type %d", ip, typ)
}
