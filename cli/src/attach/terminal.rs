//! The caller's terminal while a workload has it: raw mode, and its size.

use anyhow::{Context, Result};
use holm_runtime::supervisor::Requests;
use holm_runtime::supervisor::protocol::Request;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Keeps the terminal raw until it is dropped: every key reaches the workload.
pub(super) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Makes the terminal on standard input raw.
    pub(super) fn enter() -> Result<Self> {
        let before = tcgetattr(std::io::stdin()).context("cannot read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)
            .context("cannot change the terminal's settings")?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Tells the supervisor the terminal's size, if there is one.
pub(super) fn report_size(requests: &Requests) {
    let size = tcgetwinsize(std::io::stdout()).or_else(|_| tcgetwinsize(std::io::stdin()));
    if let Ok(size) = size {
        // A supervisor that is gone is noticed by the main thread.
        let _ = requests.send(Request::Resize { columns: size.ws_col, rows: size.ws_row });
    }
}
