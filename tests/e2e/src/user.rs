//! An ordinary user of the host who may use KVM, and nothing else that others may not.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

const NAME: &str = "holm-tests";
const LOCK: &str = "/var/lib/holm-tests/user.lock";

/// The user, with his directories.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) home: PathBuf,
    /// What a session's manager makes for him.
    pub(crate) runtime: PathBuf,
}

impl User {
    /// Makes the user, once.
    pub(crate) fn ready() -> Self {
        let lock = File::create(LOCK).expect("lock file");
        lock.lock().expect("lock");
        let home = PathBuf::from(format!("/home/{NAME}"));
        if !home.exists() {
            let made = Command::new("useradd").args(["-m", "-G", "kvm", NAME]).status();
            assert!(made.expect("start useradd").success(), "make the user {NAME}");
        }
        let owner = fs::metadata(&home).expect("the user's home");
        let runtime = PathBuf::from(format!("/run/user/{}", owner.uid()));
        fs::create_dir_all(&runtime).expect("the user's runtime directory");
        chown(&runtime, Some(owner.uid()), Some(owner.gid())).expect("give the user his directory");
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).expect("permissions");
        // What udev does, where it runs.
        let kvm = Command::new("sh").args(["-c", "chgrp kvm /dev/kvm && chmod g+rw /dev/kvm"]).status();
        assert!(kvm.expect("start sh").success(), "give group kvm its device");
        Self { home, runtime }
    }

    /// A program that runs as the user.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NAME, "--regid", NAME, "--init-groups", "--no-new-privs", program]);
        command.current_dir(&self.home).env("HOME", &self.home).env("XDG_RUNTIME_DIR", &self.runtime);
        command
    }
}
