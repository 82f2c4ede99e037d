//! A tree into an archive.

use std::collections::HashMap;
use std::io::{self, Write};

use crate::{Descend, Kind, Node, TarWriter, Walk};

/// Names of one file are remembered up to so many files with several names; further ones are archived as files of their own.
const MAX_LINKED: usize = 1 << 20;

/// Archives files; several names of one file become hard links.
pub struct Packer<W: Write> {
    writer: TarWriter<W>,
    /// The first name of each file that has several, by device and inode.
    linked: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Packer<W> {
    /// Writes to `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Self { writer: TarWriter::new(out), linked: HashMap::new() }
    }

    /// Adds one file, without what is in it if it is a directory. Sockets are left out.
    ///
    /// # Errors
    /// The file cannot be read, or the archive not be written.
    pub fn add(&mut self, node: &Node, path: &[u8]) -> io::Result<()> {
        let Some(kind) = node.kind()? else { return Ok(()) };
        let stat = node.stat();
        if stat.st_nlink > 1 && kind != Kind::Directory {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.linked.get(&key) {
                let link = Kind::HardLink(first.clone());
                return self.writer.node(path, &link, &node.attributes(None)?);
            }
            if self.linked.len() < MAX_LINKED {
                self.linked.insert(key, path.to_vec());
            }
        }
        match kind {
            Kind::Regular => {
                let file = node.readable()?;
                let size_bytes = u64::try_from(stat.st_size).unwrap_or_default();
                self.writer.file(path, &file, size_bytes, &node.attributes(Some(&file))?)
            }
            Kind::Directory => {
                let directory = node.readable()?;
                self.writer.node(path, &kind, &node.attributes(Some(&directory))?)
            }
            _ => self.writer.node(path, &kind, &node.attributes(None)?),
        }
    }

    /// Adds what is below a directory, except for what `skip` says, as members of `path`.
    ///
    /// # Errors
    /// As [`Packer::add`].
    pub fn add_below(
        &mut self,
        directory: &Node,
        path: &[u8],
        skip: impl Fn(&[u8]) -> bool,
    ) -> io::Result<()> {
        let mut walk = Walk::below(directory, path)?;
        while walk.step(|found| {
            if skip(found.path) {
                return Ok(Descend::Past);
            }
            self.add(found.node, found.path).map_err(|error| naming(found.path, &error))?;
            Ok::<_, io::Error>(Descend::Into)
        })? {}
        Ok(())
    }

    /// The archive, for members that are no files.
    pub fn writer(&mut self) -> &mut TarWriter<W> {
        &mut self.writer
    }

    /// Ends the archive; gives back what it was written to.
    ///
    /// # Errors
    /// The archive cannot be written.
    pub fn finish(self) -> io::Result<W> {
        self.writer.finish()
    }
}

/// Says at which file it was, without losing what kind of error it is.
fn naming(path: &[u8], error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", String::from_utf8_lossy(path)))
}
