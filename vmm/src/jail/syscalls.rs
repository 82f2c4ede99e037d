//! The one table of system calls that are allowed, by the role of a thread.
//!
//! docs/decisions/0028-jail.md tells how it was made, and what of it no trace has shown.

use super::Role;

/// What the arguments must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arguments {
    /// Anything.
    Any,
    /// The argument of this number has one of these values, in its lower half.
    OneOf(u8, &'static [u64]),
    /// The third argument asks for memory that cannot be executed.
    NotExecutable,
    /// The first argument asks for a thread and not for a process.
    Thread,
}

/// A system call that is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: i64,
    pub(super) arguments: Arguments,
}

/// All calls of a role.
pub(super) fn of(role: Role) -> impl Iterator<Item = Call> {
    let own: &[&[Call]] = match role {
        Role::Main => &[EVENTS, SOCKETS, NETWORK, THREADS, MACHINE],
        Role::Vcpu => &[VCPU],
        Role::Disk => &[EVENTS, DISK],
        Role::Network => &[EVENTS, NETWORK],
        Role::Shares => &[EVENTS, SHARES],
    };
    CHECKS.iter().chain(EVERY).chain(own.iter().copied().flatten()).copied()
}

const fn any(number: i64) -> Call {
    Call { number, arguments: Arguments::Any }
}

const fn one_of(number: i64, argument: u8, values: &'static [u64]) -> Call {
    Call { number, arguments: Arguments::OneOf(argument, values) }
}

/// Of every thread of a debug build, in which the standard library looks at descriptors before it closes them.
const CHECKS: &[Call] = if cfg!(debug_assertions) { &[one_of(libc::SYS_fcntl, 1, &[1])] } else { &[] };

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
    Call { number: libc::SYS_mmap, arguments: Arguments::NotExecutable },
    Call { number: libc::SYS_mprotect, arguments: Arguments::NotExecutable },
    any(libc::SYS_mremap),
    any(libc::SYS_munmap),
    any(libc::SYS_restart_syscall),
    any(libc::SYS_rt_sigprocmask),
    any(libc::SYS_rt_sigreturn),
    any(libc::SYS_sigaltstack),
    any(libc::SYS_tgkill),
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
const NETWORK: &[Call] = &[any(libc::SYS_readv), any(libc::SYS_sendto), any(libc::SYS_writev)];

/// Of whoever starts threads, for a network that comes later.
const THREADS: &[Call] = &[
    Call { number: libc::SYS_clone, arguments: Arguments::Thread },
    any(libc::SYS_clock_nanosleep),
    any(libc::SYS_epoll_create1),
    any(libc::SYS_eventfd2),
    any(libc::SYS_fcntl),
    any(libc::SYS_rseq),
    any(libc::SYS_sched_getaffinity),
    any(libc::SYS_seccomp),
    any(libc::SYS_set_robust_list),
    any(libc::SYS_timerfd_create),
    one_of(libc::SYS_prctl, 0, &[15, 38]),
];

/// Of whoever changes and saves the machine.
const MACHINE: &[Call] = &[any(libc::SYS_getpid), any(libc::SYS_ioctl), any(libc::SYS_pread64)];

/// Of a vCPU.
const VCPU: &[Call] = &[any(libc::SYS_ioctl), any(libc::SYS_shutdown), any(libc::SYS_timerfd_settime)];

/// Of a disk.
const DISK: &[Call] =
    &[any(libc::SYS_fallocate), any(libc::SYS_fdatasync), any(libc::SYS_preadv), any(libc::SYS_pwritev)];

/// Of the shares: what a guest does to files (`devices::virtio::fs::files`).
const SHARES: &[Call] = &[
    any(libc::SYS_fallocate),
    any(libc::SYS_fchmodat),
    any(libc::SYS_fchownat),
    any(libc::SYS_fcntl),
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
