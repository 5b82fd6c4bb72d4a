package disk

import (
	"debug/pe"
	"encoding/binary"

	"github.com/tailor-os/tailor/internal/disk/loader"
)

// A UEFI application is a PE32+ file (UEFI 2.10, section 2.1.1; Microsoft's PE
// format). Ours has the loader's code, its data, an empty table of relocations,
// because some firmware moves no image without one, and the program.
const (
	peAlign    = block // of sections in the file, so that the second stage can read the program
	pageSize   = 4096  // of sections in memory
	relocRVA   = loader.DataRVA + loader.DataBytes
	payloadRVA = relocRVA + pageSize
)

// Section characteristics.
const (
	peCode    = pe.IMAGE_SCN_CNT_CODE | pe.IMAGE_SCN_MEM_EXECUTE | pe.IMAGE_SCN_MEM_READ
	peZero    = pe.IMAGE_SCN_CNT_UNINITIALIZED_DATA | pe.IMAGE_SCN_MEM_READ | pe.IMAGE_SCN_MEM_WRITE
	peData    = pe.IMAGE_SCN_CNT_INITIALIZED_DATA | pe.IMAGE_SCN_MEM_READ
	peDiscard = peData | pe.IMAGE_SCN_MEM_DISCARDABLE
)

// makeEFI returns the application and where in it the program is.
func makeEFI(k *kernel) (file []byte, payload int64) {
	// A block of relocations that are none (type 0), for page 0.
	reloc := []byte{0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0}
	text := loader.UEFI(k.program(), payloadRVA)
	sections := []struct {
		name  string
		rva   uint32
		size  uint32
		flags uint32
		data  []byte
	}{
		{".text", loader.TextRVA, uint32(len(text)), peCode, text},
		{".data", loader.DataRVA, loader.DataBytes, peZero, nil},
		{".reloc", relocRVA, uint32(len(reloc)), peDiscard, reloc},
		{".tailor", payloadRVA, uint32(len(k.data)), peData, k.data},
	}
	headers := make([]pe.SectionHeader32, len(sections))
	at := uint32(peAlign)
	for i, s := range sections {
		raw := alignUp(uint32(len(s.data)), peAlign)
		headers[i] = pe.SectionHeader32{VirtualSize: s.size, VirtualAddress: s.rva, SizeOfRawData: raw, Characteristics: s.flags}
		copy(headers[i].Name[:], s.name)
		if raw > 0 {
			headers[i].PointerToRawData = at
		}
		at += raw
	}
	file = make([]byte, at)
	writePEHeaders(file, headers, uint32(len(k.data)), uint32(len(reloc)))
	for i, s := range sections {
		copy(file[headers[i].PointerToRawData:], s.data)
	}
	return file, int64(headers[len(headers)-1].PointerToRawData)
}

// writePEHeaders fills in the first block of file. It has room for all.
func writePEHeaders(file []byte, sections []pe.SectionHeader32, payload, reloc uint32) {
	const dosBytes, efiApplication, nxCompatible = 0x40, 10, 0x100
	copy(file, "MZ")
	file[0x3c] = dosBytes
	optional := pe.OptionalHeader64{
		Magic: 0x20b, SizeOfCode: loader.DataRVA - loader.TextRVA,
		SizeOfInitializedData: payload + peAlign, SizeOfUninitializedData: loader.DataBytes,
		AddressOfEntryPoint: loader.TextRVA, BaseOfCode: loader.TextRVA,
		SectionAlignment: pageSize, FileAlignment: peAlign,
		SizeOfImage: alignUp(payloadRVA+payload, pageSize), SizeOfHeaders: peAlign,
		Subsystem: efiApplication, DllCharacteristics: nxCompatible, NumberOfRvaAndSizes: 16,
	}
	optional.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_BASERELOC] = pe.DataDirectory{VirtualAddress: relocRVA, Size: reloc}
	file2 := pe.FileHeader{
		Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: uint16(len(sections)),
		SizeOfOptionalHeader: uint16(binary.Size(optional)),
		Characteristics:      pe.IMAGE_FILE_EXECUTABLE_IMAGE | pe.IMAGE_FILE_LARGE_ADDRESS_AWARE,
	}
	b := append(file[:dosBytes], "PE\x00\x00"...)
	b = appendLE(b, file2)
	b = appendLE(b, optional)
	appendLE(b, sections)
}

// appendLE appends v in little-endian, whose size is fixed: it cannot fail.
func appendLE(b []byte, v any) []byte {
	b, _ = binary.Append(b, binary.LittleEndian, v)
	return b
}

func alignUp(n, align uint32) uint32 { return (n + align - 1) / align * align }
