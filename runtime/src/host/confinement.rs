//! What a supervisor gives up for as long as it lives: it parses what a guest's agent says, and starts the VMM and some programs of
//! the host. And what a command gives up before it takes what comes from a guest, an archive or a registry: it has nothing more to
//! open then but below few directories.
//!
//! Capabilities are dropped by one call and for good: of a process that renounced new privileges, a program that it executes has
//! no more than it has itself (capabilities(7)), whatever the bounding set says.

use std::path::Path;

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    path_beneath_rules,
};
use nix::errno::Errno;
use nix::sys::prctl::{set_dumpable, set_no_new_privs};

/// What setting up a VM takes beside its files, with its networks and its jail. Not there is what would change the host's kernel or
/// its clock, audit or log of it, or make devices.
const FOR_VMS: [Capability; 13] = [
    // VMMs and passt have users of their own.
    Capability::CAP_KILL,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_SETUID,
    // Networks, and ports below 1024.
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
    // Namespaces, mounts, cgroups.
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_CHROOT,
    // Into a VMM's mount namespace, which has another user.
    Capability::CAP_SYS_PTRACE,
    // On which processors a VMM runs, which has another user.
    Capability::CAP_SYS_NICE,
    // Limits of open files, and scores for running out of memory.
    Capability::CAP_SYS_RESOURCE,
    // What the kernel says when it killed a VMM for memory.
    Capability::CAP_SYSLOG,
];

/// What the files of others take: those of containers belong to their users.
const FOR_FILES: [Capability; 6] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_SETFCAP,
];

/// The newest rules for files and TCP ports that are asked for; an older kernel keeps those that it knows, or none.
const NEWEST_RULES: ABI = ABI::V5;

/// Why a program does not run: it keeps what it need not have.
#[derive(Debug, thiserror::Error)]
pub enum ConfinementError {
    /// prctl(2) failed.
    #[error("cannot renounce new privileges")]
    Privileges(#[source] Errno),
    /// Its capabilities cannot be dropped.
    #[error("cannot drop capabilities")]
    Capabilities(#[source] CapsError),
    /// Landlock is there and refuses.
    #[error("cannot renounce the host's files")]
    Files(#[source] RulesetError),
}

/// Hides the process from others of its user: its memory, in which are the workload's variables and the agent's channel, and its
/// descriptors. It leaves no core dump either.
///
/// # Errors
/// The host refuses.
pub fn hide() -> Result<(), ConfinementError> {
    set_dumpable(false).map_err(ConfinementError::Privileges)
}

/// Gives up what no VM takes, for good. Call it before there are other threads: those that are keep what they have.
///
/// # Errors
/// The host refuses.
pub fn renounce() -> Result<(), ConfinementError> {
    keep(&[&FOR_FILES, &FOR_VMS])
}

/// What is left to a command that confines itself, beside what it has open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Left<'a> {
    /// Below these it reads, writes, makes and removes.
    pub directories: &'a [&'a Path],
    /// These, and what is below them, it reads. One that is not there is none.
    pub readable: &'a [&'a Path],
    /// What it does with files of other users, as far as it could before.
    pub of_others: OfOthers,
    /// It makes TCP connections; it never takes any.
    pub connections: bool,
}

/// What is left of root's rights to files of other users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OfOthers {
    /// What their owners let everybody do.
    #[default]
    Nothing,
    /// To find and read them.
    Reading,
    /// All.
    Everything,
}

impl OfOthers {
    const fn capabilities(self) -> &'static [Capability] {
        match self {
            Self::Nothing => &[],
            Self::Reading => &[Capability::CAP_DAC_READ_SEARCH],
            Self::Everything => &FOR_FILES,
        }
    }
}

/// Gives up everything else, and to execute programs. What is open stays so, and sockets in the file system can be connected to. Call
/// it before there are other threads.
///
/// # Errors
/// The host refuses. A kernel without Landlock does not: then it is the capabilities that are dropped.
pub fn confine(left: &Left<'_>) -> Result<(), ConfinementError> {
    holm_faults::prepare();
    keep(&[left.of_others.capabilities()])?;
    let all = AccessFs::from_all(NEWEST_RULES);
    let ports = if left.connections { AccessNet::BindTcp.into() } else { AccessNet::from_all(NEWEST_RULES) };
    let rules = Ruleset::default().handle_access(all).and_then(|rules| {
        rules
            .handle_access(ports)?
            .create()?
            .add_rules(path_beneath_rules(left.directories, all & !AccessFs::Execute))?
            .add_rules(path_beneath_rules(left.readable, AccessFs::ReadFile | AccessFs::ReadDir))?
            .restrict_self()
    });
    rules.map(drop).map_err(ConfinementError::Files)
}

