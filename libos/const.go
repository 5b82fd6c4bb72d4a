package libos

// Flags of open and fcntl (include/uapi/asm-generic/fcntl.h).
const (
	oRDONLY   = 0
	oWRONLY   = 1
	oRDWR     = 2
	oACCMODE  = 3
	oCREAT    = 0x40
	oEXCL     = 0x80
	oNOCTTY   = 0x100
	oTRUNC    = 0x200
	oAPPEND   = 0x400
	oNONBLOCK = 0x800
	oASYNC    = 0x2000
	oNOATIME  = 0x40000
	oCLOEXEC  = 0x80000
	oPATH     = 0x200000
	oTMPFILE  = 0x400000

	atFDCWD           = -100
	atSymlinkNofollow = 0x100
	atRemovedir       = 0x200
	atEaccess         = 0x200
	atSymlinkFollow   = 0x400
	atNoAutomount     = 0x800
	atEmptyPath       = 0x1000
)

// File types and bits of a mode (include/uapi/linux/stat.h).
const (
	ModeFmt    = 0o170000
	ModeSocket = 0o140000
	ModeLink   = 0o120000
	ModeReg    = 0o100000
	ModeBlock  = 0o060000
	ModeDir    = 0o040000
	ModeChar   = 0o020000
	ModeFIFO   = 0o010000

	modeSetUID  = 0o4000
	modeSetGID  = 0o2000
	modeGrpExec = 0o010
	modeAnyExec = 0o111
	modePerm    = 0o7777
)

const (
	maxName  = 255  // bytes of one name (NAME_MAX)
	maxLinks = 40   // symbolic links followed in one path (MAXSYMLINKS)
	maxIOV   = 1024 // parts of one readv or writev (UIO_MAXIOV)
	pageSize = 4096 // bytes, the unit of mmap
	maxInt64 = 1<<63 - 1
)
