//! The host's files, by Landlock (Linux `Documentation/userspace-api/landlock.rst`): what is open stays usable, and nothing else
//! can be opened, made, renamed or removed but below shared directories. Where the kernel has rules for them (6.7 and 6.12), TCP
//! ports, abstract sockets and the signals of other processes are out of reach, too.

use std::path::Path;

use holm_protocol::vm_config::ShareConfig;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::JailError;

/// The newest rules that are asked for; an older kernel keeps those that it knows.
const NEWEST: ABI = ABI::V6;

/// All but making devices: whoever makes one of a disk of the host, and opens it, has the host.
fn but_devices() -> BitFlags<AccessFs> {
    AccessFs::from_all(NEWEST) & !(AccessFs::MakeBlock | AccessFs::MakeChar)
}

/// The rules for a process that may open what is below its shares, found by their names.
pub(super) fn only_below(shares: &[ShareConfig]) -> Result<RulesetCreated, JailError> {
    let everything = AccessFs::from_all(NEWEST);
    let ruleset = Ruleset::default().handle_access(everything).map_err(JailError::Files)?;
    let ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST)).map_err(JailError::Files)?;
    // Of an ordinary user's VMM, which sees his other processes.
    let ruleset = ruleset.scope(Scope::from_all(NEWEST)).map_err(JailError::Files)?;
    let mut ruleset = ruleset.create().map_err(JailError::Files)?;
    for share in shares {
        let access = if share.read_only { AccessFs::from_read(NEWEST) } else { but_devices() };
        let directory = PathFd::new(&share.directory).map_err(JailError::Share)?;
        ruleset = ruleset.add_rule(PathBeneath::new(directory, access)).map_err(JailError::Files)?;
    }
    Ok(ruleset)
}

/// Those rules, and one for a directory in which the host mounts what is shared later.
pub(super) fn and_below(rules: RulesetCreated, directory: &Path) -> Result<RulesetCreated, JailError> {
    let directory = PathFd::new(directory).map_err(JailError::Share)?;
    rules.add_rule(PathBeneath::new(directory, but_devices())).map_err(JailError::Files)
}

/// Confines this process, which then cannot mount anything either.
pub(super) fn confine(rules: RulesetCreated) -> Result<(), JailError> {
    let status = rules.restrict_self().map_err(JailError::Files)?;
    if status.ruleset == RulesetStatus::NotEnforced {
        tracing::info!("the host's kernel has no Landlock that would do: the VMM is confined without it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind::PermissionDenied;
    use std::thread;

    use landlock::{CompatLevel, Compatible};
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    use rustix::process::{getpid, getppid, test_kill_process};

    use super::*;

    /// Landlock holds for the thread that asks and those that it starts. Fails on a kernel without it.
    #[test]
    fn nothing_can_be_opened_but_below_shares() {
        let directory = tempfile::tempdir().unwrap();
        let [ours, theirs, outside] = ["ours", "theirs", "outside"].map(|name| directory.path().join(name));
        for path in [&ours, &theirs, &outside] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("file"), "text").unwrap();
        }
        let share = |directory: &std::path::Path, read_only| ShareConfig {
            directory: directory.to_owned(),
            only: None,
            read_only,
        };
        let shares = [share(&ours, false), share(&theirs, true)];
        let confined = move || {
            confine(only_below(&shares).unwrap()).unwrap();
            let refused = |error: std::io::Error| assert_eq!(error.kind(), PermissionDenied);
            File::create(ours.join("new")).unwrap();
            fs::rename(ours.join("new"), ours.join("other")).unwrap();
            File::open(theirs.join("file")).unwrap();
            refused(File::create(theirs.join("new")).unwrap_err());
            refused(File::options().write(true).open(theirs.join("file")).unwrap_err());
            refused(File::open(outside.join("file")).unwrap_err());
            refused(fs::read_dir("/").unwrap_err());
            // No devices, not even where files may be made.
            let made =
                |kind| mknodat(CWD, ours.join("device"), kind, Mode::RUSR, makedev(1, 3)).map_err(Into::into);
            refused(made(FileType::CharacterDevice).unwrap_err());
            refused(made(FileType::BlockDevice).unwrap_err());
        };
        thread::spawn(confined).join().unwrap();
    }

    /// What a kernel before 6.12 does not promise, nobody can hold it to.
    #[test]
    fn other_processes_cannot_be_signalled_where_the_kernel_knows_how() {
        let needed = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        if needed.scope(Scope::Signal).is_err() {
            return;
        }
        let confined = || {
            confine(only_below(&[]).unwrap()).unwrap();
            assert_eq!(test_kill_process(getppid().unwrap()), Err(rustix::io::Errno::PERM));
            assert_eq!(test_kill_process(getpid()), Ok(()));
        };
        thread::spawn(confined).join().unwrap();
    }
}
