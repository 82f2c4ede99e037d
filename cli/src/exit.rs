//! How the command line ends: messages and exit codes.

use std::process::ExitCode;

use holm_runtime::image::ImageError;
use holm_runtime::registry::RegistryError;

/// Holm itself failed (Docker's 125).
pub(crate) const FAILURE: u8 = 125;

/// What a shell sees of a program that SIGINT ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// An error that carries its own exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    /// 125, 126 or 127.
    pub(crate) code: u8,
    /// For the user.
    pub(crate) message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The exit code that the error carries.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    if error.chain().any(is_interruption) {
        return INTERRUPTED;
    }
    error.downcast_ref::<Failure>().map_or(FAILURE, |failure| failure.code)
}

/// Prints the error with its causes on one line and gives its exit code.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    crate::output::complain(&format!("{error:#}"));
    ExitCode::from(code(error))
}

/// Help and version go to standard output and succeed; anything else is a failure of usage.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done about a standard output that is gone.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(FAILURE) } else { ExitCode::SUCCESS }
}

/// The user ended it.
fn is_interruption(error: &(dyn std::error::Error + 'static)) -> bool {
    let of_image = matches!(error.downcast_ref(), Some(ImageError::Registry(RegistryError::Interrupted)));
    of_image || matches!(error.downcast_ref(), Some(RegistryError::Interrupted))
}
