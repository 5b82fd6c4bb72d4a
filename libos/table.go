package libos

import "sync"

// Pointer masks: bit n for argument n.
const (
	ptr0 = 1 << iota
	ptr1
	ptr2
	ptr3
	ptr4
	ptr5
)

// table is the calls in use, by number. One that is not there fails with
// ENOSYS. Of fcntl, ioctl and prctl the command decides what is a pointer: see
// pointerMask.
var table [maxCall + 1]call

// The calls come in groups, so that an image holds those that its program can
// reach: a group is linked by the function that takes it into use, and package
// syscall calls that where a program comes to such calls (see docs/port.md).
// The base group is always there. A program that makes system calls without
// package syscall's functions has all groups.

// A listed call is a call with its number. One with pointers is listed even
// when it is not carried out here.
type listed struct {
	num  uint16
	ptrs uint8
	fn   func(a args) (uintptr, Errno)
}

// install takes a group into use, over the base group: init functions of other
// files, which may run first, do so too.
func install(group []listed) {
	baseOnce.Do(func() { enlist(baseCalls) })
	enlist(group)
}

func enlist(group []listed) {
	for _, c := range group {
		table[c.num] = call{ptrs: c.ptrs, fn: c.fn}
	}
}

var baseOnce sync.Once

func init() { install(nil) }

// baseCalls are what package os needs of the standard descriptors, and what the
// standard library asks without being asked.
var baseCalls = []listed{
	// Descriptors.
	{nr_read, ptr1, sysRead},
	{nr_write, ptr1, sysWrite},
	{nr_close, 0, sysClose},
	{nr_dup, 0, sysDup},
	{nr_dup2, 0, sysDup2},
	{nr_dup3, 0, sysDup3},
	{nr_fcntl, 0, sysFcntl},
	{nr_fsync, 0, sysFsync},
	{nr_fdatasync, 0, sysFsync},
	{nr_sync, 0, sysSync},

	// Copying, which Go does itself when it is refused.
	{nr_sendfile, ptr2, notSupported},
	{nr_copy_file_range, ptr1 | ptr3, notSupported},
	{nr_splice, ptr1 | ptr3, notSupported},

	// What a descriptor is.
	{nr_fstat, ptr1, sysFstat},

	// The process and the machine.
	{nr_getpid, 0, sysGetpid},
	{nr_getppid, 0, returnZero},
	{nr_gettid, 0, sysGettid},
	{nr_getuid, 0, returnZero},
	{nr_geteuid, 0, returnZero},
	{nr_getgid, 0, returnZero},
	{nr_getegid, 0, returnZero},
	{nr_getgroups, ptr1, returnZero},
	{nr_uname, ptr0, sysUname},
	{nr_prlimit64, ptr2 | ptr3, sysPrlimit},
	{nr_getrusage, ptr1, sysGetrusage},
	{nr_sched_yield, 0, sysYield},
	{nr_clock_gettime, ptr1, sysClockGettime},
	{nr_nanosleep, ptr0 | ptr1, sysNanosleep},
	{nr_getrandom, ptr0, sysGetrandom},
	{nr_mlock, 0, nothing},
	{nr_munlock, 0, nothing},
	{nr_kill, 0, sysKill},
	{nr_tgkill, 0, sysTgkill},
	{nr_rt_sigaction, ptr1 | ptr2, nothing},
	{nr_rt_sigprocmask, ptr1 | ptr2, nothing},
	{nr_sigaltstack, ptr0 | ptr1, nothing},
	{nr_wait4, ptr1 | ptr3, noChildren},
	{nr_waitid, ptr2 | ptr4, noChildren},
	{nr_exit, 0, sysExit},
	{nr_exit_group, 0, sysExit},

	// Until files are in use, a descriptor is none of a file or directory, and
	// the working directory is the root.
	{nr_lseek, 0, noSeek},
	{nr_pread64, ptr1, noSeek},
	{nr_pwrite64, ptr1, noSeek},
	{nr_ftruncate, 0, noFile},
	{nr_fchmod, 0, noFile},
	{nr_fchown, 0, noFile},
	{nr_fchdir, 0, noDirectory},
	{nr_getdents64, ptr1, noDirectory},
	{nr_getcwd, ptr0, atRoot},

	// Until there is a network.
	{nr_socket, 0, noSocket},
	{nr_socketpair, 0, noSocket},
	{nr_bind, 0, noNetwork},
	{nr_connect, 0, noNetwork},
	{nr_listen, 0, noNetwork},
	{nr_accept, 0, noNetwork},
	{nr_accept4, 0, noNetwork},
	{nr_getsockname, 0, noNetwork},
	{nr_getpeername, 0, noNetwork},
	{nr_shutdown, 0, noNetwork},
	{nr_setsockopt, 0, noNetwork},
	{nr_getsockopt, 0, noNetwork},
	{nr_sendto, 0, noNetwork},
	{nr_recvfrom, 0, noNetwork},
	{nr_sendmsg, 0, noNetwork},
	{nr_recvmsg, 0, noNetwork},
	{nr_sendmmsg, 0, noNetwork},
	{nr_recvmmsg, 0, noNetwork},
}

