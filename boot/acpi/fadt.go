package acpi

// Offsets in the FADT, section 5.2.9. Older tables are shorter.
const (
	fadtDSDT         = 40
	fadtPM1a         = 64
	fadtFlags        = 112
	fadtResetReg     = 116
	fadtResetValue   = 128
	fadtXDSDT        = 140
	fadtXPM1a        = 172
	fadtSleepControl = 244

	gasSize = 12

	flagResetReg   = 1 << 10
	flagHWReduced  = 1 << 20
	sleepEnable    = 1 << 13 // of PM1_CNT, section 4.8.3.2.1
	sleepType      = 10
	hwSleepEnable  = 1 << 5 // of SLEEP_CONTROL_REG, section 4.8.3.7
	hwSleepType    = 2
	spaceMemory    = 0 // of a generic address
	spaceIO        = 1
	maxSleepType   = 7
	amlName        = 0x08
	amlByte        = 0x0a
	amlWord        = 0x0b
	amlDWord       = 0x0c
	amlPackage     = 0x12
	pkgLengthBytes = 6 // bits from here on of the first byte say how many follow
)

// dsdtAddr returns the address of the DSDT.
func dsdtAddr(fadt []byte) uint64 {
	if len(fadt) >= fadtXDSDT+8 && le64(fadt[fadtXDSDT:]) != 0 {
		return le64(fadt[fadtXDSDT:])
	}
	if len(fadt) >= fadtDSDT+4 {
		return uint64(le32(fadt[fadtDSDT:]))
	}
	return 0
}

// generic reads a generic address structure, section 5.2.3.2.
func generic(b []byte, at int, width uint32) (w Write, ok bool) {
	if len(b) < at+gasSize {
		return w, false
	}
	w = Write{Addr: le64(b[at+4:]), Width: width}
	switch b[at] {
	case spaceIO:
		w.Kind = Port
		return w, w.Addr != 0 && w.Addr < 1<<16-4
	case spaceMemory:
		w.Kind = MMIO
		return w, w.Addr != 0
	}
	return w, false
}

// reset notes the reset register, section 4.8.3.6.
func (t *Tables) reset(fadt []byte) {
	if len(fadt) <= fadtResetValue || le32(fadt[fadtFlags:])&flagResetReg == 0 {
		return
	}
	if w, ok := generic(fadt, fadtResetReg, 1); ok {
		w.Value = uint32(fadt[fadtResetValue])
		t.Reset = w
	}
}

// powerOff notes how sleep state S5 is entered, sections 7.4.2 and 16.1.7. A
// second register, PM1b, is of machines that we do not run on.
func (t *Tables) powerOff(fadt, dsdt []byte) {
	typ, ok := s5(dsdt)
	if !ok || len(fadt) < fadtFlags+4 {
		return
	}
	if le32(fadt[fadtFlags:])&flagHWReduced != 0 {
		if w, ok := generic(fadt, fadtSleepControl, 1); ok {
			w.Value = typ<<hwSleepType | hwSleepEnable
			t.PowerOff = w
		}
		return
	}
	w, ok := generic(fadt, fadtXPM1a, 2)
	if !ok {
		w = Write{Kind: Port, Addr: uint64(le32(fadt[fadtPM1a:])), Width: 2}
	}
	if w.Addr != 0 && (w.Kind == MMIO || w.Addr < 1<<16-4) {
		w.Value = typ<<sleepType | sleepEnable
		t.PowerOff = w
	}
}

// s5 finds the sleep type of S5: Name (\_S5, Package () { type, ... }).
func s5(dsdt []byte) (uint32, bool) {
	for i := headerSize; i+8 <= len(dsdt); i++ {
		if string(dsdt[i:i+4]) != "_S5_" || dsdt[i+4] != amlPackage {
			continue
		}
		if dsdt[i-1] != amlName && (dsdt[i-1] != '\\' || dsdt[i-2] != amlName) {
			continue
		}
		body := i + 6 + int(dsdt[i+5]>>pkgLengthBytes) + 1 // behind the number of elements
		if v, ok := integer(dsdt, body); ok && v <= maxSleepType {
			return v, true
		}
	}
	return 0, false
}

// integer reads a constant of AML, section 20.2.3.
func integer(b []byte, at int) (uint32, bool) {
	if at >= len(b) {
		return 0, false
	}
	n := 0
	switch b[at] {
	case 0, 1:
		return uint32(b[at]), true
	case amlByte:
		n = 1
	case amlWord:
		n = 2
	case amlDWord:
		n = 4
	default:
		return 0, false
	}
	if at+1+n > len(b) {
		return 0, false
	}
	v := uint32(0)
	for i := range n {
		v |= uint32(b[at+1+i]) << (8 * i)
	}
	return v, true
}
