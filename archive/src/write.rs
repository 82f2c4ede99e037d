//! Writes an archive: ustar headers, with PAX records for what does not fit them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use crate::{Attributes, Kind, Time};

/// Holes smaller than this in all are written as zeroes, which every reader understands.
const MIN_HOLE_BYTES: u64 = 1 << 20;
/// A file in more pieces than this is written with its holes as zeroes.
const MAX_RUNS: usize = 1 << 16;
const BLOCK_BYTES: usize = 512;
/// Largest numbers of a ustar header's octal fields.
const MAX_ID: u32 = 0o777_7777;
const MAX_SIZE_BYTES: u64 = 0o777_7777_7777;

/// An archive being written.
pub struct TarWriter<W: Write>(Builder<W>);

impl<W: Write> TarWriter<W> {
    /// Writes to `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Self(Builder::new(out))
    }

    /// Adds a member without contents.
    ///
    /// # Errors
    /// The archive cannot be written.
    pub fn node(&mut self, path: &[u8], kind: &Kind, attributes: &Attributes) -> io::Result<()> {
        let mut member = Member::new(path, kind, attributes)?;
        member.write(&mut self.0, 0, io::empty())
    }

    /// Adds a regular file of `size_bytes`: if it grows or shrinks meanwhile, its member does not.
    ///
    /// # Errors
    /// The file cannot be read, or the archive not be written.
    pub fn file(
        &mut self,
        path: &[u8],
        file: &File,
        size_bytes: u64,
        attributes: &Attributes,
    ) -> io::Result<()> {
        let mut member = Member::new(path, &Kind::Regular, attributes)?;
        let runs = data_runs(file, size_bytes)?;
        let data_bytes = runs.iter().map(|(_, length)| length).sum::<u64>();
        if size_bytes.saturating_sub(data_bytes) < MIN_HOLE_BYTES {
            let whole = Runs::new(file, vec![(0, size_bytes)]);
            return member.write(&mut self.0, size_bytes, whole);
        }
        // Form 1.0: the map stands before the data, and the real name and size in records.
        let map = sparse_map(&runs, size_bytes);
        member.record("GNU.sparse.major", b"1");
        member.record("GNU.sparse.minor", b"0");
        member.record("GNU.sparse.name", path);
        member.record("GNU.sparse.realsize", size_bytes.to_string().as_bytes());
        let stored_bytes = map.len() as u64 + data_bytes;
        member.write(&mut self.0, stored_bytes, map.as_slice().chain(Runs::new(file, runs)))
    }

    /// Adds an empty file with these contents only in its name: a whiteout.
    ///
    /// # Errors
    /// The archive cannot be written.
    pub fn marker(&mut self, path: &[u8]) -> io::Result<()> {
        self.node(path, &Kind::Regular, &Attributes::default())
    }

    /// Ends the archive; gives back what it was written to.
    ///
    /// # Errors
    /// The archive cannot be written.
    pub fn finish(self) -> io::Result<W> {
        let mut out = self.0.into_inner()?;
        out.flush()?;
        Ok(out)
    }
}

/// A header and the records that go before it.
struct Member {
    header: Header,
    records: Vec<(String, Vec<u8>)>,
}

impl Member {
    fn new(path: &[u8], kind: &Kind, attributes: &Attributes) -> io::Result<Self> {
        let mut member = Self { header: Header::new_ustar(), records: Vec::new() };
        let entry_type = match kind {
            Kind::Regular => EntryType::Regular,
            Kind::Directory => EntryType::Directory,
            Kind::Symlink(_) => EntryType::Symlink,
            Kind::HardLink(_) => EntryType::Link,
            Kind::CharDevice(..) => EntryType::Char,
            Kind::BlockDevice(..) => EntryType::Block,
            Kind::Fifo => EntryType::Fifo,
        };
        member.header.set_entry_type(entry_type);
        member.set_path(path, matches!(kind, Kind::Directory));
        match kind {
            Kind::Symlink(target) | Kind::HardLink(target) => member.set_link(target),
            Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => {
                let number = |number: u64| u32::try_from(number).map_err(|_| io::ErrorKind::InvalidInput);
                member.header.set_device_major(number(*major)?)?;
                member.header.set_device_minor(number(*minor)?)?;
            }
            _ => {}
        }
        member.set_attributes(attributes);
        Ok(member)
    }

    fn set_path(&mut self, path: &[u8], is_directory: bool) {
        let slash: &[u8] = if is_directory && !path.ends_with(b"/") { b"/" } else { b"" };
        let path = [path, slash].concat();
        if !copy_text(&mut self.header.as_old_mut().name, &path) {
            self.record("path", &path);
        }
    }

    fn set_link(&mut self, target: &[u8]) {
        if !copy_text(&mut self.header.as_old_mut().linkname, target) {
            self.record("linkpath", target);
        }
    }

