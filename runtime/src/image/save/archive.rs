//! The tar itself.

use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::thread;

use tar::{Builder, EntryType, Header};

use super::documents::path_of;
use crate::image::layer::{LayerError, rebuild};
use crate::image::load::layer_error;
use crate::image::{Digest, ImageError};

/// Bytes passed on at a time: what a pipe holds.
const BUFFER_BYTES: usize = 64 << 10;

/// An archive that is written.
pub(super) struct ArchiveWriter<'a>(Builder<&'a mut dyn Write>);

impl<'a> ArchiveWriter<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Result<Self, ImageError> {
        let mut archive = Self(Builder::new(out));
        for directory in ["blobs/", "blobs/sha256/"] {
            archive.append(directory, &mut header(EntryType::Directory, 0o755, 0), &mut io::empty())?;
        }
        Ok(archive)
    }

    /// Adds a layer's tar, which is made on the way.
    pub(super) fn layer(&mut self, directory: &Path, diff_id: &Digest, bytes: u64) -> Result<(), ImageError> {
        let (mut reader, writer) = io::pipe().map_err(failed)?;
        thread::scope(|scope| {
            let maker = scope.spawn(move || {
                let mut out = BufWriter::with_capacity(BUFFER_BYTES, writer);
                rebuild(directory, diff_id, &mut out)?;
                out.flush().map_err(LayerError::write)
            });
            let appended =
                self.append(&path_of(diff_id), &mut header(EntryType::Regular, 0o644, bytes), &mut reader);
            // A maker that still writes must not wait for a reader that gave up.
            drop(reader);
            // Where the archive cannot be written, that is why the layer could not be made either.
            appended?;
            match maker.join() {
                Ok(made) => made.map_err(layer_error(diff_id)),
                Err(_) => Err(failed(io::Error::other("the thread that makes a layer panicked"))),
            }
        })
    }

    /// Adds a document by its digest.
    pub(super) fn blob(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.file(&path_of(&Digest::of(bytes)), bytes)
    }

    /// Adds a document by name.
    pub(super) fn file(&mut self, name: &str, mut bytes: &[u8]) -> Result<(), ImageError> {
        self.append(name, &mut header(EntryType::Regular, 0o644, bytes.len() as u64), &mut bytes)
    }

    /// Ends the tar.
    pub(super) fn finish(self) -> Result<(), ImageError> {
        self.0.into_inner().and_then(|out| out.flush()).map_err(failed)
    }

    fn append(&mut self, name: &str, header: &mut Header, data: &mut dyn Read) -> Result<(), ImageError> {
        self.0.append_data(header, name, data).map_err(failed)
    }
}

/// Of no owner and no time: the same images make the same archive.
fn header(kind: EntryType, mode: u32, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes);
    header.set_mtime(0);
    header
}

fn failed(source: io::Error) -> ImageError {
    ImageError::io("write", Path::new("the archive"))(source)
}
