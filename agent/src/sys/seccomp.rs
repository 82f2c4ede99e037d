//! seccomp(2): installing a compiled filter.

#![allow(unsafe_code)] // Raw system call.

use nix::Result;
use nix::errno::Errno;

pub(crate) use libc::sock_filter as Instruction;

/// Installs a filter for this thread and all it will become. `flags` are `SECCOMP_FILTER_FLAG_*`.
///
/// Needs no-new-privileges or CAP_SYS_ADMIN.
pub(crate) fn install(program: &[Instruction], flags: libc::c_ulong) -> Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: `program` describes live instructions, which the kernel only reads and checks.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    Errno::result(done).map(drop)
}
