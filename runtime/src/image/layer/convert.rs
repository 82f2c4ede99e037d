//! One pass over a layer: members of the tar into a [`LayerTree`] and a data file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::blob::BlobWriter;
use super::error::lossy;
use super::place::{Place, Placer};
use super::recipe::Recorder;
use super::tree::{Inode, Kind, LayerTree, Metadata, Name};
use super::{LayerError, LayerLimits, file, pipeline, xattr};
use crate::image::Digest;
use holm_archive::{self as tar, Entry, Piece, Source, TarReader, Time};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// AUFS's own files; only ever at the top, and of no meaning to anyone else.
const AUFS: &[u8] = b".wh..wh.";
const MAX_SYMLINK_BYTES: usize = 4095;
const MAX_MAJOR: u64 = 0xfff;
const MAX_MINOR: u64 = 0xf_ffff;

/// What a layer turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::image) struct Converted {
    /// Of the uncompressed tar.
    pub(in crate::image) diff_id: Digest,
    /// Sum of the sizes of all regular files.
    pub(in crate::image) content_bytes: u64,
}

/// Converts a layer into the files `data`, `tree` and `recipe` of an existing directory, synced.
///
/// `expected` is the digest that `source` must have, where it is known. `progress` gets the number of bytes read from
/// `source` so far.
pub(in crate::image) fn convert(
    source: impl Read + Send,
    expected: Option<&Digest>,
    directory: &Path,
    limits: &LayerLimits,
    progress: &mut dyn FnMut(u64),
) -> Result<Converted, LayerError> {
    let data = holm_faults::fault!("image.layer.data")
        .and_then(|()| File::create_new(directory.join("data")))
        .map_err(LayerError::write)?;
    let blob = BlobWriter::new(data, limits.reserve_bytes);
    let (tree, diff_id) = pipeline::decompress(source, expected, limits.tar_bytes, progress, |chunks| {
        let recorder = Recorder::new(chunks, &directory.join("recipe"), limits.reserve_bytes)?;
        let mut tar = TarReader::new(recorder);
        let mut converter =
            Converter { placer: Placer::new(*limits), blob, limits, entries: 0, tree_bytes: 0 };
        while let Some(entry) = tar.next_entry()? {
            converter.add(&mut tar, entry)?;
        }
        tar.into_source().finish()?;
        converter.finish()
    })?;
    holm_faults::fault!("image.layer.tree").map_err(LayerError::write)?;
    file::write(&directory.join("tree"), &tree)?;
    holm_faults::crash!("image.layer.written");
    Ok(Converted { diff_id, content_bytes: tree.content_bytes })
}

struct Converter<'a> {
    placer: Placer,
    blob: BlobWriter,
    limits: &'a LayerLimits,
    entries: u64,
    tree_bytes: u64,
}