// fileCalls are about paths, and files and directories opened by them.
var fileCalls = []listed{
	{nr_lseek, 0, sysLseek},
	{nr_pread64, ptr1, sysPread},
	{nr_pwrite64, ptr1, sysPwrite},
	{nr_flock, 0, sysFlock},
	{nr_open, ptr0, sysOpen},
	{nr_openat, ptr1, sysOpenat},
	{nr_creat, ptr0, sysCreat},
	{nr_mkdir, ptr0, sysMkdir},
	{nr_mkdirat, ptr1, sysMkdirat},
	{nr_symlink, ptr0 | ptr1, sysSymlink},
	{nr_symlinkat, ptr0 | ptr2, sysSymlinkat},
	{nr_link, ptr0 | ptr1, sysLink},
	{nr_linkat, ptr1 | ptr3, sysLinkat},
	{nr_unlink, ptr0, sysUnlink},
	{nr_unlinkat, ptr1, sysUnlinkat},
	{nr_rmdir, ptr0, sysRmdir},
	{nr_rename, ptr0 | ptr1, sysRename},
	{nr_renameat, ptr1 | ptr3, sysRenameat},
	{nr_renameat2, ptr1 | ptr3, sysRenameat2},
	{nr_readlink, ptr0 | ptr1, sysReadlink},
	{nr_readlinkat, ptr1 | ptr2, sysReadlinkat},
	{nr_getdents64, ptr1, sysGetdents64},
	{nr_getcwd, ptr0, sysGetcwd},
	{nr_chdir, ptr0, sysChdir},
	{nr_fchdir, 0, sysFchdir},
	{nr_umask, 0, sysUmask},
	{nr_stat, ptr0 | ptr1, sysStat},
	{nr_lstat, ptr0 | ptr1, sysLstat},
	{nr_newfstatat, ptr1 | ptr2, sysNewfstatat},
	{nr_statfs, ptr0 | ptr1, sysStatfs},
	{nr_fstatfs, ptr1, sysFstatfs},
	{nr_access, ptr0, sysAccess},
	{nr_faccessat, ptr1, sysFaccessat},
	{nr_faccessat2, ptr1, sysFaccessat2},
	{nr_chmod, ptr0, sysChmod},
	{nr_fchmod, 0, sysFchmod},
	{nr_fchmodat, ptr1, sysFchmodat},
	{nr_fchmodat2, ptr1, sysFchmodat2},
	{nr_chown, ptr0, sysChown},
	{nr_lchown, ptr0, sysLchown},
	{nr_fchown, 0, sysFchown},
	{nr_fchownat, ptr1, sysFchownat},
	{nr_truncate, ptr0, sysTruncate},
	{nr_ftruncate, 0, sysFtruncate},
	{nr_fallocate, 0, sysFallocate},
	{nr_utimensat, ptr1 | ptr2, sysUtimensat},
	{nr_utimes, ptr0 | ptr1, sysUtimes},
	{nr_utime, ptr0 | ptr1, sysUtime},
	{nr_futimesat, ptr1 | ptr2, sysFutimesat},
}

// pipeCalls make pipes.
var pipeCalls = []listed{
	{nr_pipe, ptr0, sysPipe},
	{nr_pipe2, ptr0, sysPipe2},
}

// mapCalls are about memory. Addresses of mappings stay integers: a hint may be
// anything.
var mapCalls = []listed{
	{nr_mmap, 0, sysMmap},
	{nr_munmap, 0, sysMunmap},
	{nr_mprotect, 0, sysMprotect},
	{nr_madvise, 0, sysMadvise},
	{nr_msync, 0, sysMsync},
	{nr_mincore, ptr2, sysMincore},
}

