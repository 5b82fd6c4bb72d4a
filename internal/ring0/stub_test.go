package ring0

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/abi"
)

var testConfig = Config{
	Entry: 0x175360, End: 0x400000, Reserve: 1 << 20, Name: "hello",
	Segments: []Segment{{0x110000, 0x197000, MapRX}, {0x197000, 0x25e000, MapR}, {0x25e000, 0x294000, MapRW}},
}

// readMaps returns what the stub is told to map.
func readMaps(stub []byte) (maps []Segment) {
	le := binary.LittleEndian
	h := stub[headerAt:headerEnd]
	table := stub[le.Uint32(h[40:])-BootAddr:]
	for i := range le.Uint32(h[44:]) {
		m := table[24*i:]
		maps = append(maps, Segment{le.Uint64(m), le.Uint64(m[8:]), le.Uint64(m[16:])})
	}
	return maps
}

// The address space that the stub makes: no page is mapped twice, none is both
// writable and executable, and what is above ring 3 is out of its reach.
func TestStubMaps(t *testing.T) {
	stub, err := BootStub(testConfig)
	if err != nil {
		t.Fatal(err)
	}
	maps := readMaps(stub)
	if len(maps) != len(stubMaps())+len(testConfig.Segments) {
		t.Fatalf("%d maps", len(maps))
	}
	for i, m := range maps {
		if m.Start >= m.End || (m.Start|m.End)%abi.PageSize != 0 {
			t.Errorf("map %d is %+v", i, m)
		}
		if m.Rights&PTEWrite != 0 && m.Rights&PTENX == 0 {
			t.Errorf("%#x is writable and executable", m.Start)
		}
		system := m.Start >= abi.SystemAddr && m.Start < abi.SystemEnd || m.Start >= MemoryLimit
		if user := m.Rights&PTEUser != 0; user == system {
			t.Errorf("%#x: ring 3 has access: %v", m.Start, user)
		}
		for _, o := range maps[:i] {
			if m.Start < o.End && o.Start < m.End {
				t.Errorf("%#x is mapped twice", max(m.Start, o.Start))
			}
		}
	}
}

// What the stub copies lies in the guest's system pages, each piece where its
// readers look for it, and does not meet another.
func TestStubCopies(t *testing.T) {
	stub, err := BootStub(testConfig)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	h := stub[headerAt:headerEnd]
	table := stub[le.Uint32(h[32:])-BootAddr:]
	end := uint32(0)
	for i := range le.Uint32(h[36:]) {
		c := table[12*i:]
		from, to, n := le.Uint32(c)-BootAddr, le.Uint32(c[4:]), le.Uint32(c[8:])
		if !bytes.Equal(stub[from:from+n], stubCopies()[i].data) {
			t.Errorf("copy %d takes other bytes", i)
		}
		if to < max(end, abi.SystemAddr) || to+n > abi.SystemEnd {
			t.Errorf("copy %d goes to %#x, %d bytes", i, to, n)
		}
		end = to + n
	}
	if len(residentCode) > residentIs {
		t.Errorf("%d bytes of resident code", len(residentCode))
	}
	if string(bytes.TrimRight(h[80:], "\x00")) != "hello" {
		t.Errorf("name %q", h[80:])
	}
}

// The gates: services may be called from ring 3, interrupts may not.
func TestVirtioGates(t *testing.T) {
	var idt []byte
	for _, c := range stubCopies() {
		if c.addr == IDTAddr {
			idt = c.data
		}
	}
	le := binary.LittleEndian
	for v := range abi.VectorEnd {
		lo := le.Uint64(idt[16*v:])
		present, ring := lo>>47&1 == 1, lo>>45&3
		callable := v == 3 || v == 4 || v == abi.ServiceVector
		known := v < NumVectors || v == abi.ServiceVector || v == vectorSpurious || v >= abi.VectorTimer
		if present != known || present && (ring == 3) != callable {
			t.Errorf("gate %#x: present %v, ring %d", v, present, ring)
		}
	}
}

func TestStubRefuses(t *testing.T) {
	c := testConfig
	c.Name = strings.Repeat("x", MaxName+1)
	if _, err := BootStub(c); err == nil {
		t.Error("a name that is too long was taken")
	}
	c = testConfig
	c.Segments = make([]Segment, 1000)
	if _, err := BootStub(c); err == nil {
		t.Error("a stub that does not fit was made")
	}
}
