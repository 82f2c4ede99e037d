//! The one table of system calls that are allowed, by the role of a thread.
//!
//! docs/decisions/0028-jail.md tells how it was made, and what of it no trace has shown.

use super::commands;

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
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) arguments: Arguments,
    /// Why it is allowed although no test makes it.
    pub(super) unseen: Option<&'static str>,
}

impl Call {
    /// The place of one.
    pub(super) const NONE: Self = Self { name: "", number: 0, arguments: Arguments::Any, unseen: None };

    const fn unseen(mut self, why: &'static str) -> Self {
        self.unseen = Some(why);
        self
    }
}

/// All calls of the role, and of the threads that it starts when the VM runs: they are under its filter and their own.
pub(super) const MAIN: &[&[Call]] =
    &[CHECKS, EVERY, LOOP, TIMER, FRAMES, BLOCKS, RESUMED, SOCKETS, THREADS, MACHINE];
/// All calls of the role.
pub(super) const VCPU: &[&[Call]] = &[CHECKS, EVERY, GUEST];
/// All calls of the role.
pub(super) const DISK: &[&[Call]] = &[CHECKS, EVERY, LOOP, TIMER, BLOCKS];
/// All calls of the role.
pub(super) const NETWORK: &[&[Call]] = &[CHECKS, EVERY, LOOP, TIMER, FRAMES, QUEUES];
/// All calls of the role.
pub(super) const SHARES: &[&[Call]] = &[CHECKS, EVERY, LOOP, TIMER, FILES, WATCHES];