impl Converter<'_> {
    fn add<S: Source>(
        &mut self,
        tar: &mut TarReader<Recorder<S>>,
        mut entry: Entry,
    ) -> Result<(), LayerError> {
        self.count(&entry)?;
        let path = std::mem::take(&mut entry.path);
        let place = self.placer.place(&path)?;
        if let Some(name) = place.name
            && name.starts_with(WHITEOUT)
        {
            return self.whiteout(&place, name, &path);
        }
        let metadata = metadata(&path, &mut entry, self.limits.xattr_bytes)?;
        let out_of_range = |field, value| LayerError::Metadata { path: lossy(&path), field, value };
        let device = |major: u64, minor: u64| {
            let out = || out_of_range("device number", format!("{major}:{minor}"));
            match (u32::try_from(major), u32::try_from(minor)) {
                (Ok(major32), Ok(minor32)) if major <= MAX_MAJOR && minor <= MAX_MINOR => {
                    Ok((major32, minor32))
                }
                _ => Err(out()),
            }
        };
        let kind = match &entry.kind {
            tar::Kind::HardLink(target) => return self.hard_link(&place, &path, target, metadata),
            tar::Kind::Directory => Kind::Directory(Box::default()),
            tar::Kind::Regular => self.contents(tar, &entry, &path)?,
            tar::Kind::Symlink(target) => {
                if target.is_empty() || target.len() > MAX_SYMLINK_BYTES {
                    return Err(out_of_range("symlink target", format!("of {} bytes", target.len())));
                }
                Kind::Symlink(Name::from(target.as_slice()))
            }
            tar::Kind::CharDevice(major, minor) => {
                device(*major, *minor).map(|(major, minor)| Kind::CharDevice(major, minor))?
            }
            tar::Kind::BlockDevice(major, minor) => {
                device(*major, *minor).map(|(major, minor)| Kind::BlockDevice(major, minor))?
            }
            tar::Kind::Fifo => Kind::Fifo,
        };
        self.placer.put(&place, Inode { metadata, kind }, &path)
    }

    /// Keeps to the bounds on what is held in memory.
    fn count(&mut self, entry: &Entry) -> Result<(), LayerError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(self.placer.too_many());
        }
        let target = match &entry.kind {
            tar::Kind::Symlink(target) | tar::Kind::HardLink(target) => target.len(),
            _ => 0,
        };
        let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.tree_bytes += (entry.path.len() + target + xattrs) as u64;
        if self.tree_bytes > self.limits.tree_bytes {
            let limit = self.limits.tree_bytes;
            return Err(LayerError::Limit { what: "bytes of names and attributes", limit });
        }
        Ok(())
    }

    fn whiteout(&mut self, place: &Place<'_>, name: &[u8], path: &[u8]) -> Result<(), LayerError> {
        let Some(directory) = self.placer.tree.directory_mut(place.parent) else { return Ok(()) };
        if name == OPAQUE {
            directory.opaque = true;
            return Ok(());
        }
        if name.starts_with(AUFS) && place.parent == LayerTree::ROOT {
            return Ok(());
        }
        match name.strip_prefix(WHITEOUT) {
            None | Some(b"" | b"." | b"..") => Err(LayerError::Whiteout(lossy(path))),
            Some(hidden) => {
                directory.whiteouts.insert(Name::from(hidden));
                Ok(())
            }
        }
    }

    fn hard_link(
        &mut self,
        place: &Place<'_>,
        path: &[u8],
        target: &[u8],
        metadata: Metadata,
    ) -> Result<(), LayerError> {
        let missing = || LayerError::HardLink { path: lossy(path), target: lossy(target) };
        if place.name.is_none() {
            return Err(LayerError::Path(lossy(path)));
        }
        match self.placer.find(target)? {
            Some(index) if self.placer.tree.directory(index).is_some() => Err(missing()),
            Some(index) => {
                self.placer.link(place, index);
                Ok(())
            }
            // Perhaps it is in a layer below; that shows when the layers are merged.
            None => {
                self.placer.put(place, Inode { metadata, kind: Kind::LowerLink(Name::from(target)) }, path)
            }
        }
    }

    fn contents<S: Source>(
        &mut self,
        tar: &mut TarReader<Recorder<S>>,
        entry: &Entry,
        path: &[u8],
    ) -> Result<Kind, LayerError> {
        if entry.size_bytes > self.limits.file_bytes {
            return Err(LayerError::Metadata {
                path: lossy(path),
                field: "size",
                value: format!("{} bytes", entry.size_bytes),
            });
        }
        // A sparse file's data are not its contents in one piece; they go into the recipe.
        if entry.is_plain() {
            tar.source_mut().begin_content(entry.size_bytes)?;
        }
        let blob = &mut self.blob;
        tar.copy_data(entry, |piece| match piece {
            Piece::Bytes(bytes) => blob.write(bytes),
            Piece::Hole(bytes) => blob.write_hole(bytes),
        })?;
        self.placer.tree.content_bytes = self.placer.tree.content_bytes.saturating_add(entry.size_bytes);
        let extents = self.blob.end_file()?;
        if entry.is_plain() {
            tar.source_mut().end_content(entry.size_bytes, &extents)?;
        }
        Ok(Kind::Regular { size_bytes: entry.size_bytes, extents })
    }

    fn finish(self) -> Result<LayerTree, LayerError> {
        let mut tree = self.placer.tree;
        tree.data_blocks = self.blob.finish()?;
        Ok(tree)
    }
}

fn metadata(path: &[u8], entry: &mut Entry, max_xattr_bytes: u64) -> Result<Metadata, LayerError> {
    let id = |field, value: u64| {
        // The last number means "no id" to system calls.
        u32::try_from(value).ok().filter(|id| *id != u32::MAX).ok_or_else(|| LayerError::Metadata {
            path: lossy(path),
            field,
            value: value.to_string(),
        })
    };
    let mtime = bounded(entry.mtime);
    let permissions = match entry.kind {
        tar::Kind::Symlink(_) => 0o777, // whatever the archive says: Linux makes no other symlinks
        _ => u16::try_from(entry.mode & 0o7777).unwrap_or_default(),
    };
    Ok(Metadata {
        permissions,
        uid: id("uid", entry.uid)?,
        gid: id("gid", entry.gid)?,
        mtime_seconds: mtime.seconds,
        mtime_nanoseconds: mtime.nanoseconds,
        xattrs: xattr::keep(path, &entry.kind, std::mem::take(&mut entry.xattrs), max_xattr_bytes)?,
    })
}

/// Docker and containerd set times that 64 bits of nanoseconds since 1970 do not hold to 1970.
fn bounded(time: Time) -> Time {
    const MAX_SECONDS: i64 = i64::MAX / 1_000_000_000;
    if time.seconds < 0 || time.seconds >= MAX_SECONDS { Time::default() } else { time }
}
