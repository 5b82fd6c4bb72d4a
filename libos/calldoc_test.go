package libos

import (
	"fmt"
	"strings"
)

// A decision says why calls are not carried out, or what is special about them.
type decision struct {
	calls  string // names, with spaces between them
	errno  Errno
	reason string
}

// byDesign are the calls that there will not be: a program asks for what one
// program in a machine of its own does not have.
var byDesign = []decision{
	{"fork vfork clone clone3 execve execveat", ENOSYS, "one program, one process, one thread: there is nothing to start another from"},
	{"ptrace process_vm_readv process_vm_writev", EPERM, "no other process; as Linux answers without CAP_SYS_PTRACE"},
	{"kcmp process_madvise process_mrelease pidfd_open pidfd_send_signal pidfd_getfd", ENOSYS, "no other process; os falls back to process numbers"},
	{"setns unshare", EPERM, "no namespaces; as without CAP_SYS_ADMIN"},
	{"listns", ENOSYS, "no namespaces"},
	{"mount umount2 pivot_root chroot swapon swapoff", EPERM, "the file tree is made at boot; as without CAP_SYS_ADMIN"},
	{"open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr statmount listmount", ENOSYS, "the same, for newer calls"},
	{"reboot kexec_load kexec_file_load init_module finit_module delete_module", EPERM, "no kernel to replace or extend; end the program instead"},
	{"bpf perf_event_open fanotify_init syslog acct quotactl quotactl_fd vhangup", EPERM, "no kernel to look into; as without the capability"},
	{"fanotify_mark", ENOSYS, "see fanotify_init"},
	{"open_by_handle_at", EPERM, "as without CAP_DAC_READ_SEARCH"},
	{"settimeofday clock_settime adjtimex clock_adjtime", EPERM, "the host keeps the time; as without CAP_SYS_TIME"},
	{"setdomainname", EPERM, "there is no NIS domain"},
	{"iopl ioperm", EPERM, "no ports: everything runs in ring 3"},
	{"capset sched_setscheduler sched_setparam sched_setattr", EPERM, "the one thread keeps its rights and its scheduling"},
	{"seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self", ENOSYS, "nothing is beneath the program that it could be kept from"},
	{"lsm_get_self_attr lsm_set_self_attr lsm_list_modules", ENOSYS, "no security modules"},
	{"add_key request_key keyctl", ENOSYS, "no key rings"},
	{"shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl", ENOSYS, "System V IPC is for several processes"},
	{"mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr", ENOSYS, "POSIX queues are for several processes"},
	{"setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr setxattrat getxattrat listxattrat removexattrat", EOPNOTSUPP, "files have no extended attributes"},
	{"name_to_handle_at", EOPNOTSUPP, "files have no handles"},
	{"file_getattr file_setattr", ENOSYS, "files have no inode flags"},
	{"io_uring_setup io_uring_enter io_uring_register io_setup io_destroy io_getevents io_submit io_cancel io_pgetevents", ENOSYS, "rings save system calls, which are function calls here"},
	{"userfaultfd remap_file_pages memfd_secret mseal pkey_mprotect pkey_alloc pkey_free map_shadow_stack", ENOSYS, "the program cannot change page tables, which lie outside of what it can reach"},
	{"brk", ENOSYS, "memory comes from mmap and the Go heap"},
	{"mbind set_mempolicy get_mempolicy migrate_pages move_pages set_mempolicy_home_node", ENOSYS, "memory has one node"},
	{"set_thread_area get_thread_area modify_ldt arch_prctl set_tid_address get_robust_list restart_syscall rt_sigreturn uretprobe uprobe", ENOSYS, "the runtime's business; as instructions the runtime's own are answered by package machine"},
	{"membarrier rseq rseq_slice_yield", ENOSYS, "one thread"},
	{"uselib ustat sysfs _sysctl create_module get_kernel_syms query_module nfsservctl getpmsg putpmsg afs_syscall tuxcall security lookup_dcookie epoll_ctl_old epoll_wait_old vserver", ENOSYS, "Linux has them no more"},
}

// missing are the calls that nobody has needed yet.
var missing = []decision{
	{"inotify_init inotify_init1 inotify_add_watch inotify_rm_watch", ENOSYS, "watching files; fsnotify.NewWatcher fails with this error"},
	{"timerfd_create timerfd_settime timerfd_gettime signalfd signalfd4", ENOSYS, "Go programs use package time and os/signal"},
	{"timer_create timer_settime timer_gettime timer_getoverrun timer_delete getitimer setitimer alarm", ENOSYS, "the same; there is no CPU profile by signals"},
	{"pause rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo rt_sigsuspend", ENOSYS, "signals come by package os/signal"},
	{"futex futex_waitv futex_wake futex_wait futex_requeue", ENOSYS, "package sync does not need it; as an instruction the runtime's own is answered by package machine"},
	{"getdents", ENOSYS, "replaced by getdents64"},
	{"sched_getparam sched_getattr sched_rr_get_interval ioprio_set ioprio_get", ENOSYS, "the one thread has ordinary scheduling"},
	{"cachestat", ENOSYS, "nothing says what is cached"},
}