macro_rules! call {
    ($number:ident, $arguments:expr) => {
        Call { name: stringify!($number), number: small(libc::$number), arguments: $arguments, unseen: None }
    };
}
macro_rules! any {
    ($number:ident) => {
        call!($number, Arguments::Any)
    };
}
macro_rules! one_of {
    ($number:ident, $argument:expr, $values:expr) => {
        call!($number, Arguments::OneOf($argument, $values))
    };
}
/// Memory that cannot be executed.
macro_rules! no_code {
    ($number:ident) => {
        call!($number, Arguments::Without(2, libc::PROT_EXEC.unsigned_abs()))
    };
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // numbers of system calls are small
const fn small(number: libc::c_long) -> u32 {
    number as u32
}

/// Of every thread of a debug build, in which the standard library looks at descriptors before it closes them.
const CHECKS: &[Call] =
    if cfg!(debug_assertions) { &[one_of!(SYS_fcntl, 1, &[LOOK]).unseen(IN_DEBUG_BUILDS)] } else { &[] };
const LOOK: u32 = libc::F_GETFD.unsigned_abs();
/// Of what release builds, which are traced, do not have.
pub(super) const IN_DEBUG_BUILDS: &str = "in debug builds only";

/// Whether it is only for debug builds that a call with this value is allowed.
pub(super) fn is_a_check(call: &Call, value: u32) -> bool {
    call.number == small(libc::SYS_fcntl) && value == LOOK
}

/// Of every thread: memory, locks, the log, and its own end.
const EVERY: &[Call] = &[
    any!(SYS_brk).unseen(OF_THE_ALLOCATOR),
    any!(SYS_clock_gettime).unseen("on hosts whose clock takes a system call"),
    any!(SYS_close).unseen("what a device had is closed by whichever thread lets it go last"),
    any!(SYS_exit).unseen(AT_ITS_END),
    any!(SYS_futex).unseen("when another thread has the lock"),
    any!(SYS_madvise).unseen(AT_ITS_END),
    no_code!(SYS_mmap).unseen(OF_THE_ALLOCATOR),
    no_code!(SYS_mprotect).unseen(OF_THE_ALLOCATOR),
    any!(SYS_munmap).unseen(AT_ITS_END),
    any!(SYS_rt_sigprocmask).unseen(AT_ITS_END),
    any!(SYS_sigaltstack).unseen(AT_ITS_END),
    any!(SYS_write),
];
/// It takes memory from the kernel when it has none, which is a matter of sizes and of luck.
const OF_THE_ALLOCATOR: &str = "the allocator takes memory";
/// Most VMMs are killed before their threads end.
const AT_ITS_END: &str = "at a thread's end";

/// Of an event loop.
const LOOP: &[Call] = &[any!(SYS_epoll_wait), any!(SYS_read)];

/// Of whoever waits: for rates, and for locks of files.
const TIMER: &[Call] = &[any!(SYS_timerfd_settime)];

/// Of vsock and the control channel: nothing connects or listens, connected sockets are received.
const SOCKETS: &[Call] = &[any!(SYS_accept4), any!(SYS_epoll_ctl), any!(SYS_recvmsg), any!(SYS_shutdown)];

/// Of a network over a TAP; one over a stream writes as to a file.
const FRAMES: &[Call] = &[any!(SYS_writev)];

/// Of a network of several queues: which of them the host's kernel gives frames to.
const QUEUES: &[Call] = &[one_of!(SYS_ioctl, 1, commands::OF_QUEUES)];

/// Of whoever starts threads, for a network or a disk that comes later and for the disks of a VM that goes on after its checkpoint, and of
/// those threads before they have their own filter. No filter sees the arguments of clone3, which lie in memory; where there is
/// none, the C library takes clone.
const THREADS: &[Call] = &[
    call!(SYS_clone, Arguments::With(0, libc::CLONE_THREAD.unsigned_abs())),
    call!(SYS_clone3, Arguments::Missing),
    any!(SYS_epoll_create1),
    any!(SYS_eventfd2),
    any!(SYS_gettid),
    any!(SYS_restart_syscall).unseen("a wait with an end while this process is stopped and continued"),
    any!(SYS_rseq),
    any!(SYS_sched_getaffinity),
    any!(SYS_seccomp),
    any!(SYS_set_robust_list),
    // A VMM that shares its user with others could end them.
    call!(SYS_tgkill, Arguments::ThisProcess(0)),
    any!(SYS_timerfd_create),
    one_of!(SYS_prctl, 0, &[libc::PR_SET_NAME.unsigned_abs()]),
];

/// Of whoever changes and saves the machine.
const MACHINE: &[Call] =
    &[any!(SYS_exit_group), any!(SYS_getpid), one_of!(SYS_ioctl, 1, commands::OF_THE_MACHINE)];

/// Of a vCPU.
const GUEST: &[Call] = &[
    one_of!(SYS_ioctl, 1, commands::OF_VCPUS),
    any!(SYS_rt_sigreturn),
    any!(SYS_shutdown).unseen("a driver resets its device while there are connections"),
];

/// Of the vCPUs of a VM that goes on, beside what the main thread has anyway.
const RESUMED: &[Call] = &[any!(SYS_rt_sigreturn)];

/// Of a disk.
const BLOCKS: &[Call] = &[any!(SYS_fallocate), any!(SYS_fdatasync), any!(SYS_preadv), any!(SYS_pwritev)];

/// Not F_SETOWN, by which a file signals any process.
const ON_FILES: &[u32] = if cfg!(debug_assertions) {
    &[LOOK, DUPLICATE, GET, SET, GET_LOCK, SET_LOCK]
} else {
    &[DUPLICATE, GET, SET, GET_LOCK, SET_LOCK]
};
const DUPLICATE: u32 = libc::F_DUPFD_CLOEXEC.unsigned_abs();
const SET: u32 = libc::F_SETFL.unsigned_abs();
const GET: u32 = libc::F_GETFL.unsigned_abs();
const GET_LOCK: u32 = libc::F_OFD_GETLK.unsigned_abs();
const SET_LOCK: u32 = libc::F_OFD_SETLK.unsigned_abs();

/// Of the shares: what a guest does to files (`devices::virtio::fs::files`).
const FILES: &[Call] = &[
    any!(SYS_fallocate),
    any!(SYS_fchmodat),
    any!(SYS_fchownat),
    one_of!(SYS_fcntl, 1, ON_FILES),
    any!(SYS_fdatasync),
    any!(SYS_flock),
    any!(SYS_fstatfs),
    any!(SYS_fsync),
    any!(SYS_ftruncate),
    any!(SYS_getdents64),
    // Keys of hash maps.
    any!(SYS_getrandom),
    any!(SYS_getxattr),
    any!(SYS_linkat),
    any!(SYS_listxattr),
    any!(SYS_lseek),
    any!(SYS_mkdirat),
    // No devices: the kinds S_IFCHR and S_IFBLK have this bit, those of files, sockets and FIFOs have not.
    call!(SYS_mknodat, Arguments::Without(2, 0o020_000)),
    any!(SYS_openat),
    any!(SYS_openat2),
    one_of!(SYS_prctl, 0, &[libc::PR_SET_SECUREBITS.unsigned_abs()]),
    any!(SYS_preadv),
    any!(SYS_pwritev),
    any!(SYS_readlinkat),
    any!(SYS_removexattr),
    any!(SYS_renameat2),
    any!(SYS_setresgid),
    any!(SYS_setresuid),
    any!(SYS_setxattr),
    any!(SYS_statx),
    any!(SYS_symlinkat),
    any!(SYS_umask),
    any!(SYS_unlinkat),
    one_of!(SYS_unshare, 0, &[libc::CLONE_FS.unsigned_abs()]),
    any!(SYS_utimensat),
];

/// Of the shares: what happens to files that a guest watches (`devices::virtio::fs::watches`), which the loop hears from the first
/// of them on.
const WATCHES: &[Call] =
    &[any!(SYS_epoll_ctl), any!(SYS_inotify_add_watch), any!(SYS_inotify_init1), any!(SYS_inotify_rm_watch)];
