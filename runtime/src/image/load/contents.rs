//! Named files, wherever they are: in a tar that can be read at any place, or in a directory.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::plan::PlannedLayer;
use super::source::BlobSource;
use super::{Archive, Progress};
use crate::image::layer::{Compression, LayerError, LayerLimits, MAGIC_BYTES, spool};
use crate::image::store::Staging;
use crate::image::{Digest, ImageError};
use holm_archive::{Entry, Kind, SeekSource, TarReader};

/// Largest manifest or config.
const MAX_DOCUMENT_BYTES: u64 = 8 << 20;
/// Most files of an archive, and bytes of their names.
const MAX_FILES: usize = 100_000;
const MAX_NAME_BYTES: usize = 16 << 20;
/// Docker's archives link equal layers to each other.
const MAX_LINKS: usize = 8;

/// An open archive.
pub(super) struct Contents {
    name: String,
    place: Place,
}

enum Place {
    Directory { root: File, path: PathBuf },
    Tar { file: File, files: HashMap<Vec<u8>, Item> },
}

enum Item {
    File {
        offset: u64,
        bytes: u64,
    },
    /// Another name for this one.
    Link(Vec<u8>),
    /// Present but of no use: a device, a sparse file.
    Other,
}

/// A file's bytes, read from its start; several may be read at a time.
pub(super) struct Blob {
    file: File,
    position: u64,
    end: u64,
}

impl Blob {
    pub(super) fn length_bytes(&self) -> u64 {
        self.end - self.position
    }
}

impl Read for Blob {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let length = out.len().min(rest);
        let count = self.file.read_at(out.get_mut(..length).unwrap_or_default(), self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Contents {
    /// Opens an archive; streams and compressed files are spooled into the staging directory.
    pub(super) fn open(
        archive: Archive,
        staging: &Staging,
        limits: &LayerLimits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, ImageError> {
        let name = name_of(&archive);
        let archive = match archive {
            Archive::Directory { path, root } => {
                return Ok(Self { name, place: Place::Directory { root, path } });
            }
            archive => archive,
        };
        let failed = |source| ImageError::Archive { archive: name.clone(), source };
        let read_error = |error| failed(LayerError::Tar("cannot read it".to_owned(), Some(error)));
        let file = match open_stream(archive)? {
            Opened::File(file) if !is_compressed(&file).map_err(read_error)?.map_err(failed)? => file,
            opened => {
                let path = staging.file("spool");
                let mut file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(&path)
                    .map_err(ImageError::io("create", &path))?;
                let progress = &mut |bytes| progress(Progress::Spooling { bytes });
                spool(opened.into_reader(), &mut file, limits, progress).map_err(failed)?;
                file
            }
        };
        let files = index(&file).map_err(failed)?;
        Ok(Self { name, place: Place::Tar { file, files } })
    }

    /// The archive's name for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.blob(name).is_ok()
    }

    /// A file by its name.
    pub(super) fn blob(&self, name: &str) -> Result<Blob, ImageError> {
        let missing = || ImageError::MissingBlob(name.to_owned());
        match &self.place {
            Place::Directory { root, path } => {
                let path = path.join(name);
                let failed = |error: io::Error| match error.kind() {
                    io::ErrorKind::NotFound => missing(),
                    _ => ImageError::io("open", &path)(error),
                };
                let file = open_beneath(root, name).map_err(failed)?;
                let end = file.metadata().map_err(failed)?.len();
                Ok(Blob { file, position: 0, end })
            }
            Place::Tar { file, files } => {
                let mut item = files.get(&normal(name.as_bytes()));
                for _ in 0..MAX_LINKS {
                    match item {
                        Some(Item::File { offset, bytes }) => {
                            let file =
                                file.try_clone().map_err(ImageError::io("open", Path::new(&self.name)))?;
                            return Ok(Blob { file, position: *offset, end: offset + bytes });
                        }
                        Some(Item::Link(target)) => item = files.get(target),
                        Some(Item::Other) | None => break,
                    }
                }
                Err(missing())
            }
        }
    }

    /// A whole small file.
    pub(super) fn document(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let mut blob = self.blob(name)?;
        let bytes = blob.length_bytes();
        if bytes > MAX_DOCUMENT_BYTES {
            return Err(ImageError::TooLarge { blob: name.to_owned(), bytes, max: MAX_DOCUMENT_BYTES });
        }
        let mut content = Vec::new();
        blob.read_to_end(&mut content).map_err(ImageError::io("read", Path::new(name)))?;
        Ok(content)
    }

    /// A whole small file whose name is its digest.
    fn verified_document(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let name = blob_name(digest);
        let content = self.document(&name)?;
        verify(&name, digest, &Digest::of(&content))?;
        Ok(content)
    }
}

impl BlobSource for Contents {
    fn name_of(&self, digest: &Digest) -> String {
        blob_name(digest)
    }

    fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        self.verified_document(digest)
    }

    fn config(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        self.verified_document(digest)
    }

    fn layer<'a>(&'a self, layer: &PlannedLayer) -> Result<(Box<dyn Read + Send + 'a>, u64), ImageError> {
        let blob = self.blob(&layer.file)?;
        let length_bytes = blob.length_bytes();
        Ok((Box::new(blob), length_bytes))
    }

