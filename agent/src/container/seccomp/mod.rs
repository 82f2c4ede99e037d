//! `linux.seccomp` to a classic BPF filter (config-linux.md "Seccomp", seccomp(2)).
//!
//! Own compiler: seccompiler has one action per filter and walks its list one call after another. Docker's profile has
//! several actions, and the kernel runs every filter once per system call number when it is installed (to cache what is
//! always allowed), so a list of 350 costs a container's start 20 times what a binary search does.
//!
//! ```text
//! rules by name --[rules]--> per number: conditions and actions --[segments]--> ranges --[assemble]--> instructions
//! ```

mod assemble;
mod condition;
mod rules;
mod segments;
mod syscalls;

use crate::fault::Fault;
use crate::oci;
use crate::sys::seccomp::Instruction;

/// A compiled filter and the flags to install it with.
#[derive(Clone)]
pub(crate) struct Filter {
    program: Vec<Instruction>,
    flags: libc::c_ulong,
}

impl Filter {
    /// Compiles a profile.
    ///
    /// # Errors
    /// What the agent cannot enforce (user notification, unknown flags) is refused, never left out.
    pub(crate) fn compile(profile: &oci::Seccomp) -> Result<Self, Fault> {
        let default = rules::action(profile.default_action, profile.default_errno_ret)?;
        let segments = segments::build(&rules::collect(profile)?, default);
        Ok(Self { program: assemble::program(&segments)?, flags: flags(profile.flags.as_deref())? })
    }

    /// Installs the filter for the calling process; see [`crate::sys::seccomp::install`].
    pub(crate) fn install(&self) -> nix::Result<()> {
        crate::sys::seccomp::install(&self.program, self.flags)
    }
}

fn flags(names: Option<&[String]>) -> Result<libc::c_ulong, Fault> {
    // Without flags runc, too, leaves the speculation controls to the system's setting.
    let Some(names) = names else { return Ok(libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW) };
    names.iter().try_fold(0, |flags, name| match name.as_str() {
        // One thread calls seccomp, so there is none to synchronise.
        "SECCOMP_FILTER_FLAG_TSYNC" => Ok(flags),
        "SECCOMP_FILTER_FLAG_LOG" => Ok(flags | libc::SECCOMP_FILTER_FLAG_LOG),
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Ok(flags | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW),
        _ => Err(Fault::invalid(format!("seccomp flag {name} is not supported"))),
    })
}

#[cfg(test)]
mod tests;
