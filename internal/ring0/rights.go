package ring0

// Page table entry bits, AMD APM volume 2 section 5.4.
const (
	PTEPresent      = 1 << 0
	PTEWrite        = 1 << 1
	PTEUser         = 1 << 2 // ring 3 may use it
	pteWriteThrough = 1 << 3
	pteCacheDisable = 1 << 4
	pteAccessed     = 1 << 5
	pteDirty        = 1 << 6
	PTELarge        = 1 << 7 // in a page directory: a page of 2 MiB
	PTENX           = 1 << 63

	// PTETable is an entry that leads to a table. Accessed and dirty are set from
	// the start: the processor then never writes to the tables, which a hypervisor
	// that shadows them would trap.
	PTETable = PTEPresent | PTEWrite | PTEUser | pteAccessed
	pteLeaf  = PTEPresent | pteAccessed | pteDirty
)

// Rights of a mapping. The system ones are for ring 0 alone.
const (
	MapSystemRO = pteLeaf | PTENX
	MapSystemRW = pteLeaf | PTEWrite | PTENX
	MapSystemRX = pteLeaf
	MapRX       = pteLeaf | PTEUser
	MapR        = pteLeaf | PTEUser | PTENX
	MapRW       = pteLeaf | PTEUser | PTEWrite | PTENX

	uncached        = pteCacheDisable | pteWriteThrough
	mapDevice       = MapRW | uncached
	mapSystemDevice = MapSystemRW | uncached
)

// Rights returns the rights of a part of the image for ring 3.
func Rights(write, exec bool) uint64 {
	switch {
	case exec:
		return MapRX
	case write:
		return MapRW
	}
	return MapR
}
