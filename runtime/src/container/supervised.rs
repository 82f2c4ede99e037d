//! Whether somebody owns a container at the moment.

use std::fs;

use super::error::ContainerError;
use super::store::Container;

impl Container {
    /// Whether the supervisor that its state names is alive. A supervisor that was killed leaves a state that says
    /// "running", and its number may be another process's by now: a supervisor has the container's id on its command
    /// line.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn is_supervised(&self) -> Result<bool, ContainerError> {
        let pid = self.state()?.supervisor_pid;
        // A process that ended, also one that nobody waited for yet, has no command line.
        let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        Ok(command_line.split(|byte| *byte == 0).any(|word| word == self.id.as_str().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::super::{ContainerName, ContainerStore, Record, State, Status};
    use crate::host::Directories;
    use std::process::{Command, Stdio};

    #[test]
    fn only_a_live_process_with_the_containers_id_is_its_supervisor() {
        let dir = tempfile::tempdir().unwrap();
        let directories = Directories::at(dir.path().join("root"), dir.path().join("run"));
        directories.create().unwrap();
        let record = Record {
            created: time::OffsetDateTime::UNIX_EPOCH,
            nonce: String::new(),
            image_id: "sha256:0".into(),
            image: "busybox".into(),
            name: ContainerName::generated(0),
            settings: Settings::default(),
        };
        let container = ContainerStore::new(directories).create(record, None).unwrap();
        assert!(!container.is_supervised().unwrap(), "never started");
        let says = |supervisor_pid| {
            let state = State { status: Status::Running, supervisor_pid, ..State::default() };
            container.write_state(&state).unwrap();
            container.is_supervised().unwrap()
        };
        assert!(!says(std::process::id()), "another process");
        // Waits for the end of its input.
        let mut supervisor = Command::new("sh")
            .args(["-c", "read line", "supervise", container.id.as_str()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(says(supervisor.id()));
        drop(supervisor.stdin.take());
        supervisor.wait().unwrap();
        assert!(!says(supervisor.id()));
    }
}
