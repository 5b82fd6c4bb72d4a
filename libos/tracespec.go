package libos

// errnoNames are the names that a trace shows.
var errnoNames = [...]struct {
	errno Errno
	name  string
}{
	{EPERM, "EPERM"}, {ENOENT, "ENOENT"}, {ESRCH, "ESRCH"}, {EINTR, "EINTR"}, {EIO, "EIO"},
	{ENXIO, "ENXIO"}, {EBADF, "EBADF"}, {ECHILD, "ECHILD"}, {EAGAIN, "EAGAIN"}, {ENOMEM, "ENOMEM"},
	{EACCES, "EACCES"}, {EFAULT, "EFAULT"}, {EBUSY, "EBUSY"}, {EEXIST, "EEXIST"}, {EXDEV, "EXDEV"},
	{ENODEV, "ENODEV"}, {ENOTDIR, "ENOTDIR"}, {EISDIR, "EISDIR"}, {EINVAL, "EINVAL"},
	{ENFILE, "ENFILE"}, {EMFILE, "EMFILE"}, {ENOTTY, "ENOTTY"}, {ETXTBSY, "ETXTBSY"},
	{EFBIG, "EFBIG"}, {ENOSPC, "ENOSPC"}, {ESPIPE, "ESPIPE"}, {EROFS, "EROFS"}, {EMLINK, "EMLINK"},
	{EPIPE, "EPIPE"}, {ERANGE, "ERANGE"}, {ENAMETOOLONG, "ENAMETOOLONG"}, {ENOSYS, "ENOSYS"},
	{ENOTEMPTY, "ENOTEMPTY"}, {ELOOP, "ELOOP"}, {ENODATA, "ENODATA"}, {EOVERFLOW, "EOVERFLOW"},
	{ENOTSOCK, "ENOTSOCK"}, {EDESTADDRREQ, "EDESTADDRREQ"}, {EMSGSIZE, "EMSGSIZE"},
	{EPROTOTYPE, "EPROTOTYPE"}, {ENOPROTOOPT, "ENOPROTOOPT"}, {EPROTONOSUPPORT, "EPROTONOSUPPORT"},
	{ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT"}, {EOPNOTSUPP, "EOPNOTSUPP"}, {EAFNOSUPPORT, "EAFNOSUPPORT"},
	{EADDRINUSE, "EADDRINUSE"}, {EADDRNOTAVAIL, "EADDRNOTAVAIL"}, {ENETDOWN, "ENETDOWN"},
	{ENETUNREACH, "ENETUNREACH"}, {ECONNABORTED, "ECONNABORTED"}, {ECONNRESET, "ECONNRESET"},
	{ENOBUFS, "ENOBUFS"}, {EISCONN, "EISCONN"}, {ENOTCONN, "ENOTCONN"},
	{ETOOMANYREFS, "ETOOMANYREFS"}, {ETIMEDOUT, "ETIMEDOUT"}, {ECONNREFUSED, "ECONNREFUSED"},
	{EHOSTDOWN, "EHOSTDOWN"}, {EHOSTUNREACH, "EHOSTUNREACH"}, {EALREADY, "EALREADY"},
	{EINPROGRESS, "EINPROGRESS"},
}

// traceSpecs say how the arguments of a call are shown, one letter each: see
// traceArg. A call that is not here is shown with its first three in hexadecimal.
var traceSpecs = [...]struct {
	num  uint16
	spec string
}{
	{nr_read, "f-n"}, {nr_write, "f-n"}, {nr_close, "f"}, {nr_dup, "f"}, {nr_dup2, "ff"},
	{nr_dup3, "ffO"}, {nr_fcntl, "fkx"}, {nr_fsync, "f"}, {nr_fdatasync, "f"}, {nr_sync, ""},
	{nr_sendfile, "ff-n"}, {nr_copy_file_range, "f-f-nx"}, {nr_splice, "f-f-nx"}, {nr_fstat, "f-"},
	{nr_getpid, ""}, {nr_getppid, ""}, {nr_gettid, ""}, {nr_getuid, ""}, {nr_geteuid, ""},
	{nr_getgid, ""}, {nr_getegid, ""}, {nr_getgroups, "i-"}, {nr_uname, "-"}, {nr_prlimit64, "ii"},
	{nr_getrusage, "i"}, {nr_sched_yield, ""}, {nr_clock_gettime, "c"}, {nr_nanosleep, "t"},
	{nr_getrandom, "-nx"}, {nr_mlock, "xn"}, {nr_munlock, "xn"}, {nr_kill, "ii"}, {nr_tgkill, "iii"},
	{nr_rt_sigaction, "i"}, {nr_rt_sigprocmask, "i"}, {nr_sigaltstack, ""}, {nr_wait4, "i"},
	{nr_waitid, "ii"}, {nr_exit, "i"}, {nr_exit_group, "i"}, {nr_lseek, "fiw"}, {nr_pread64, "f-ni"},
	{nr_pwrite64, "f-ni"}, {nr_ftruncate, "fi"}, {nr_fchmod, "fm"}, {nr_fchown, "fii"},
	{nr_fchdir, "f"}, {nr_getdents64, "f-n"}, {nr_getcwd, "-n"}, {nr_socket, "DTi"},
	{nr_socketpair, "DTiv"}, {nr_bind, "fs"}, {nr_connect, "fs"}, {nr_listen, "fi"},
	{nr_accept, "fS"}, {nr_accept4, "fS-T"}, {nr_getsockname, "fS"}, {nr_getpeername, "fS"},
	{nr_shutdown, "fi"}, {nr_setsockopt, "fii"}, {nr_getsockopt, "fii"}, {nr_sendto, "f-nxs"},
	{nr_recvfrom, "f-nx"}, {nr_sendmsg, "f-x"}, {nr_recvmsg, "f-x"}, {nr_sendmmsg, "f-nx"},
	{nr_recvmmsg, "f-nx"}, {nr_flock, "fx"}, {nr_open, "poM"}, {nr_openat, "dpoM"}, {nr_creat, "pm"},
	{nr_mkdir, "pm"}, {nr_mkdirat, "dpm"}, {nr_mknod, "pm"}, {nr_mknodat, "dpm"}, {nr_symlink, "pp"},
	{nr_symlinkat, "pdp"}, {nr_link, "pp"}, {nr_linkat, "dpdpx"}, {nr_unlink, "p"},
	{nr_unlinkat, "dpx"}, {nr_rmdir, "p"}, {nr_rename, "pp"}, {nr_renameat, "dpdp"},
	{nr_renameat2, "dpdpx"}, {nr_readlink, "p-n"}, {nr_readlinkat, "dp-n"}, {nr_chdir, "p"},
	{nr_umask, "m"}, {nr_stat, "p"}, {nr_lstat, "p"}, {nr_newfstatat, "dp-x"}, {nr_statfs, "p"},
	{nr_fstatfs, "f"}, {nr_access, "pm"}, {nr_faccessat, "dpm"}, {nr_faccessat2, "dpmx"},
	{nr_chmod, "pm"}, {nr_fchmodat, "dpm"}, {nr_fchmodat2, "dpmx"}, {nr_chown, "pii"},
	{nr_lchown, "pii"}, {nr_fchownat, "dpiix"}, {nr_truncate, "pi"}, {nr_fallocate, "fxii"},
	{nr_utimensat, "dp-x"}, {nr_utimes, "p"}, {nr_utime, "p"}, {nr_futimesat, "dp"}, {nr_pipe, "v"},
	{nr_pipe2, "vO"}, {nr_mmap, "xnPFfx"}, {nr_munmap, "xn"}, {nr_mprotect, "xnP"},
	{nr_madvise, "xni"}, {nr_msync, "xnx"}, {nr_mincore, "xn"}, {nr_mremap, "xnnx"},
	{nr_readv, "f-n"}, {nr_writev, "f-n"}, {nr_preadv, "f-ni"}, {nr_pwritev, "f-ni"},
	{nr_preadv2, "f-nixx"}, {nr_pwritev2, "f-nixx"}, {nr_close_range, "iix"}, {nr_ioctl, "fx"},
	{nr_eventfd, "i"}, {nr_eventfd2, "iO"}, {nr_poll, "-ni"}, {nr_ppoll, "-n"}, {nr_select, "i"},
	{nr_pselect6, "i"}, {nr_epoll_create, "i"}, {nr_epoll_create1, "O"}, {nr_epoll_ctl, "fef"},
	{nr_epoll_wait, "f-ni"}, {nr_epoll_pwait, "f-ni"}, {nr_epoll_pwait2, "f-n"}, {nr_openat2, "dp"},
	{nr_statx, "dpx"}, {nr_memfd_create, "px"}, {nr_prctl, "ix"}, {nr_sethostname, "-n"},
	{nr_getrlimit, "i"}, {nr_setrlimit, "i"}, {nr_sysinfo, ""}, {nr_times, ""},
	{nr_sched_getaffinity, "in"}, {nr_clock_getres, "c"}, {nr_clock_nanosleep, "cxt"}, {nr_time, ""},
	{nr_tkill, "ii"}, {nr_getpgid, "i"}, {nr_getsid, "i"},
	{nr_gettimeofday, ""}, {nr_setuid, "i"}, {nr_setgid, "i"}, {nr_setpgid, "ii"}, {nr_getpgrp, ""}, {nr_setsid, ""}, {nr_setreuid, "ii"},
	{nr_setregid, "ii"}, {nr_setgroups, "i"}, {nr_setresuid, "iii"}, {nr_getresuid, ""}, {nr_setresgid, "iii"}, {nr_getresgid, ""}, {nr_setfsuid, "i"}, {nr_setfsgid, "i"}, {nr_capget, ""},
	{nr_mlockall, "x"}, {nr_munlockall, ""}, {nr_readahead, "fin"}, {nr_fadvise64, "fini"}, {nr_tee, "ffnx"}, {nr_vmsplice, "f-nx"}, {nr_syncfs, "f"}, {nr_getcpu, ""}, {nr_mlock2, "xnx"},
	{nr_getpriority, "ii"}, {nr_setpriority, "iii"}, {nr_personality, "x"}, {nr_sched_getscheduler, "i"},
	{nr_sched_get_priority_max, "i"}, {nr_sched_get_priority_min, "i"}, {nr_sched_setaffinity, "in"},
	{nr_sync_file_range, "fiix"}, {nr_set_robust_list, "xn"},
}

func traceSpec(num uintptr) string {
	for i := range traceSpecs {
		if uintptr(traceSpecs[i].num) == num {
			return traceSpecs[i].spec
		}
	}
	return "xxx"
}

// isOutput reports whether an argument is read after the call.
func isOutput(kind byte) bool { return kind == 'v' || kind == 'S' }

// traceArg shows argument n, "" for one that is left out.
func traceArg(kind byte, a *args, n int) string {
	v := a.i[n]
	switch kind {
	case 'f', 'i', 'n':
		return traceInt(kind, v)
	case 'd':
		if int32(v) == atFDCWD {
			return "AT_FDCWD"
		}
		return decimal(int64(int32(v)))
	case 'm':
		return "0" + digits(uint64(uint32(v)), 8)
	case 'M': // the mode of open, which O_CREAT needs
		if a.i[n-1]&oCREAT == 0 {
			return ""
		}
		return "0" + digits(uint64(uint32(v)), 8)
	case 'p':
		return tracePath(a, n)
	case 's', 'S':
		return traceSockaddr(kind, a, n)
	case 'v':
		return tracePair(a, n)
	case 't':
		return traceTime(a, n)
	case 'x':
		return hex(uint64(v))
	}
	return traceNamed(kind, v)
}

// traceInt shows a descriptor (f), a signed (i) or an unsigned number (n).
func traceInt(kind byte, v uintptr) string {
	switch {
	case kind == 'f':
		return decimal(int64(int32(v)))
	case kind == 'i' && v == uintptr(uint32(v)):
		return decimal(int64(int32(v)))
	case kind == 'i':
		return decimal(int64(v))
	}
	return digits(uint64(v), 10)
}

func tracePath(a *args, n int) string {
	s, errno := a.path(n)
	if errno != 0 {
		return hex(uint64(a.i[n]))
	}
	return quote(s)
}

// tracePair shows the two descriptors that pipe and socketpair give.
func tracePair(a *args, n int) string {
	p, errno := load[[2]int32](a.p[n])
	if errno != 0 {
		return hex(uint64(a.i[n]))
	}
	return "[" + decimal(int64(p[0])) + ", " + decimal(int64(p[1])) + "]"
}

func traceTime(a *args, n int) string {
	t, errno := load[Time](a.p[n])
	if errno != 0 {
		return hex(uint64(a.i[n]))
	}
	return decimal(t.Sec) + "." + digits(uint64(t.Nsec), 10) + "s"
}

// traceSockaddr shows an address given, whose length is the next argument, or
// one that the call gave (S), whose length that leads to.
func traceSockaddr(kind byte, a *args, n int) string {
	if a.i[n] == 0 {
		return "NULL"
	}
	size := a.i[n+1]
	if kind == 'S' {
		v, errno := lengthAt(a.p[n+1])
		if errno != 0 {
			return hex(uint64(a.i[n]))
		}
		size = uintptr(min(v, maxSockaddr))
	}
	b, errno := sockaddr(a.p[n], size)
	if errno != 0 || len(b) < 2 {
		return hex(uint64(a.i[n]))
	}
	return showSockaddr(b)
}

func showSockaddr(b []byte) string {
	port := func() string { return decimal(int64(b[2])<<8 | int64(b[3])) }
	switch family := b[0]; {
	case family == afUnix && len(b) == 2:
		return "unix"
	case family == afUnix && b[2] == 0:
		return "unix:@" + quote(string(b[3:]))
	case family == afUnix:
		path, _ := cut(string(b[2:]), 0)
		return "unix:" + quote(path)
	case family == 2 && len(b) >= 8:
		s := ""
		for i, v := range b[4:8] {
			if i > 0 {
				s += "."
			}
			s += decimal(int64(v))
		}
		return s + ":" + port()
	case family == 10 && len(b) >= 24:
		s := "["
		for i := 8; i < 24; i += 2 {
			if i > 8 {
				s += ":"
			}
			s += digits(uint64(b[i])<<8|uint64(b[i+1]), 16)
		}
		return s + "]:" + port()
	}
	return "family " + decimal(int64(b[0])) + ", " + decimal(int64(len(b))) + " bytes"
}
