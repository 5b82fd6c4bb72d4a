package libos

// Pointer masks: bit n for argument n.
const (
	ptr0 = 1 << iota
	ptr1
	ptr2
	ptr3
	ptr4
	ptr5
)

// table is all calls by number. A call with pointers is listed even when it is
// not carried out here, and one that is not listed fails with ENOSYS. Of fcntl
// and ioctl the command decides what is a pointer: see pointerMask.
var table = [maxCall + 1]call{
	// Descriptors.
	nr_read:          {ptr1, sysRead},
	nr_write:         {ptr1, sysWrite},
	nr_close:         {0, sysClose},
	nr_close_range:   {0, sysCloseRange},
	nr_lseek:         {0, sysLseek},
	nr_pread64:       {ptr1, sysPread},
	nr_pwrite64:      {ptr1, sysPwrite},
	nr_readv:         {ptr1, sysReadv},
	nr_writev:        {ptr1, sysWritev},
	nr_preadv:        {ptr1, sysPreadv},
	nr_pwritev:       {ptr1, sysPwritev},
	nr_preadv2:       {ptr1, sysPreadv2},
	nr_pwritev2:      {ptr1, sysPwritev2},
	nr_dup:           {0, sysDup},
	nr_dup2:          {0, sysDup2},
	nr_dup3:          {0, sysDup3},
	nr_fcntl:         {0, sysFcntl},
	nr_flock:         {0, sysFlock},
	nr_ioctl:         {0, sysIoctl},
	nr_pipe:          {ptr0, sysPipe},
	nr_pipe2:         {ptr0, sysPipe2},
	nr_eventfd:       {0, sysEventfd},
	nr_eventfd2:      {0, sysEventfd2},
	nr_poll:          {ptr0, sysPoll},
	nr_ppoll:         {ptr0 | ptr2 | ptr3, sysPpoll},
	nr_select:        {ptr1 | ptr2 | ptr3 | ptr4, sysSelect},
	nr_pselect6:      {ptr1 | ptr2 | ptr3 | ptr4 | ptr5, sysPselect},
	nr_epoll_create:  {0, sysEpollCreate},
	nr_epoll_create1: {0, sysEpollCreate1},
	nr_epoll_ctl:     {ptr3, sysEpollCtl},
	nr_epoll_wait:    {ptr1, sysEpollWait},
	nr_epoll_pwait:   {ptr1 | ptr4, sysEpollWait},
	nr_epoll_pwait2:  {ptr1 | ptr3 | ptr4, sysEpollPwait2},
	nr_fsync:         {0, sysFsync},
	nr_fdatasync:     {0, sysFsync},
	nr_sync:          {0, nothing},
	nr_syncfs:        {0, sysFsync},
	nr_fadvise64:     {0, nothing},
	nr_readahead:     {0, nothing},

	// Copying, which Go does itself when it is refused.
	nr_sendfile:        {ptr2, notSupported},
	nr_copy_file_range: {ptr1 | ptr3, notSupported},
	nr_splice:          {ptr1 | ptr3, notSupported},
	nr_tee:             {0, notSupported},
	nr_vmsplice:        {ptr1, notSupported},

	// Files and directories.
	nr_open:         {ptr0, sysOpen},
	nr_openat:       {ptr1, sysOpenat},
	nr_openat2:      {ptr1 | ptr2, sysOpenat2},
	nr_creat:        {ptr0, sysCreat},
	nr_mkdir:        {ptr0, sysMkdir},
	nr_mkdirat:      {ptr1, sysMkdirat},
	nr_mknod:        {ptr0, sysMknod},
	nr_mknodat:      {ptr1, sysMknodat},
	nr_symlink:      {ptr0 | ptr1, sysSymlink},
	nr_symlinkat:    {ptr0 | ptr2, sysSymlinkat},
	nr_link:         {ptr0 | ptr1, sysLink},
	nr_linkat:       {ptr1 | ptr3, sysLinkat},
	nr_unlink:       {ptr0, sysUnlink},
	nr_unlinkat:     {ptr1, sysUnlinkat},
	nr_rmdir:        {ptr0, sysRmdir},
	nr_rename:       {ptr0 | ptr1, sysRename},
	nr_renameat:     {ptr1 | ptr3, sysRenameat},
	nr_renameat2:    {ptr1 | ptr3, sysRenameat2},
	nr_readlink:     {ptr0 | ptr1, sysReadlink},
	nr_readlinkat:   {ptr1 | ptr2, sysReadlinkat},
	nr_getdents64:   {ptr1, sysGetdents64},
	nr_getcwd:       {ptr0, sysGetcwd},
	nr_chdir:        {ptr0, sysChdir},
	nr_fchdir:       {0, sysFchdir},
	nr_umask:        {0, sysUmask},
	nr_stat:         {ptr0 | ptr1, sysStat},
	nr_lstat:        {ptr0 | ptr1, sysLstat},
	nr_fstat:        {ptr1, sysFstat},
	nr_newfstatat:   {ptr1 | ptr2, sysNewfstatat},
	nr_statx:        {ptr1 | ptr4, sysStatx},
	nr_statfs:       {ptr0 | ptr1, sysStatfs},
	nr_fstatfs:      {ptr1, sysFstatfs},
	nr_access:       {ptr0, sysAccess},
	nr_faccessat:    {ptr1, sysFaccessat},
	nr_faccessat2:   {ptr1, sysFaccessat2},
	nr_chmod:        {ptr0, sysChmod},
	nr_fchmod:       {0, sysFchmod},
	nr_fchmodat:     {ptr1, sysFchmodat},
	nr_fchmodat2:    {ptr1, sysFchmodat2},
	nr_chown:        {ptr0, sysChown},
	nr_lchown:       {ptr0, sysLchown},
	nr_fchown:       {0, sysFchown},
	nr_fchownat:     {ptr1, sysFchownat},
	nr_truncate:     {ptr0, sysTruncate},
	nr_ftruncate:    {0, sysFtruncate},
	nr_fallocate:    {0, sysFallocate},
	nr_utimensat:    {ptr1 | ptr2, sysUtimensat},
	nr_utimes:       {ptr0 | ptr1, sysUtimes},
	nr_utime:        {ptr0 | ptr1, sysUtime},
	nr_futimesat:    {ptr1 | ptr2, sysFutimesat},
	nr_memfd_create: {ptr0, sysMemfdCreate},

	// Identity and limits.
	nr_getpid:            {0, sysGetpid},
	nr_getppid:           {0, returnZero},
	nr_gettid:            {0, sysGettid},
	nr_getpgrp:           {0, sysGetpid},
	nr_getpgid:           {0, sysGetpgid},
	nr_getsid:            {0, sysGetpgid},
	nr_setpgid:           {0, returnZero},
	nr_setsid:            {0, sysGetpid},
	nr_getuid:            {0, returnZero},
	nr_geteuid:           {0, returnZero},
	nr_getgid:            {0, returnZero},
	nr_getegid:           {0, returnZero},
	nr_getgroups:         {ptr1, returnZero},
	nr_getresuid:         {ptr0 | ptr1 | ptr2, sysGetres},
	nr_getresgid:         {ptr0 | ptr1 | ptr2, sysGetres},
	nr_setuid:            {0, sysSetID},
	nr_setgid:            {0, sysSetID},
	nr_setfsuid:          {0, returnZero},
	nr_setfsgid:          {0, returnZero},
	nr_setreuid:          {0, sysSetReID},
	nr_setregid:          {0, sysSetReID},
	nr_setresuid:         {0, sysSetResID},
	nr_setresgid:         {0, sysSetResID},
	nr_setgroups:         {ptr1, sysSetgroups},
	nr_capget:            {ptr0 | ptr1, sysCapget},
	nr_prctl:             {0, sysPrctl},
	nr_uname:             {ptr0, sysUname},
	nr_sethostname:       {ptr0, sysSethostname},
	nr_getrlimit:         {ptr1, sysGetrlimit},
	nr_setrlimit:         {ptr1, sysSetrlimit},
	nr_prlimit64:         {ptr2 | ptr3, sysPrlimit},
	nr_sysinfo:           {ptr0, sysSysinfo},
	nr_getrusage:         {ptr1, sysGetrusage},
	nr_times:             {ptr0, sysTimes},
	nr_sched_getaffinity: {ptr2, sysGetaffinity},
	nr_sched_yield:       {0, sysYield},
	nr_getcpu:            {ptr0 | ptr1, sysGetcpu},

	// Time and randomness.
	nr_clock_gettime:   {ptr1, sysClockGettime},
	nr_clock_getres:    {ptr1, sysClockGetres},
	nr_gettimeofday:    {ptr0 | ptr1, sysGettimeofday},
	nr_time:            {ptr0, sysTime},
	nr_nanosleep:       {ptr0 | ptr1, sysNanosleep},
	nr_clock_nanosleep: {ptr2 | ptr3, sysClockNanosleep},
	nr_getrandom:       {ptr0, sysGetrandom},

	// Memory. Addresses of mappings stay integers: a hint may be anything.
	nr_mmap:     {0, sysMmap},
	nr_munmap:   {0, sysMunmap},
	nr_mprotect: {0, sysMprotect},
	nr_madvise:  {0, sysMadvise},
	nr_msync:    {0, sysMsync},
	nr_mincore:  {ptr2, sysMincore},
	nr_mlock:    {0, nothing},
	nr_mlock2:   {0, nothing},
	nr_munlock:  {0, nothing},

	// Signals and the end.
	nr_kill:           {0, sysKill},
	nr_tgkill:         {0, sysTgkill},
	nr_tkill:          {0, sysTkill},
	nr_rt_sigaction:   {ptr1 | ptr2, nothing},
	nr_rt_sigprocmask: {ptr1 | ptr2, nothing},
	nr_sigaltstack:    {ptr0 | ptr1, nothing},
	nr_wait4:          {ptr1 | ptr3, noChildren},
	nr_waitid:         {ptr2 | ptr4, noChildren},
	nr_exit:           {0, sysExit},
	nr_exit_group:     {0, sysExit},

	// Sockets: what is carried out follows from the network, see socketTable.
	nr_socket:      {0, nil},
	nr_socketpair:  {ptr3, nil},
	nr_bind:        {ptr1, nil},
	nr_connect:     {ptr1, nil},
	nr_listen:      {0, nil},
	nr_accept:      {ptr1 | ptr2, nil},
	nr_accept4:     {ptr1 | ptr2, nil},
	nr_getsockname: {ptr1 | ptr2, nil},
	nr_getpeername: {ptr1 | ptr2, nil},
	nr_shutdown:    {0, nil},
	nr_setsockopt:  {ptr3, nil},
	nr_getsockopt:  {ptr3 | ptr4, nil},
	nr_sendto:      {ptr1 | ptr4, nil},
	nr_recvfrom:    {ptr1 | ptr4 | ptr5, nil},
	nr_sendmsg:     {ptr1, nil},
	nr_recvmsg:     {ptr1, nil},
	nr_sendmmsg:    {ptr1, nil},
	nr_recvmmsg:    {ptr1 | ptr4, nil},
}

