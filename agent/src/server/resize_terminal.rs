//! `ResizeTerminal`.

use holm_protocol::agent::messages::{Empty, ResizeTerminalRequest};

use crate::container::TerminalSize;
use crate::fault::{At, Fault};
use crate::registry::Registry;

/// Sets the size of a process's terminal.
pub(super) fn resize_terminal(registry: &Registry, request: &ResizeTerminalRequest) -> Result<Empty, Fault> {
    let size = TerminalSize::new(request.columns, request.rows)?;
    let process = registry.process(&request.process.container_id, &request.process.process_id)?;
    let tty = process.streams().tty().ok_or_else(|| Fault::precondition("the process has no terminal"))?;
    tty.resize(size).at("resizing the terminal")?;
    Ok(Empty::default())
}
