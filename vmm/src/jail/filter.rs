//! A role's program, handed to the kernel (seccomp(2)).
#![allow(unsafe_code)] // seccomp(2)

use nix::errno::Errno;

use super::allowed::calls_of;
use super::program::Program;
use super::{JailError, Role};

static OF_MAIN: Program = Program::allowing(calls_of(Role::Main));
static OF_VCPUS: Program = Program::allowing(calls_of(Role::Vcpu));
static OF_DISKS: Program = Program::allowing(calls_of(Role::Disk));
static OF_NETWORKS: Program = Program::allowing(calls_of(Role::Network));
static OF_SHARES: Program = Program::allowing(calls_of(Role::Shares));

/// Installs the filter of a role for the calling thread, which has given up to gain privileges by a program.
pub(super) fn install(role: Role) -> Result<(), JailError> {
    let instructions = of(role).of_process(std::process::id());
    let program = libc::sock_fprog {
        len: u16::try_from(instructions.len()).unwrap_or(u16::MAX),
        filter: instructions.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies as many instructions as there are, and writes none.
    let answer =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    Errno::result(answer).map(drop).map_err(|source| JailError::Filter { role, source })
}

const fn of(role: Role) -> &'static Program {
    match role {
        Role::Main => &OF_MAIN,
        Role::Vcpu => &OF_VCPUS,
        Role::Disk => &OF_DISKS,
        Role::Network => &OF_NETWORKS,
        Role::Shares => &OF_SHARES,
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

    /// Does nothing but in a process that [`attempt`] starts.
    #[test]
    fn a_confined_process() {
        let Ok(attempt) = std::env::var(ATTEMPT) else { return };
        let (role, what) = attempt.split_once(' ').unwrap();
        let role = Role::ALL.into_iter().find(|known| format!("{known:?}") == role).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let parent = nix::unistd::getppid().as_raw();
        // A thread, as few roles end the process.
        let what = what.to_owned();
        let confined = move || {
            nix::sys::prctl::set_no_new_privs().unwrap();
            install(role).unwrap();
            match what.as_str() {
                "what it may" => file.write_all(b"a line").unwrap(),
                "a socket" => drop(TcpListener::bind("127.0.0.1:0")),
                "a file" => drop(std::fs::File::open("/etc/passwd")),
                "its parent" => drop(nix::unistd::getppid()),
                // SAFETY: looks whether there is such a thread, and sends it nothing.
                "a signal" => drop(unsafe { libc::syscall(libc::SYS_tgkill, parent, parent, 0) }),
                "a program" => drop(Command::new("/bin/true").spawn()),
                other => panic!("{other}"),
            }
        };
        std::thread::spawn(confined).join().unwrap();
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
            for what in ["a socket", "its parent", "a signal", "a program"] {
                assert_eq!(attempt(role, what).signal(), Some(libc::SIGSYS), "{role:?}: {what}");
            }
            // Landlock decides about the files of the one that may open any.
            let opens = role == Role::Shares;
            assert_eq!(attempt(role, "a file").signal(), (!opens).then_some(libc::SIGSYS), "{role:?}");
        }
    }
}
