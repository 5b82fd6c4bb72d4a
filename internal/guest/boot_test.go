package guest

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/abi"
)

func TestWriteStack(t *testing.T) {
	mem := make([]byte, abi.StackHigh)
	cfg := &Config{Args: []string{"prog", "", "two words"}, Env: []string{"A=b"}}
	sp, err := WriteStack(mem, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if sp%16 != 0 {
		t.Errorf("stack pointer %#x is not aligned", sp)
	}
	word := func(i uint64) uint64 { return binary.LittleEndian.Uint64(mem[sp+8*i:]) }
	str := func(addr uint64) string { s, _, _ := strings.Cut(string(mem[addr:]), "\x00"); return s }
	if word(0) != 3 || str(word(1)) != "prog" || str(word(2)) != "" || str(word(3)) != "two words" || word(4) != 0 {
		t.Error("argv is wrong")
	}
	if str(word(5)) != "A=b" || word(6) != 0 {
		t.Error("envp is wrong")
	}
	aux := map[uint64]uint64{}
	for i := uint64(7); word(i) != auxNull; i += 2 {
		aux[word(i)] = word(i + 1)
	}
	if aux[auxPagesz] != 4096 || aux[auxRandom] < sp || aux[auxRandom] > abi.StackHigh-16 {
		t.Errorf("auxiliary vector %v", aux)
	}
	cfg.Env = []string{strings.Repeat("x", abi.MaxArgBytes)}
	if _, err := WriteStack(mem, cfg); err == nil {
		t.Error("an environment that is too large was taken")
	}
	cfg.Env = make([]string, abi.MaxArgBytes/9)
	if sp, err := WriteStack(mem, cfg); err == nil && sp < abi.StackLow+64<<10 {
		t.Errorf("stack pointer %#x leaves no stack", sp)
	}
}

func TestBootParametersTooLong(t *testing.T) {
	m, err := NewMemory(4<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cfg := &Config{Params: strings.Repeat("a", abi.BootEnd-abi.BootAddr)}
	if err := WriteBootInfo(m, cfg, nil, 1, 1, 0); err == nil {
		t.Error("parameters that do not fit were taken")
	}
	cfg.Params = "ip=192.0.2.1/24"
	if err := WriteBootInfo(m, cfg, make([]abi.Device, 3), 1, 1, abi.BootProcess); err != nil {
		t.Error(err)
	}
	info := At[abi.BootInfo](m, abi.BootAddr)
	if got := string(m.Mem[info.Params : info.Params+info.ParamsLen]); got != cfg.Params || info.NumDevices != 3 || info.Magic != abi.BootMagic || info.Flags != abi.BootInterrupts|abi.BootProcess {
		t.Errorf("boot info %+v, parameters %q", info, got)
	}
}
