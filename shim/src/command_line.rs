//! The words by which containerd calls a shim. Its flags are Go's, with one dash.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Tasks of containerd that each run in a microVM of their own
#[derive(Debug, Parser)]
#[command(name = "containerd-shim-holm-v2", version, max_term_width = 100)]
pub(crate) struct CommandLine {
    /// The container's namespace in containerd
    #[arg(long, default_value = "", global = true)]
    pub(crate) namespace: String,
    /// The container's id
    #[arg(long, default_value = "", global = true)]
    pub(crate) id: String,
    /// containerd's socket
    #[arg(long, default_value = "", global = true)]
    pub(crate) address: String,
    /// Ignored: events go over containerd's ttrpc socket
    #[arg(long, default_value = "", global = true)]
    pub(crate) publish_binary: String,
    /// The container's bundle; the working directory without it
    #[arg(long, default_value = ".", global = true)]
    pub(crate) bundle: PathBuf,
    /// Write more messages to the bundle's log
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start a shim; print the address at which it serves the task API
    Start,
    /// Clean up after a shim that died
    Delete,
    /// Serve the task API at the socket that is standard input (internal)
    #[command(hide = true)]
    Serve,
    /// Stand for a container (internal)
    #[command(hide = true)]
    Supervise {
        /// What was found out before
        words: String,
    },
    /// Become a logging binary (internal)
    #[command(hide = true)]
    Log {
        /// Which, with its arguments
        words: String,
    },
    /// Stand for a process beside a container's own (internal)
    #[command(hide = true)]
    Hold {
        /// Number of the descriptor that tells what to do
        descriptor: i32,
    },
}

/// `-name` as `--name`: no flag here has one letter.
pub(crate) fn long_flags(words: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    words.map(|word| match word.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => {
            format!("-{text}").into()
        }
        _ => word,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> CommandLine {
        let words = words.split(' ').map(OsString::from);
        CommandLine::try_parse_from(long_flags(words)).unwrap()
    }

    #[test]
    fn containerds_words_are_understood() {
        let started =
            parse("shim -namespace default -address /c.sock -publish-binary /c -id box -debug start");
        assert!(matches!(started.verb, Verb::Start) && started.debug);
        assert_eq!((started.namespace.as_str(), started.id.as_str()), ("default", "box"));
        assert_eq!((started.address.as_str(), started.bundle.to_str()), ("/c.sock", Some(".")));
        let deleted = parse("shim -namespace a -address b -publish-binary c -id d -bundle /run/e delete");
        assert!(matches!(deleted.verb, Verb::Delete) && !deleted.debug);
        assert_eq!(deleted.bundle.to_str(), Some("/run/e"));
        // What the shim passes on itself.
        let held = parse("shim -bundle /b hold 7");
        assert!(matches!(held.verb, Verb::Hold { descriptor: 7 }));
    }
}
