//! The size of the caller's terminal while a workload has it.

use holm_runtime::supervisor::Requests;
use holm_runtime::supervisor::protocol::Request;
use rustix::termios::tcgetwinsize;

/// Tells the supervisor the terminal's size, if there is one.
pub(super) fn report_size(requests: &Requests) {
    let size = tcgetwinsize(std::io::stdout()).or_else(|_| tcgetwinsize(std::io::stdin()));
    if let Ok(size) = size {
        // A supervisor that is gone is noticed by the main thread.
        let _ = requests.send(Request::Resize { columns: size.ws_col, rows: size.ws_row });
    }
}