// socketCalls returns the handler of a socket call, nil for another call. It is
// a variable so that what carries the calls out is linked only with a network.
var socketCalls = noNetworkCalls

// noNetworkCalls is socketCalls of a program without a network.
func noNetworkCalls(num uintptr) func(a args) (uintptr, Errno) {
	switch num {
	case nr_socket, nr_socketpair:
		return noSocket
	case nr_bind, nr_connect, nr_listen, nr_accept, nr_accept4, nr_getsockname,
		nr_getpeername, nr_shutdown, nr_setsockopt, nr_getsockopt, nr_sendto,
		nr_recvfrom, nr_sendmsg, nr_recvmsg, nr_sendmmsg, nr_recvmmsg:
		return noNetwork
	}
	return nil
}

// networkCalls is socketCalls of a program with a network.
func networkCalls(num uintptr) func(a args) (uintptr, Errno) {
	switch num {
	case nr_socket:
		return sysSocket
	case nr_socketpair:
		return sysSocketpair
	case nr_bind:
		return sysBind
	case nr_connect:
		return sysConnect
	case nr_listen:
		return sysListen
	case nr_accept:
		return sysAccept
	case nr_accept4:
		return sysAccept4
	case nr_getsockname:
		return sysGetsockname
	case nr_getpeername:
		return sysGetpeername
	case nr_shutdown:
		return sysShutdown
	case nr_setsockopt:
		return sysSetsockopt
	case nr_getsockopt:
		return sysGetsockopt
	case nr_sendto:
		return sysSendto
	case nr_recvfrom:
		return sysRecvfrom
	case nr_sendmsg:
		return sysSendmsg
	case nr_recvmsg:
		return sysRecvmsg
	case nr_sendmmsg:
		return sysSendmmsg
	case nr_recvmmsg:
		return sysRecvmmsg
	}
	return nil
}
