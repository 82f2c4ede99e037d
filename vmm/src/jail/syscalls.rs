//! The one table of system calls that are allowed, by the role of a thread.
//!
//! docs/decisions/0028-jail.md tells how it was made, and what of it no trace has shown.

/// What the arguments must be. Of those that are judged, the kernel looks at no more than the lower half.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arguments {
    /// Anything.
    Any,
    /// The argument of this index has one of these values.
    OneOf(usize, &'static [u32]),
    /// The argument of this index is the number of the calling process.
    ThisProcess(usize),
    /// The argument of this index has this bit.
    With(usize, u32),
    /// The argument of this index does not have this bit.
    Without(usize, u32),
    /// Whatever they are, the answer is that there is no such call.
    Missing,
}

/// A system call that is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) arguments: Arguments,
}

/// All calls of the role, and of the threads that it starts when the VM runs: they are under its filter and their own.
pub(super) const MAIN: &[&[Call]] = &[CHECKS, EVERY, EVENTS, SOCKETS, FRAMES, BLOCKS, THREADS, MACHINE];
/// All calls of the role.
pub(super) const VCPU: &[&[Call]] = &[CHECKS, EVERY, GUEST];
/// All calls of the role.
pub(super) const DISK: &[&[Call]] = &[CHECKS, EVERY, EVENTS, BLOCKS];
/// All calls of the role.
pub(super) const NETWORK: &[&[Call]] = &[CHECKS, EVERY, EVENTS, FRAMES, QUEUES];
/// All calls of the role.
pub(super) const SHARES: &[&[Call]] = &[CHECKS, EVERY, EVENTS, FILES];

const fn any(number: libc::c_long) -> Call {
    call(number, Arguments::Any)
}

