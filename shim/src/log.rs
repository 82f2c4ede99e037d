//! Messages go to the FIFO `log` in the bundle, which containerd reads into its own log.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::Mutex;

use rustix::fs::OFlags;
use tracing::level_filters::LevelFilter;

use crate::command_line::CommandLine;

/// Listens to the library's and the shim's own messages. Without somebody who reads they are lost.
pub(crate) fn listen(words: &CommandLine) {
    let level = if words.debug { LevelFilter::DEBUG } else { LevelFilter::WARN };
    if let Some(file) = open(words) {
        tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(Mutex::new(file)).init();
    }
}

/// A full FIFO holds nobody up: what does not fit is lost.
fn open(words: &CommandLine) -> Option<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).ok()?;
    let file = OpenOptions::new().write(true).custom_flags(flags).open(words.bundle.join("log")).ok()?;
    file.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()).then_some(file)
}
