//! One process, checked: the container's first or a further one (config.md "Process").

use std::ffi::CString;

use nix::sys::personality::Persona;

use super::capabilities::CapabilitySets;
use super::environment;
use super::rlimits::{self, Limit};
use super::seccomp::Filter;
use super::start_hooks::StartHooks;
use crate::fault::{At, Fault};
use crate::oci;

/// Size of a terminal in characters; 0 by 0 leaves the kernel's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TerminalSize {
    pub(crate) columns: u16,
    pub(crate) rows: u16,
}

impl TerminalSize {
    /// Checks a size from the protocol.
    pub(crate) fn new(columns: u32, rows: u32) -> Result<Self, Fault> {
        let side = |n: u32| u16::try_from(n).refuse(format_args!("terminal of {columns} by {rows}"));
        Ok(Self { columns: side(columns)?, rows: side(rows)? })
    }
}

/// Everything that a process needs to know about itself.
pub(crate) struct ProcessPlan {
    pub(crate) args: Vec<CString>,
    /// The program as it was written: the first argument.
    pub(crate) program: String,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: String,
    pub(crate) user: oci::User,
    /// The pseudo-terminal that it gets, if any.
    pub(crate) terminal: Option<TerminalSize>,
    pub(crate) capabilities: CapabilitySets,
    pub(crate) rlimits: Vec<Limit>,
    pub(crate) no_new_privileges: bool,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) seccomp: Option<Filter>,
    /// The execution domain (personality(2)).
    pub(crate) personality: Option<Persona>,
    /// Runs below a small init instead of being PID 1 itself.
    pub(crate) init: bool,
    /// Run before it, in its place.
    pub(crate) start_hooks: StartHooks,
}

impl ProcessPlan {
    /// Checks a process.
    pub(crate) fn new(
        process: &oci::Process,
        size: TerminalSize,
        seccomp: Option<Filter>,
        personality: Option<Persona>,
    ) -> Result<Self, Fault> {
        let program =
            process.args.first().cloned().ok_or_else(|| Fault::invalid("the process has no arguments"))?;
        if !process.cwd.starts_with('/') || process.cwd.contains('\0') {
            return Err(Fault::invalid(format!("working directory {:?} is not absolute", process.cwd)));
        }
        for (label, what) in [(&process.apparmor_profile, "AppArmor"), (&process.selinux_label, "SELinux")] {
            // Engines set their default profiles always; the guest kernel has neither of the two.
            if let Some(label) = label.as_ref().filter(|label| !label.is_empty()) {
                tracing::info!("{what} {label:?} is not applied: the guest kernel has no {what}");
            }
        }
        Ok(Self {
            args: process
                .args
                .iter()
                .map(|arg| CString::new(arg.as_str()))
                .collect::<Result<_, _>>()
                .refuse("arguments")?,
            program,
            env: environment::check(&process.env)?,
            cwd: process.cwd.clone(),
            user: process.user.clone(),
            terminal: process.terminal.then_some(size),
            capabilities: CapabilitySets::new(&process.capabilities)?,
            rlimits: rlimits::check(&process.rlimits)?,
            no_new_privileges: process.no_new_privileges,
            oom_score_adj: process.oom_score_adj,
            seccomp,
            personality,
            init: false,
            start_hooks: StartHooks::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<ProcessPlan, Fault> {
        ProcessPlan::new(&serde_json::from_str(json).unwrap(), TerminalSize::default(), None, None)
    }

    #[test]
    fn a_process_is_checked() {
        let sound = plan(r#"{"args": ["sh", "-c", "true"], "cwd": "/", "terminal": true}"#).unwrap();
        assert_eq!((sound.args.len(), sound.terminal.is_some()), (3, true));
        for refused in [
            r#"{"cwd": "/"}"#,
            r#"{"args": [], "cwd": "/"}"#,
            r#"{"args": ["a"], "cwd": "tmp"}"#,
            r#"{"args": ["a\u0000b"], "cwd": "/"}"#,
        ] {
            assert!(plan(refused).is_err(), "{refused}");
        }
        assert!(TerminalSize::new(70_000, 1).is_err());
    }
}