// socketCalls are carried out by a network, see [RegisterNetwork].
var socketCalls = []listed{
	{nr_socket, 0, sysSocket},
	{nr_socketpair, ptr3, sysSocketpair},
	{nr_bind, ptr1, sysBind},
	{nr_connect, ptr1, sysConnect},
	{nr_listen, 0, sysListen},
	{nr_accept, ptr1 | ptr2, sysAccept},
	{nr_accept4, ptr1 | ptr2, sysAccept4},
	{nr_getsockname, ptr1 | ptr2, sysGetsockname},
	{nr_getpeername, ptr1 | ptr2, sysGetpeername},
	{nr_shutdown, 0, sysShutdown},
	{nr_setsockopt, ptr3, sysSetsockopt},
	{nr_getsockopt, ptr3 | ptr4, sysGetsockopt},
	{nr_sendto, ptr1 | ptr4, sysSendto},
	{nr_recvfrom, ptr1 | ptr4 | ptr5, sysRecvfrom},
	{nr_sendmsg, ptr1, sysSendmsg},
	{nr_recvmsg, ptr1, sysRecvmsg},
	{nr_sendmmsg, ptr1, sysSendmmsg},
	{nr_recvmmsg, ptr1 | ptr4, sysRecvmmsg},
	{nr_readv, ptr1, sysReadv},
	{nr_writev, ptr1, sysWritev},
	{nr_sendfile, ptr2, sysSendfile},
}

// otherCalls are made by no function of the standard library, or only when a
// program calls package syscall itself.
var otherCalls = []listed{
	{nr_mknod, ptr0, sysMknod},
	{nr_mknodat, ptr1, sysMknodat},
	{nr_close_range, 0, sysCloseRange},
	{nr_mremap, 0, sysMremap},
	{nr_mlockall, 0, nothing},
	{nr_munlockall, 0, nothing},
	{nr_readv, ptr1, sysReadv},
	{nr_writev, ptr1, sysWritev},
	{nr_preadv, ptr1, sysPreadv},
	{nr_pwritev, ptr1, sysPwritev},
	{nr_preadv2, ptr1, sysPreadv2},
	{nr_pwritev2, ptr1, sysPwritev2},
	{nr_ioctl, 0, sysIoctl},
	{nr_eventfd, 0, sysEventfd},
	{nr_eventfd2, 0, sysEventfd2},
	{nr_poll, ptr0, sysPoll},
	{nr_ppoll, ptr0 | ptr2 | ptr3, sysPpoll},
	{nr_select, ptr1 | ptr2 | ptr3 | ptr4, sysSelect},
	{nr_pselect6, ptr1 | ptr2 | ptr3 | ptr4 | ptr5, sysPselect},
	{nr_epoll_create, 0, sysEpollCreate},
	{nr_epoll_create1, 0, sysEpollCreate1},
	{nr_epoll_ctl, ptr3, sysEpollCtl},
	{nr_epoll_wait, ptr1, sysEpollWait},
	{nr_epoll_pwait, ptr1 | ptr4, sysEpollWait},
	{nr_epoll_pwait2, ptr1 | ptr3 | ptr4, sysEpollPwait2},
	{nr_syncfs, 0, sysSyncfs},
	{nr_fadvise64, 0, nothing},
	{nr_readahead, 0, nothing},
	{nr_tee, 0, notSupported},
	{nr_vmsplice, ptr1, notSupported},
	{nr_openat2, ptr1 | ptr2, sysOpenat2},
	{nr_statx, ptr1 | ptr4, sysStatx},
	{nr_memfd_create, ptr0, sysMemfdCreate},
	{nr_getpgrp, 0, sysGetpid},
	{nr_getpgid, 0, sysGetpgid},
	{nr_getsid, 0, sysGetpgid},
	{nr_setpgid, 0, returnZero},
	{nr_setsid, 0, sysGetpid},
	{nr_getresuid, ptr0 | ptr1 | ptr2, sysGetres},
	{nr_getresgid, ptr0 | ptr1 | ptr2, sysGetres},
	{nr_setuid, 0, sysSetID},
	{nr_setgid, 0, sysSetID},
	{nr_setfsuid, 0, returnZero},
	{nr_setfsgid, 0, returnZero},
	{nr_setreuid, 0, sysSetReID},
	{nr_setregid, 0, sysSetReID},
	{nr_setresuid, 0, sysSetResID},
	{nr_setresgid, 0, sysSetResID},
	{nr_setgroups, ptr1, sysSetgroups},
	{nr_capget, ptr0 | ptr1, sysCapget},
	{nr_prctl, 0, sysPrctl},
	{nr_sethostname, ptr0, sysSethostname},
	{nr_getrlimit, ptr1, sysGetrlimit},
	{nr_setrlimit, ptr1, sysSetrlimit},
	{nr_sysinfo, ptr0, sysSysinfo},
	{nr_times, ptr0, sysTimes},
	{nr_sched_getaffinity, ptr2, sysGetaffinity},
	{nr_getcpu, ptr0 | ptr1, sysGetcpu},
	{nr_clock_getres, ptr1, sysClockGetres},
	{nr_gettimeofday, ptr0 | ptr1, sysGettimeofday},
	{nr_time, ptr0, sysTime},
	{nr_clock_nanosleep, ptr2 | ptr3, sysClockNanosleep},
	{nr_mlock2, 0, nothing},
	{nr_tkill, 0, sysTkill},
	{nr_getpriority, 0, sysGetpriority},
	{nr_setpriority, 0, nothing},
	{nr_personality, 0, returnZero},
	{nr_sched_getscheduler, 0, returnZero},
	{nr_sched_get_priority_max, 0, returnZero},
	{nr_sched_get_priority_min, 0, returnZero},
	{nr_sched_setaffinity, ptr2, sysSetaffinity},
	{nr_sync_file_range, 0, sysFsync},
	{nr_set_robust_list, 0, nothing},
}

