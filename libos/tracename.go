package libos

// A flagName is a value and the name that a trace shows for it.
type flagName struct {
	value uintptr
	name  string
}

// Values are one of a list, flags any of one; the first of flags are those that
// a mask chooses.
var (
	openNames = []flagName{
		{oCREAT, "O_CREAT"}, {oEXCL, "O_EXCL"}, {oNOCTTY, "O_NOCTTY"}, {oTRUNC, "O_TRUNC"},
		{oAPPEND, "O_APPEND"}, {oNONBLOCK, "O_NONBLOCK"}, {0x101000, "O_SYNC"}, {0x1000, "O_DSYNC"},
		{oDIRECT, "O_DIRECT"}, {oLARGEFILE, "O_LARGEFILE"}, {oTMPFILE | oDIRECTORY, "O_TMPFILE"},
		{oDIRECTORY, "O_DIRECTORY"}, {oNOFOLLOW, "O_NOFOLLOW"}, {oNOATIME, "O_NOATIME"},
		{oCLOEXEC, "O_CLOEXEC"}, {oPATH, "O_PATH"},
	}
	accessNames = []flagName{{0, "O_RDONLY"}, {1, "O_WRONLY"}, {2, "O_RDWR"}}
	whenceNames = []flagName{{0, "SEEK_SET"}, {1, "SEEK_CUR"}, {2, "SEEK_END"}, {3, "SEEK_DATA"}, {4, "SEEK_HOLE"}}
	clockNames  = []flagName{
		{clockRealtime, "CLOCK_REALTIME"}, {clockMonotonic, "CLOCK_MONOTONIC"},
		{clockProcessCPU, "CLOCK_PROCESS_CPUTIME_ID"}, {clockThreadCPU, "CLOCK_THREAD_CPUTIME_ID"},
		{clockBoottime, "CLOCK_BOOTTIME"},
	}
	domainNames = []flagName{{afUnix, "AF_UNIX"}, {2, "AF_INET"}, {10, "AF_INET6"}, {16, "AF_NETLINK"}, {17, "AF_PACKET"}}
	typeNames   = []flagName{
		{sockStream, "SOCK_STREAM"}, {sockDgram, "SOCK_DGRAM"}, {sockRaw, "SOCK_RAW"}, {sockSeqpacket, "SOCK_SEQPACKET"},
	}
	typeFlags  = []flagName{{sockNonbl, "SOCK_NONBLOCK"}, {sockCloexec, "SOCK_CLOEXEC"}}
	protNames  = []flagName{{protRead, "PROT_READ"}, {protWrite, "PROT_WRITE"}, {protExec, "PROT_EXEC"}}
	mapNames   = []flagName{{mapTheFile, "MAP_SHARED"}, {mapPrivate, "MAP_PRIVATE"}, {mapValidate, "MAP_SHARED_VALIDATE"}}
	mapFlags   = []flagName{{mapFixed, "MAP_FIXED"}, {mapAnonymous, "MAP_ANONYMOUS"}, {0x8000, "MAP_POPULATE"}, {0x4000, "MAP_NORESERVE"}}
	epollNames = []flagName{{epollAdd, "EPOLL_CTL_ADD"}, {epollDel, "EPOLL_CTL_DEL"}, {epollMod, "EPOLL_CTL_MOD"}}
	fcntlNames = []flagName{
		{fDUPFD, "F_DUPFD"}, {fGETFD, "F_GETFD"}, {fSETFD, "F_SETFD"}, {fGETFL, "F_GETFL"}, {fSETFL, "F_SETFL"},
		{fGETLK, "F_GETLK"}, {fSETLK, "F_SETLK"}, {fSETLKW, "F_SETLKW"}, {fOFDGETLK, "F_OFD_GETLK"},
		{fOFDSETLK, "F_OFD_SETLK"}, {fOFDSETLKW, "F_OFD_SETLKW"}, {fDUPFDCLOEXEC, "F_DUPFD_CLOEXEC"},
	}
)

// traceNamed shows a value by name: one of a list, flags, or both. "" is an
// argument of a kind that is left out.
func traceNamed(kind byte, v uintptr) string {
	switch kind {
	case 'o':
		return joinNames(oneOf(accessNames, v&oACCMODE), v&^oACCMODE, openNames)
	case 'O':
		return joinNames("", v, openNames)
	case 'w':
		return oneOf(whenceNames, v)
	case 'c':
		return oneOf(clockNames, v)
	case 'k':
		return oneOf(fcntlNames, v)
	case 'e':
		return oneOf(epollNames, v)
	case 'D':
		return oneOf(domainNames, v)
	case 'T':
		name := ""
		if v&sockTypes != 0 {
			name = oneOf(typeNames, v&sockTypes)
		}
		return joinNames(name, v&^sockTypes, typeFlags)
	case 'P':
		return joinNames("", v, protNames)
	case 'F':
		return joinNames(oneOf(mapNames, v&mapTypes), v&^mapTypes, mapFlags)
	}
	return ""
}

func oneOf(list []flagName, v uintptr) string {
	for _, f := range list {
		if f.value == v {
			return f.name
		}
	}
	return decimal(int64(int32(v)))
}

// joinNames appends the names of the flags in v to first.
func joinNames(first string, v uintptr, list []flagName) string {
	v &= 1<<32 - 1
	for _, f := range list {
		if v&f.value == f.value {
			v &^= f.value
			first = bar(first, f.name)
		}
	}
	if v != 0 || first == "" {
		if v == 0 {
			return "0"
		}
		first = bar(first, hex(uint64(v)))
	}
	return first
}

func bar(a, b string) string {
	if a == "" {
		return b
	}
	return a + "|" + b
}