const fn one_of(number: libc::c_long, argument: usize, values: &'static [u32]) -> Call {
    call(number, Arguments::OneOf(argument, values))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // numbers of system calls are small
const fn call(number: libc::c_long, arguments: Arguments) -> Call {
    Call { number: number as u32, arguments }
}

/// Memory that cannot be executed.
const fn no_code(number: libc::c_long) -> Call {
    call(number, Arguments::Without(2, libc::PROT_EXEC.unsigned_abs()))
}

/// Of every thread of a debug build, in which the standard library looks at descriptors before it closes them.
const CHECKS: &[Call] = if cfg!(debug_assertions) { LOOKS } else { &[] };
const LOOKS: &[Call] = &[one_of(libc::SYS_fcntl, 1, &[libc::F_GETFD.unsigned_abs()])];

/// Of every thread: memory, locks, the log, and its own end.
const EVERY: &[Call] = &[
    any(libc::SYS_brk),
    any(libc::SYS_clock_gettime),
    any(libc::SYS_close),
    any(libc::SYS_exit),
    any(libc::SYS_exit_group),
    any(libc::SYS_futex),
    any(libc::SYS_getrandom),
    any(libc::SYS_gettid),
    any(libc::SYS_madvise),
    no_code(libc::SYS_mmap),
    no_code(libc::SYS_mprotect),
    any(libc::SYS_mremap),
    any(libc::SYS_munmap),
    any(libc::SYS_restart_syscall),
    any(libc::SYS_rt_sigprocmask),
    any(libc::SYS_rt_sigreturn),
    any(libc::SYS_sigaltstack),
    // A VMM that shares its user with others could end them.
    call(libc::SYS_tgkill, Arguments::ThisProcess(0)),
    any(libc::SYS_write),
];

/// Of an event loop.
const EVENTS: &[Call] = &[
    any(libc::SYS_epoll_ctl),
    any(libc::SYS_epoll_wait),
    any(libc::SYS_read),
    any(libc::SYS_timerfd_settime),
];

/// Of vsock and the control channel: nothing connects or listens, connected sockets are received.
const SOCKETS: &[Call] = &[
    any(libc::SYS_accept4),
    any(libc::SYS_getsockopt),
    any(libc::SYS_readv),
    any(libc::SYS_recvfrom),
    any(libc::SYS_recvmsg),
    any(libc::SYS_sendmsg),
    any(libc::SYS_sendto),
    any(libc::SYS_shutdown),
    any(libc::SYS_writev),
];

/// Of a network, over a TAP or a stream.
const FRAMES: &[Call] = &[any(libc::SYS_readv), any(libc::SYS_sendto), any(libc::SYS_writev)];

/// Of a network of several queues: which of them the host's kernel gives frames to.
const QUEUES: &[Call] = &[one_of(libc::SYS_ioctl, 1, TUNSETQUEUE)];
#[allow(clippy::cast_possible_truncation)] // numbers of requests have 32 bits
const TUNSETQUEUE: &[u32] = &[libc::TUNSETQUEUE as u32];

/// Not F_SETOWN, by which a file signals any process.
const ON_DESCRIPTORS: &[u32] = &[
    libc::F_DUPFD_CLOEXEC.unsigned_abs(),
    libc::F_GETFD.unsigned_abs(),
    libc::F_SETFD.unsigned_abs(),
    libc::F_SETFL.unsigned_abs(),
];

/// Of whoever starts threads, for a network that comes later and for the disks of a VM that goes on after its checkpoint. No filter sees the arguments of clone3, which lie in memory; where
/// there is none, the C library takes clone.
const THREADS: &[Call] = &[
    call(libc::SYS_clone, Arguments::With(0, libc::CLONE_THREAD.unsigned_abs())),
    call(libc::SYS_clone3, Arguments::Missing),
    any(libc::SYS_clock_nanosleep),
    any(libc::SYS_epoll_create1),
    any(libc::SYS_eventfd2),
    one_of(libc::SYS_fcntl, 1, ON_DESCRIPTORS),
    any(libc::SYS_rseq),
    any(libc::SYS_sched_getaffinity),
    any(libc::SYS_seccomp),
    any(libc::SYS_set_robust_list),
    any(libc::SYS_timerfd_create),
    one_of(libc::SYS_prctl, 0, &[libc::PR_SET_NAME.unsigned_abs()]),
];

/// Of whoever changes and saves the machine.
const MACHINE: &[Call] = &[any(libc::SYS_getpid), any(libc::SYS_ioctl), any(libc::SYS_pread64)];

/// Of a vCPU.
const GUEST: &[Call] = &[any(libc::SYS_ioctl), any(libc::SYS_shutdown), any(libc::SYS_timerfd_settime)];

/// Of a disk.
const BLOCKS: &[Call] =
    &[any(libc::SYS_fallocate), any(libc::SYS_fdatasync), any(libc::SYS_preadv), any(libc::SYS_pwritev)];

/// As above, and locks.
const ON_FILES: &[u32] = &[
    libc::F_DUPFD_CLOEXEC.unsigned_abs(),
    libc::F_GETFD.unsigned_abs(),
    libc::F_GETFL.unsigned_abs(),
    libc::F_SETFL.unsigned_abs(),
    libc::F_OFD_GETLK.unsigned_abs(),
    libc::F_OFD_SETLK.unsigned_abs(),
];

/// Of the shares: what a guest does to files (`devices::virtio::fs::files`).
const FILES: &[Call] = &[
    any(libc::SYS_fallocate),
    any(libc::SYS_fchmodat),
    any(libc::SYS_fchownat),
    one_of(libc::SYS_fcntl, 1, ON_FILES),
    any(libc::SYS_fdatasync),
    any(libc::SYS_flock),
    any(libc::SYS_fstat),
    any(libc::SYS_fstatfs),
    any(libc::SYS_fsync),
    any(libc::SYS_ftruncate),
    any(libc::SYS_getdents64),
    any(libc::SYS_getxattr),
    any(libc::SYS_linkat),
    any(libc::SYS_listxattr),
    any(libc::SYS_lseek),
    any(libc::SYS_mkdirat),
    any(libc::SYS_mknodat),
    any(libc::SYS_openat),
    any(libc::SYS_openat2),
    any(libc::SYS_prctl),
    any(libc::SYS_preadv),
    any(libc::SYS_pwritev),
    any(libc::SYS_readlinkat),
    any(libc::SYS_removexattr),
    any(libc::SYS_renameat2),
    any(libc::SYS_setresgid),
    any(libc::SYS_setresuid),
    any(libc::SYS_setxattr),
    any(libc::SYS_statx),
    any(libc::SYS_symlinkat),
    any(libc::SYS_umask),
    any(libc::SYS_unlinkat),
    any(libc::SYS_unshare),
    any(libc::SYS_utimensat),
];