// refusedCalls are those whose answer is not ENOSYS, by design: what only a
// kernel can give, and attributes that no file here has. docs/syscalls.md has
// the reasons.
var refusedCalls = []struct {
	fn   func(a args) (uintptr, Errno)
	nums []uint16
}{
	{notPermitted, []uint16{
		nr_ptrace, nr_process_vm_readv, nr_process_vm_writev, nr_setns, nr_unshare, nr_mount, nr_umount2, nr_pivot_root,
		nr_chroot, nr_swapon, nr_swapoff, nr_reboot, nr_kexec_load, nr_kexec_file_load, nr_init_module, nr_finit_module,
		nr_delete_module, nr_bpf, nr_perf_event_open, nr_fanotify_init, nr_open_by_handle_at, nr_settimeofday,
		nr_clock_settime, nr_adjtimex, nr_clock_adjtime, nr_setdomainname, nr_iopl, nr_ioperm, nr_acct, nr_quotactl,
		nr_quotactl_fd, nr_vhangup, nr_syslog, nr_capset, nr_sched_setscheduler, nr_sched_setparam, nr_sched_setattr,
	}},
	{noAttributes, []uint16{
		nr_setxattr, nr_lsetxattr, nr_fsetxattr, nr_getxattr, nr_lgetxattr, nr_fgetxattr, nr_listxattr, nr_llistxattr,
		nr_flistxattr, nr_removexattr, nr_lremovexattr, nr_fremovexattr, nr_setxattrat, nr_getxattrat, nr_listxattrat,
		nr_removexattrat, nr_name_to_handle_at,
	}},
}

func notPermitted(args) (uintptr, Errno) { return 0, EPERM }
func noAttributes(args) (uintptr, Errno) { return 0, EOPNOTSUPP }

// installRefused takes the calls into use that are refused.
func installRefused() {
	for _, group := range refusedCalls {
		for _, num := range group.nums {
			table[num] = call{refused: true, fn: group.fn}
		}
	}
}

// noSeek and its kin answer calls on descriptors while there are no files.
func noSeek(a args) (uintptr, Errno)      { return refuse(&a, ESPIPE) }
func noFile(a args) (uintptr, Errno)      { return refuse(&a, EINVAL) }
func noDirectory(a args) (uintptr, Errno) { return refuse(&a, ENOTDIR) }

// refuse fails with errno if argument 0 is a descriptor in use.
func refuse(a *args, errno Errno) (uintptr, Errno) {
	if _, bad := fds.cloexec(a.fd(0), -1); bad != 0 {
		return 0, bad
	}
	return 0, errno
}

// atRoot is getcwd while there are no files.
func atRoot(a args) (uintptr, Errno) { return putPath(&a, "/") }
