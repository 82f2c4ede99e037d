//! The host's files, by Landlock (Linux `Documentation/userspace-api/landlock.rst`): what is open stays usable, and nothing else
//! can be opened, made, renamed or removed but below shared directories.

use std::path::Path;

use holm_protocol::vm_config::ShareConfig;
use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetStatus,
};

use super::JailError;

/// The newest rules that are asked for; an older kernel keeps those that it knows.
const NEWEST: ABI = ABI::V5;

/// The rules for a process that may open what is below its shares, found by their names.
pub(super) fn only_below(shares: &[ShareConfig]) -> Result<RulesetCreated, JailError> {
    let everything = AccessFs::from_all(NEWEST);
    let ruleset = Ruleset::default().handle_access(everything).map_err(JailError::Files)?;
    let ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST)).map_err(JailError::Files)?;
    let mut ruleset = ruleset.create().map_err(JailError::Files)?;
    for share in shares {
        let access = if share.read_only { AccessFs::from_read(NEWEST) } else { everything };
        let directory = PathFd::new(&share.directory).map_err(JailError::Share)?;
        ruleset = ruleset.add_rule(PathBeneath::new(directory, access)).map_err(JailError::Files)?;
    }
    Ok(ruleset)
}

/// Those rules, and one for a directory in which the host mounts what is shared later.
pub(super) fn and_below(rules: RulesetCreated, directory: &Path) -> Result<RulesetCreated, JailError> {
    let directory = PathFd::new(directory).map_err(JailError::Share)?;
    rules.add_rule(PathBeneath::new(directory, AccessFs::from_all(NEWEST))).map_err(JailError::Files)
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
        };
        thread::spawn(confined).join().unwrap();
    }
}
