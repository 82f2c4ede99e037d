//! What the two command lines share: printing, and the caller's terminal.

pub mod output;
pub mod raw_mode;
