//! What a finished command left behind.

use std::process::Output;

/// Exit code and output of a command, with assertions that show both when they fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code; 128 + signal when it was killed.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code().or_else(|| output.status.signal().map(|s| 128 + s)).unwrap_or(-1);
        Self { code, stdout: output.stdout, stderr: output.stderr }
    }
}

impl Outcome {
    /// Standard output as text, without the last newline.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end_matches('\n').to_owned()
    }

    /// Standard error as text, without the last newline.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim_end_matches('\n').to_owned()
    }

    /// Asserts that it succeeded, and gives standard output.
    ///
    /// # Panics
    /// When it failed.
    #[track_caller]
    pub fn ok(&self) -> String {
        assert_eq!(self.code, 0, "failed\nstdout: {}\nstderr: {}", self.out(), self.err());
        self.out()
    }

    /// Asserts that it failed so, with these words in one line of standard error.
    ///
    /// # Panics
    /// When it did something else.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &str) {
        let err = self.err();
        assert_eq!(self.code, code, "stdout: {}\nstderr: {err}", self.out());
        assert!(err.contains(words), "stderr lacks {words:?}: {err}");
        assert_eq!(err.lines().count(), 1, "one clear message, not: {err}");
    }
}