    fn parallel_layers(&self) -> usize {
        1
    }
}

/// Where an OCI layout has a blob.
fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Refuses another content than announced.
pub(in crate::image) fn verify(blob: &str, expected: &Digest, actual: &Digest) -> Result<(), ImageError> {
    if expected == actual {
        return Ok(());
    }
    Err(ImageError::DigestMismatch { blob: blob.to_owned(), expected: *expected, actual: *actual })
}

/// What an archive is called in messages.
pub(in crate::image) fn name_of(archive: &Archive) -> String {
    match archive {
        Archive::Directory { path, .. } | Archive::File { path, .. } => path.display().to_string(),
        Archive::Stream(_) => "the stream".to_owned(),
    }
}

/// An archive that is not a directory.
pub(in crate::image) enum Opened {
    /// A regular file, to be read from its current position, which is its start.
    File(File),
    Stream(Box<dyn Read + Send>),
}

impl Opened {
    pub(in crate::image) fn into_reader(self) -> Box<dyn Read + Send> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Stream(stream) => stream,
        }
    }
}

/// Tells a file that can be read at any place from a stream.
pub(in crate::image) fn open_stream(archive: Archive) -> Result<Opened, ImageError> {
    let (mut file, path) = match archive {
        Archive::Directory { path, root } => (root, path),
        Archive::File { path, file } => (file, path),
        Archive::Stream(stream) => return Ok(Opened::Stream(stream)),
    };
    let is_regular = file.metadata().map_err(ImageError::io("examine", &path))?.is_file();
    // Who has read a part of a file means the rest of it.
    let at_start = is_regular && file.stream_position().is_ok_and(|position| position == 0);
    Ok(if at_start { Opened::File(file) } else { Opened::Stream(Box::new(file)) })
}

/// A regular file in a directory, and only there, whatever its name says and whatever is linked to where. Does not wait
/// for a pipe's other end.
fn open_beneath(root: &File, name: &str) -> io::Result<File> {
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH);
    let file = File::from(openat2(root, name, how)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn is_compressed(file: &File) -> io::Result<Result<bool, LayerError>> {
    let mut start = [0; MAGIC_BYTES];
    let count = file.read_at(&mut start, 0)?;
    let detected = Compression::detect(start.get(..count).unwrap_or_default());
    Ok(detected.map(|compression| compression != Compression::None))
}

/// Reads all headers of a tar.
fn index(file: &File) -> Result<HashMap<Vec<u8>, Item>, LayerError> {
    let read_error = |error| LayerError::Tar("cannot read it".to_owned(), Some(error));
    let mut file = file.try_clone().map_err(read_error)?;
    file.rewind().map_err(read_error)?;
    let mut tar = TarReader::new(SeekSource::new(file).map_err(read_error)?);
    let mut files = HashMap::new();
    let mut name_bytes = 0;
    while let Some(entry) = tar.next_entry()? {
        let name = normal(&entry.path);
        name_bytes += name.len();
        if files.len() >= MAX_FILES || name_bytes > MAX_NAME_BYTES {
            return Err(LayerError::Limit { what: "files", limit: MAX_FILES as u64 });
        }
        files.insert(name, item(&entry));
    }
    Ok(files)
}

fn item(entry: &Entry) -> Item {
    match &entry.kind {
        Kind::Regular if entry.is_plain() => {
            Item::File { offset: entry.data_offset, bytes: entry.size_bytes }
        }
        Kind::HardLink(target) => Item::Link(normal(target)),
        Kind::Symlink(target) => {
            let parent = entry.path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            let parent = entry.path.get(..parent).unwrap_or_default();
            Item::Link(normal(&[parent, b"/", target].concat()))
        }
        _ => Item::Other,
    }
}

/// A name without `.`, `..`, and doubled slashes; it only ever is a key.
fn normal(name: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join(b"/".as_slice())
}