    fn set_attributes(&mut self, attributes: &Attributes) {
        self.header.set_mode(attributes.mode);
        for (key, id) in [("uid", attributes.uid), ("gid", attributes.gid)] {
            if id > MAX_ID {
                self.record(key, id.to_string().as_bytes());
            }
        }
        self.header.set_uid(attributes.uid.min(MAX_ID).into());
        self.header.set_gid(attributes.gid.min(MAX_ID).into());
        let Time { seconds, nanoseconds } = attributes.mtime;
        match u64::try_from(seconds) {
            Ok(seconds) if seconds <= MAX_SIZE_BYTES => self.header.set_mtime(seconds),
            _ => self.header.set_mtime(0),
        }
        if nanoseconds != 0 || u64::try_from(seconds).is_err() {
            self.record("mtime", decimal(attributes.mtime).as_bytes());
        }
        for (name, value) in &attributes.xattrs {
            // PAX keys are UTF-8; the rare name that is not cannot be said.
            if let Ok(name) = std::str::from_utf8(name) {
                self.record(&format!("SCHILY.xattr.{name}"), value);
            }
        }
    }

    fn record(&mut self, key: &str, value: &[u8]) {
        self.records.push((key.to_owned(), value.to_vec()));
    }

    fn write<W: Write>(
        &mut self,
        out: &mut Builder<W>,
        stored_bytes: u64,
        contents: impl Read,
    ) -> io::Result<()> {
        if stored_bytes > MAX_SIZE_BYTES {
            self.record("size", stored_bytes.to_string().as_bytes());
        }
        out.append_pax_extensions(self.records.iter().map(|(key, value)| (key.as_str(), value.as_slice())))?;
        self.header.set_size(stored_bytes);
        self.header.set_cksum();
        out.append(&self.header, contents)
    }
}

/// As much as fits; whether that was all.
fn copy_text(field: &mut [u8], text: &[u8]) -> bool {
    field.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
    text.len() <= field.len()
}

/// Seconds since 1970 with nine decimals; before 1970 nanoseconds count forward in [`Time`] and backward here.
fn decimal(time: Time) -> String {
    let Time { seconds, nanoseconds } = time;
    match (seconds, nanoseconds) {
        (seconds, 0) => seconds.to_string(),
        (..0, nanoseconds) => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds),
        (seconds, nanoseconds) => format!("{seconds}.{nanoseconds:09}"),
    }
}

/// Where a file has data: offset and length. The whole of it where the file system does not say.
fn data_runs(file: &File, size_bytes: u64) -> io::Result<Vec<(u64, u64)>> {
    let whole = vec![(0, size_bytes)];
    let (mut runs, mut position) = (Vec::new(), 0);
    while position < size_bytes {
        let start = match seek(file, SeekFrom::Data(position)) {
            Ok(start) => start.min(size_bytes),
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL) => return Ok(whole),
            Err(error) => return Err(error.into()),
        };
        let end = match seek(file, SeekFrom::Hole(start)) {
            Ok(end) => end.min(size_bytes),
            // Cut off meanwhile.
            Err(Errno::NXIO) => size_bytes,
            Err(error) => return Err(error.into()),
        };
        if end > start {
            runs.push((start, end - start));
        }
        if end <= position || runs.len() > MAX_RUNS {
            return Ok(whole);
        }
        position = end;
    }
    Ok(runs)
}

/// A line with the number of runs and two for each, padded to whole blocks.
fn sparse_map(runs: &[(u64, u64)], size_bytes: u64) -> Vec<u8> {
    // An empty run at the end says where that is, as GNU tar does.
    let end = [(size_bytes, 0)];
    let lines: String =
        runs.iter().chain(&end).map(|(offset, length)| format!("{offset}\n{length}\n")).collect();
    let mut map = format!("{}\n{lines}", runs.len() + end.len()).into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK_BYTES), 0);
    map
}

/// Reads runs of a file one after another; what is missing at its end is zeroes.
struct Runs<'a> {
    file: &'a File,
    runs: std::vec::IntoIter<(u64, u64)>,
    offset: u64,
    left_bytes: u64,
}

impl<'a> Runs<'a> {
    fn new(file: &'a File, runs: Vec<(u64, u64)>) -> Self {
        Self { file, runs: runs.into_iter(), offset: 0, left_bytes: 0 }
    }
}

impl Read for Runs<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.left_bytes == 0 {
            let Some((offset, length)) = self.runs.next() else { return Ok(0) };
            (self.offset, self.left_bytes) = (offset, length);
        }
        let wanted = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(out.len());
        let out = out.get_mut(..wanted).unwrap_or_default();
        let count = match self.file.read_at(out, self.offset)? {
            0 => {
                out.fill(0);
                out.len()
            }
            count => count,
        };
        self.offset += count as u64;
        self.left_bytes -= count as u64;
        Ok(count)
    }
}
