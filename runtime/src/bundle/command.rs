//! Which program runs: entrypoint and command of image and user combined (M27).

use crate::container::settings::Settings;

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandError {
    /// Neither the image nor the user names a program.
    #[error("no command specified")]
    Empty,
}

/// The argument vector: a given entrypoint replaces the image's and drops the image's command; given words replace the
/// image's command.
///
/// # Errors
/// When nothing is left to run.
pub(super) fn arguments(
    image_entrypoint: &[String],
    image_cmd: &[String],
    settings: &Settings,
) -> Result<Vec<String>, CommandError> {
    let mut arguments = Vec::new();
    match &settings.entrypoint {
        Some(entrypoint) if entrypoint.is_empty() => arguments.extend_from_slice(&settings.cmd),
        Some(entrypoint) => {
            arguments.push(entrypoint.clone());
            arguments.extend_from_slice(&settings.cmd);
        }
        None => {
            arguments.extend_from_slice(image_entrypoint);
            arguments.extend_from_slice(if settings.cmd.is_empty() { image_cmd } else { &settings.cmd });
        }
    }
    if arguments.is_empty() { Err(CommandError::Empty) } else { Ok(arguments) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combined(entrypoint: &[&str], cmd: &[&str], given: Option<&str>, words: &[&str]) -> Vec<String> {
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let settings =
            Settings { entrypoint: given.map(str::to_owned), cmd: owned(words), ..Settings::default() };
        arguments(&owned(entrypoint), &owned(cmd), &settings).unwrap_or_default()
    }

    #[test]
    fn entrypoint_and_command_combine_as_in_docker() {
        assert_eq!(combined(&[], &["sh"], None, &[]), ["sh"]);
        assert_eq!(combined(&[], &["sh"], None, &["ls", "-l"]), ["ls", "-l"]);
        assert_eq!(combined(&["run"], &["--help"], None, &[]), ["run", "--help"]);
        assert_eq!(combined(&["run"], &["--help"], None, &["-x"]), ["run", "-x"]);
        assert_eq!(combined(&["run"], &["--help"], Some("sh"), &[]), ["sh"]);
        assert_eq!(combined(&["run"], &["--help"], Some("sh"), &["-c", "x"]), ["sh", "-c", "x"]);
        assert_eq!(combined(&["run"], &["--help"], Some(""), &["ls"]), ["ls"]);
        assert!(combined(&["run"], &["--help"], Some(""), &[]).is_empty());
        assert!(combined(&[], &[], None, &[]).is_empty());
    }
}
