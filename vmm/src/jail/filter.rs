//! From the table to a filter in the kernel (seccomp(2)).

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::syscalls::{self, Arguments};
use super::{JailError, Role};

/// Linux `clone(2)` flags of a thread, and not of a process.
const CLONE_THREAD: u64 = 0x1_0000;

/// Installs the filter of a role for the calling thread.
pub(super) fn install(role: Role) -> Result<(), JailError> {
    if syscalls::of(role).any(|call| call.number == libc::SYS_clone) {
        let fallback = thread_fallback().map_err(|error| JailError::Filter(role, error))?;
        apply_filter(&fallback).map_err(|error| JailError::Install(role, error))?;
    }
    let filter = of(role).map_err(|error| JailError::Filter(role, error))?;
    apply_filter(&filter).map_err(|error| JailError::Install(role, error))
}

/// All that the role may call; anything else kills the process.
fn of(role: Role) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in syscalls::of(role) {
        rules.insert(call.number, conditions(call.arguments)?);
    }
    if rules.contains_key(&libc::SYS_clone) {
        // Refused by the other filter; this one would kill.
        rules.insert(libc::SYS_clone3, Vec::new());
    }
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, TargetArch::x86_64)?
        .try_into()
}

/// No filter sees the arguments of clone3, which lie in memory. The C library falls back to clone where there is none.
fn thread_fallback() -> Result<BpfProgram, BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, missing, TargetArch::x86_64)?.try_into()
}

/// Rules of which one has to hold.
fn conditions(arguments: Arguments) -> Result<Vec<SeccompRule>, BackendError> {
    use SeccompCmpArgLen::{Dword, Qword};
    let one = |index, length, operator, value| {
        SeccompRule::new(vec![SeccompCondition::new(index, length, operator, value)?])
    };
    match arguments {
        Arguments::Any => Ok(Vec::new()),
        Arguments::OneOf(index, values) => {
            values.iter().map(|value| one(index, Dword, SeccompCmpOp::Eq, *value)).collect()
        }
        Arguments::NotExecutable => {
            let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
            Ok(vec![one(2, Dword, SeccompCmpOp::MaskedEq(executable), 0)?])
        }
        Arguments::Thread => Ok(vec![one(0, Qword, SeccompCmpOp::MaskedEq(CLONE_THREAD), CLONE_THREAD)?]),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::net::TcpListener;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus};

    use super::*;

    /// The variable that tells [`a_confined_process`] its role and what it tries.
    const ATTEMPT: &str = "HOLM_TEST_ATTEMPT";

    #[test]
    fn every_role_has_a_filter() {
        for role in Role::ALL {
            assert!(!of(role).unwrap().is_empty(), "{role:?}");
        }
        assert!(!thread_fallback().unwrap().is_empty());
    }

    /// Does nothing but in a process that [`attempt`] starts.
    #[test]
    fn a_confined_process() {
        let Ok(attempt) = std::env::var(ATTEMPT) else { return };
        let (role, what) = attempt.split_once(' ').unwrap();
        let role = Role::ALL.into_iter().find(|known| format!("{known:?}") == role).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        install(role).unwrap();
        match what {
            "what it may" => file.write_all(b"a line").unwrap(),
            "a socket" => drop(TcpListener::bind("127.0.0.1:0")),
            "a file" => drop(std::fs::File::open("/etc/passwd")),
            "its parent" => drop(nix::unistd::getppid()),
            "a program" => drop(Command::new("/bin/true").spawn()),
            other => panic!("{other}"),
        }
        io::stdout().flush().unwrap();
        std::process::exit(0);
    }

    /// How a process of this role ends that tries something.
    fn attempt(role: Role, what: &str) -> ExitStatus {
        let test = "jail::filter::tests::a_confined_process";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--test-threads", "1"]).env(ATTEMPT, format!("{role:?} {what}"));
        command.output().unwrap().status
    }

    #[test]
    fn what_is_not_in_the_table_ends_the_process() {
        for role in Role::ALL {
            assert_eq!(attempt(role, "what it may").code(), Some(0), "{role:?}");
            for what in ["a socket", "its parent", "a program"] {
                assert_eq!(attempt(role, what).signal(), Some(libc::SIGSYS), "{role:?}: {what}");
            }
            // Landlock decides about the files of the one that may open any.
            let opens = role == Role::Shares;
            assert_eq!(attempt(role, "a file").signal(), (!opens).then_some(libc::SIGSYS), "{role:?}");
        }
    }
}
