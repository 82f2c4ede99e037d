//! Writing the journal.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Event;
use crate::host::create_private_directory;

/// A journal that is longer than this is renamed. With the one before it there are at most twice as many bytes.
const MAX_JOURNAL_BYTES: u64 = 4 << 20;
/// An event that is longer loses what others chose: labels, commands.
const MAX_LINE_BYTES: usize = 32 << 10;
/// What is left of a text of such an event, in characters.
const MAX_TEXT_CHARS: usize = 256;

/// The journal of one root.
#[derive(Clone, Debug)]
pub struct Journal {
    directory: PathBuf,
}

impl Journal {
    /// The journal under this root, which need not be there yet.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self { directory: root.join("events") }
    }

    /// Where it is kept.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn current(&self) -> PathBuf {
        self.directory.join("journal")
    }

    pub(super) fn previous(&self) -> PathBuf {
        self.directory.join("journal.1")
    }

    /// Writes an event down, if that is possible.
    pub fn note(&self, event: &Event) {
        if let Err(error) = self.append(event, MAX_JOURNAL_BYTES) {
            tracing::debug!(%error, action = event.action, "an event was not written down");
        }
    }

    pub(super) fn append(&self, event: &Event, max_bytes: u64) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        if line.len() > MAX_LINE_BYTES {
            line = serde_json::to_vec(&shortened(event))?;
        }
        let file = match self.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_private_directory(&self.directory).map_err(io::Error::other)?;
                self.open()?
            }
            opened => opened?,
        };
        let bytes = file.metadata()?.len();
        // A line that a full disk cut short ends here, and takes nothing of this one.
        let mut last = [b'\n'];
        if bytes > 0 && file.read_at(&mut last, bytes - 1)? == 1 && last != [b'\n'] {
            line.insert(0, b'\n');
        }
        line.push(b'\n');
        (&file).write_all(&line)?;
        if bytes + line.len() as u64 > max_bytes { self.rotate(&file) } else { Ok(()) }
    }

    fn open(&self) -> io::Result<File> {
        File::options().create(true).append(true).read(true).open(self.current())
    }

    /// Renames the journal, unless somebody else just did.
    fn rotate(&self, full: &File) -> io::Result<()> {
        let lock = File::create(self.directory.join("lock"))?;
        lock.lock()?;
        if same_file(&full.metadata()?, &fs::metadata(self.current())?) {
            fs::rename(self.current(), self.previous())?;
        }
        Ok(())
    }
}

fn shortened(event: &Event) -> Event {
    let cut = |text: &str| text.chars().take(MAX_TEXT_CHARS).collect::<String>();
    let mut short = event.clone();
    (short.action, short.status, short.from) = (cut(&event.action), cut(&event.status), cut(&event.from));
    short.actor.attributes.retain(|name, _| ["name", "image", "execID", "exitCode"].contains(&name.as_str()));
    short.actor.attributes.values_mut().for_each(|value| *value = cut(value));
    short
}

pub(super) fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}
