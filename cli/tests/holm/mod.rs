//! The `holm` program with directories of its own.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Roots and configuration.
pub(crate) struct Holm {
    pub(crate) directory: tempfile::TempDir,
}

#[allow(dead_code, reason = "not every test needs every one")]
impl Holm {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.toml"), "").unwrap();
        Self { directory }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let at = |name: &str| self.directory.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
        command.args(arguments).stdin(Stdio::null());
        command.env("HOLM_ROOT", at("root")).env("HOLM_RUN", at("run"));
        command.env("HOLM_CONFIG", at("config.toml")).env("DOCKER_CONFIG", at("docker"));
        command
    }

    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn fails(&self, arguments: &[&str], words: &str) {
        let output = self.command(arguments).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words) && stderr.lines().count() == 1, "{arguments:?}: {stderr}");
    }

    pub(crate) fn config(&self, toml: &str) {
        fs::write(self.directory.path().join("config.toml"), toml).unwrap();
    }

    pub(crate) fn with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