// limits say where a call that is offered does less than on Linux.
var limits = []decision{
	{"copy_file_range splice tee vmsplice", EINVAL, "always refused; Go then copies by read and write"},
	{"socket", EAFNOSUPPORT, "AF_UNIX, AF_INET, AF_INET6, and AF_NETLINK for dumps of links, addresses and routes; without package net AF_UNIX alone, and only in programs that make system calls themselves"},
	{"mmap", ENOMEM, "no MAP_FIXED; a shared mapping of a file in memory is the file itself; one of a file on an ext4 volume is all in memory, and becomes the file's at msync, fsync, sync, munmap and the end; a part cannot be mapped together with more while it is mapped alone; pages behind the end of a file read as zeros (no SIGBUS)"},
	{"mmap mprotect", EACCES, "no memory is executable and writable: PROT_EXEC is refused; a mapping of a file that was read-only stays so"},
	{"mprotect", 0, "takes no rights away: the program cannot change page tables (-v says so)"},
	{"mremap", EINVAL, "MREMAP_MAYMOVE alone; a shared mapping of a volume's file does not grow (ENOMEM)"},
	{"fcntl", EINVAL, "F_OFD_* are refused, F_SETLK always succeeds: locks of one process do not conflict, and there is no other; flock works"},
	{"fallocate", EOPNOTSUPP, "making files longer only; on a block device zeroing whole sectors (FALLOC_FL_ZERO_RANGE)"},
	{"openat2", EINVAL, "no RESOLVE_ flags"},
	{"preadv2 pwritev2", EOPNOTSUPP, "no flags"},
	{"mknod mknodat", EOPNOTSUPP, "regular files and named pipes; no devices"},
	{"ioctl", ENOTTY, "FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, SIOCOUTQ; of block devices BLKGETSIZE64, BLKGETSIZE, BLKSSZGET, BLKPBSZGET, BLKBSZGET, BLKROGET, BLKFLSBUF, BLKDISCARD, BLKZEROOUT; nothing is a terminal"},
	{"setuid setgid setreuid setregid setresuid setresgid setgroups", EPERM, "there is user 0 alone"},
	{"wait4 waitid", ECHILD, "there are no children"},
	{"sync_file_range fadvise64 readahead mlock munlock mlock2 mlockall munlockall rt_sigaction rt_sigprocmask sigaltstack setpriority set_robust_list", 0, "succeed and do nothing: there is nothing to do"},
	{"sched_setaffinity", EINVAL, "one processor"},
}

// offered reports whether a call is carried out, as against refused as a whole.
func offered(num uintptr) bool {
	return num <= maxCall && table[num].fn != nil && !table[num].refused
}

// callDoc returns docs/syscalls.md, written from the tables of this package.
func callDoc() string {
	b := new(strings.Builder)
	b.WriteString(callDocHead)
	b.WriteString("\n## Offered\n\n")
	line := ""
	for num := range uintptr(maxCall + 1) {
		if offered(num) {
			if line != "" && len(line)+len(CallName(num)) > 120 {
				b.WriteString(line + "\n")
				line = ""
			}
			line += CallName(num) + " "
		}
	}
	b.WriteString(line + "\n\nWhere they do less than on Linux:\n\n")
	writeDecisions(b, limits)
	b.WriteString("\n## Absent by design\n\n")
	writeDecisions(b, byDesign)
	b.WriteString("\n## Missing\n\n")
	writeDecisions(b, missing)
	return b.String()
}

const callDocHead = `# System calls

What each system call of Linux on amd64 does in an image. A program meets them
through package syscall, golang.org/x/sys/unix, or a SYSCALL instruction of its
own; all come to libos.Enter. A call that is not offered fails with the errno
below, and ` + "`tailor run -v`" + ` names it, once. Everything not on this page is ENOSYS.

An image has the groups of calls that its program can reach (libos/groups.go); a
program that makes calls by number or with golang.org/x/sys/unix has all.

` + "`tailor run --trace syscalls`" + ` prints a line for each call that the program makes,
when it returns: the seconds since boot, the call, its result and, if it took
more than a millisecond, how long. The calls that the runtime makes for itself
(machine/kernel.go: its clock, its idling, its console output for a panic) are
not the program's, and not among them.

This page is written from libos/table.go and libos/calldoc_test.go by
` + "`go test ./libos -run CallDoc -update`" + `.
`

func writeDecisions(b *strings.Builder, list []decision) {
	b.WriteString("| calls | errno | |\n| --- | --- | --- |\n")
	for _, d := range list {
		errno := ""
		if d.errno != 0 {
			errno = errnoName(d.errno)
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", d.calls, errno, d.reason)
	}
}