/// Drops all other capabilities, for good.
fn keep(capabilities: &[&[Capability]]) -> Result<(), ConfinementError> {
    set_no_new_privs().map_err(ConfinementError::Privileges)?;
    let has = caps::read(None, CapSet::Permitted).map_err(ConfinementError::Capabilities)?;
    let named = capabilities.concat().into_iter();
    let kept: CapsHashSet = named.filter(|capability| has.contains(capability)).collect();
    if kept.len() == has.len() {
        return Ok(());
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(ConfinementError::Capabilities)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind::PermissionDenied;
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;

    use super::*;

    /// The line of proc_pid_status(5) that a program sees which this thread executes.
    fn of_a_program(name: &str) -> String {
        let out = Command::new("grep").args([name, "/proc/self/status"]).output().unwrap().stdout;
        String::from_utf8(out).unwrap().trim().to_owned()
    }

    /// As root a program would get every capability back.
    #[test]
    fn what_was_renounced_comes_back_with_no_program() {
        let renounced = || {
            renounce().unwrap();
            let left = caps::read(None, CapSet::Permitted).unwrap();
            assert!(
                left.iter().all(|capability| FOR_FILES.contains(capability) || FOR_VMS.contains(capability))
            );
            let mask = left.iter().fold(0, |mask, capability| mask | capability.bitmask());
            assert_eq!(of_a_program("CapPrm"), format!("CapPrm:\t{mask:016x}"));
            assert_eq!(of_a_program("NoNewPrivs"), "NoNewPrivs:\t1");
        };
        std::thread::spawn(renounced).join().unwrap();
    }

    /// Fails on a kernel without Landlock.
    #[test]
    fn nothing_is_opened_but_below_what_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let [left, other] = ["left", "other"].map(|name| directory.path().join(name));
        for path in [&left, &other] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("file"), "text").unwrap();
        }
        let confined = move || {
            let of_others = OfOthers::Everything;
            confine(&Left { directories: &[&left], of_others, ..Left::default() }).unwrap();
            File::create(left.join("new")).unwrap();
            fs::rename(left.join("new"), left.join("file")).unwrap();
            let refused = |error: std::io::Error| assert_eq!(error.kind(), PermissionDenied);
            refused(File::create(other.join("new")).unwrap_err());
            refused(File::open(other.join("file")).unwrap_err());
            refused(File::open("/etc/passwd").unwrap_err());
            refused(Command::new("/bin/true").spawn().unwrap_err());
            let kept = caps::read(None, CapSet::Permitted).unwrap();
            assert!(kept.iter().all(|capability| FOR_FILES.contains(capability)));
        };
        std::thread::spawn(confined).join().unwrap();
    }

    /// Fails on a kernel without Landlock, or with one before 6.7.
    #[test]
    fn what_is_left_to_read_is_not_written_and_connections_are_made_and_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let [readable, other] = ["readable", "other"].map(|name| directory.path().join(name));
        fs::write(&readable, "text").unwrap();
        fs::write(&other, "text").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let confined = move || {
            let missing = directory.path().join("missing");
            confine(&Left { readable: &[&readable, &missing], connections: true, ..Left::default() })
                .unwrap();
            assert_eq!(fs::read(&readable).unwrap(), b"text");
            let refused = |error: std::io::Error| assert_eq!(error.kind(), PermissionDenied);
            refused(File::create(&readable).unwrap_err());
            refused(File::open(&other).unwrap_err());
            refused(fs::read_dir(directory.path()).unwrap_err());
            refused(Command::new("/bin/true").spawn().unwrap_err());
            TcpStream::connect(there).unwrap();
            refused(TcpListener::bind("127.0.0.1:0").unwrap_err());
            assert!(caps::read(None, CapSet::Permitted).unwrap().is_empty());
        };
        std::thread::spawn(confined).join().unwrap();
    }

    #[test]
    fn without_connections_there_are_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let confined = move || {
            confine(&Left { of_others: OfOthers::Reading, ..Left::default() }).unwrap();
            assert_eq!(TcpStream::connect(there).unwrap_err().kind(), PermissionDenied);
            let kept = caps::read(None, CapSet::Permitted).unwrap();
            assert!(kept.iter().all(|capability| *capability == Capability::CAP_DAC_READ_SEARCH));
        };
        std::thread::spawn(confined).join().unwrap();
    }
}
