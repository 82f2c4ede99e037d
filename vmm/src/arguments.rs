//! The command line of `holm-vmm`.
//!
//! Two forms, read by hand: the process is started once per container, by the runtime, and an argument parser would be
//! most of its start-up code.
//!
//! ```text
//! holm-vmm --config-fd N [--parent PID]    run the VM that the JSON document on descriptor N describes
//! holm-vmm --probe                         tell whether KVM can run guests
//! ```

use std::ffi::OsString;
use std::os::fd::RawFd;

/// What the process is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Run the VM described on this descriptor.
    Run {
        /// An open descriptor, inherited.
        config_fd: RawFd,
        /// The process with which the VM shall end: the one that started it.
        parent: Option<i32>,
    },
    /// Run a throwaway VM for a few milliseconds.
    Probe,
}

/// Neither form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("usage: holm-vmm --config-fd N [--parent PID] | holm-vmm --probe")]
pub struct UsageError;

/// Parses the arguments behind the program's name.
///
/// # Errors
/// [`UsageError`]
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, UsageError> {
    let words: Vec<OsString> = arguments.into_iter().take(5).collect();
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or("")).collect();
    match words[..] {
        ["--probe"] => Ok(Arguments::Probe),
        ["--config-fd", fd] => Ok(Arguments::Run { config_fd: number(fd)?, parent: None }),
        ["--config-fd", fd, "--parent", pid] => {
            Ok(Arguments::Run { config_fd: number(fd)?, parent: Some(number(pid)?) })
        }
        _ => Err(UsageError),
    }
}

fn number(word: &str) -> Result<i32, UsageError> {
    word.parse().ok().filter(|number| *number >= 0).ok_or(UsageError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Arguments, UsageError> {
        parse(words.iter().map(Into::into))
    }

    #[test]
    fn only_the_two_forms_are_taken() {
        assert_eq!(parsed(&["--probe"]), Ok(Arguments::Probe));
        assert_eq!(parsed(&["--config-fd", "3"]), Ok(Arguments::Run { config_fd: 3, parent: None }));
        let with_parent = parsed(&["--config-fd", "0", "--parent", "7"]);
        assert_eq!(with_parent, Ok(Arguments::Run { config_fd: 0, parent: Some(7) }));
        for wrong in [
            &[][..],
            &["--config-fd"],
            &["--config-fd", "-1"],
            &["--config-fd", "x"],
            &["--probe", "x"],
            &["--config-fd", "0", "--parent"],
        ] {
            assert_eq!(parsed(wrong), Err(UsageError), "{wrong:?}");
        }
    }
}
