//! Reads an archive member by member.
//!
//! ```text
//! next_entry -> (extension headers)* header -> Entry -> copy_data or not -> next_entry ... -> None (two zero blocks)
//! ```

use super::entry::{Entry, Kind, Piece, Time};
use super::header::Header;
use super::pax::Pax;
use super::source::Source;
use super::sparse::{self, MapLines, Run};
use super::{BLOCK_BYTES, MAX_EXTENSION_BYTES, TarError};

/// An archive being read.
pub struct TarReader<S> {
    source: S,
    /// Bytes read so far.
    position: u64,
    /// Of the current member: contents not read yet, and padding behind them.
    rest_bytes: u64,
    padding_bytes: u64,
}

impl<S: Source> TarReader<S> {
    /// Reads from `source`, which should be buffered.
    pub fn new(source: S) -> Self {
        Self { source, position: 0, rest_bytes: 0, padding_bytes: 0 }
    }

    /// The next member; `None` at the end of the archive. Skips what was not read of the member before.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut pax = Pax::default();
        let (mut long_path, mut long_link, mut extended) = (None, None, false);
        loop {
            self.skip(self.rest_bytes + self.padding_bytes)?;
            (self.rest_bytes, self.padding_bytes) = (0, 0);
            let Some(header) = self.next_header()? else {
                return if extended { Err(TarError::Truncated) } else { Ok(None) };
            };
            match header.kind() {
                b'x' => pax = Pax::parse(&self.extension(&header)?)?,
                b'L' => long_path = Some(trimmed(self.extension(&header)?)),
                b'K' => long_link = Some(trimmed(self.extension(&header)?)),
                // Global records (archives of git) apply to nothing, as in Go.
                b'g' => {
                    self.extension(&header)?;
                    continue;
                }
                _ => return self.entry(&header, pax, long_path, long_link).map(Some),
            }
            extended = true;
        }
    }

    /// What it reads from, to be told something.
    pub fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// What it reads from, for what follows the archive.
    pub fn into_source(self) -> S {
        self.source
    }

    /// Hands the current member's contents on, in order, holes apart.
    pub fn copy_data<E: From<TarError>>(
        &mut self,
        entry: &Entry,
        mut sink: impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let whole = [Run { offset: 0, length: entry.size_bytes }];
        let mut end = 0;
        for run in entry.runs.as_deref().unwrap_or(&whole) {
            if run.offset > end {
                sink(Piece::Hole(run.offset - end))?;
            }
            self.copy_run(run.length, &mut sink)?;
            end = run.offset + run.length;
        }
        if entry.size_bytes > end {
            sink(Piece::Hole(entry.size_bytes - end))?;
        }
        Ok(())
    }

    fn copy_run<E: From<TarError>>(
        &mut self,
        mut bytes: u64,
        sink: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while bytes > 0 {
            let available = self.source.fill_buf().map_err(TarError::from)?;
            let step = usize::try_from(bytes).unwrap_or(usize::MAX).min(available.len());
            let piece = available.get(..step).unwrap_or_default();
            if piece.is_empty() {
                return Err(TarError::Truncated.into());
            }
            sink(Piece::Bytes(piece))?;
            self.source.consume(step);
            bytes -= step as u64;
            self.position += step as u64;
            self.rest_bytes = self.rest_bytes.saturating_sub(step as u64);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        header: &Header,
        pax: Pax,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, TarError> {
        let path = long_path.or(pax.path).unwrap_or_else(|| header.path());
        let link = long_link.or(pax.link).unwrap_or_else(|| header.link());
        let kind = match header.kind() {
            // Before ustar, directories were files whose name ends with a slash.
            0 if path.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::Regular,
            b'1' => Kind::HardLink(link),
            b'2' => Kind::Symlink(link),
            b'3' => header.device().map(|(major, minor)| Kind::CharDevice(major, minor))?,
            b'4' => header.device().map(|(major, minor)| Kind::BlockDevice(major, minor))?,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => {
                let path = String::from_utf8_lossy(&path).into_owned();
                return Err(TarError::UnknownType { path, kind: other.into() });
            }
        };
        let seconds = match pax.mtime {
            Some(_) => 0,
            None => header.mtime()?,
        };
        let stored_bytes = match (&kind, pax.size_bytes) {
            // Some archivers give links and directories a size; they have no contents all the same.
            (Kind::Regular, None) => header.size_bytes()?,
            (Kind::Regular, Some(size_bytes)) => size_bytes,
            _ => 0,
        };
        let mut entry = Entry {
            path,
            kind,
            mode: header.mode()?,
            uid: pax.uid.map_or_else(|| header.uid(), Ok)?,
            gid: pax.gid.map_or_else(|| header.gid(), Ok)?,
            mtime: pax.mtime.unwrap_or(Time { seconds, nanoseconds: 0 }),
            size_bytes: stored_bytes,
            xattrs: pax.xattrs,
            data_offset: self.position,
            runs: None,
            stored_bytes,
        };
        self.set_rest(stored_bytes)?;
        if entry.kind == Kind::Regular {
            self.read_sparse(header, pax.sparse, &mut entry)?;
        }
        Ok(entry)
    }

    /// Reads a sparse file's map, wherever it is.
    fn read_sparse(
        &mut self,
        header: &Header,
        sparse: super::pax::Sparse,
        entry: &mut Entry,
    ) -> Result<(), TarError> {
        let bad = |entry: &Entry| TarError::Sparse(String::from_utf8_lossy(&entry.path).into_owned());
        let map_in_data = sparse.map_in_data();
        let size_bytes = sparse.size_bytes;
        let runs = if header.kind() == b'S' {
            if !header.is_gnu() {
                return Err(bad(entry));
            }
            let (real_size, fields, mut more) = header.gnu_sparse()?;
            let mut runs = Vec::new();
            sparse::parse_fields(fields, &mut runs).ok_or_else(|| bad(entry))?;
            // More of the map lies between header and contents, and does not count as contents.
            while more {
                let block = self.block()?.ok_or(TarError::Truncated)?;
                sparse::parse_fields(&block[..504], &mut runs).ok_or_else(|| bad(entry))?;
                more = block[504] != 0;
            }
            entry.size_bytes = real_size;
            entry.data_offset = self.position;
            runs
        } else if map_in_data {
            let mut lines = MapLines::default();
            let runs = loop {
                if self.rest_bytes < BLOCK_BYTES as u64 {
                    return Err(bad(entry));
                }
                let block = self.block()?.ok_or(TarError::Truncated)?;
                self.rest_bytes -= BLOCK_BYTES as u64;
                entry.stored_bytes -= BLOCK_BYTES as u64;
                if let Some(runs) = lines.push(&block).map_err(|()| bad(entry))? {
                    break runs;
                }
            };
            entry.size_bytes = size_bytes.ok_or_else(|| bad(entry))?;
            runs
        } else if let Some(runs) = sparse.runs {
            entry.size_bytes = size_bytes.ok_or_else(|| bad(entry))?;
            runs
        } else {
            return Ok(());
        };
        if let Some(name) = sparse.name {
            entry.path = name;
        }
        if !sparse::is_sound(&runs, entry.size_bytes, entry.stored_bytes) {
            return Err(bad(entry));
        }
        entry.runs = Some(runs);
        Ok(())
    }

    /// An extension header's contents.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let bytes = header.size_bytes()?;
        if bytes > MAX_EXTENSION_BYTES {
            return Err(TarError::ExtensionTooLarge(bytes));
        }
        self.set_rest(bytes)?;
        let mut out = Vec::new();
        self.copy_run(bytes, &mut |piece| {
            if let Piece::Bytes(bytes) = piece {
                out.extend_from_slice(bytes);
            }
            Ok::<(), TarError>(())
        })?;
        Ok(out)
    }

    fn set_rest(&mut self, bytes: u64) -> Result<(), TarError> {
        let padded = bytes
            .checked_next_multiple_of(BLOCK_BYTES as u64)
            .filter(|padded| i64::try_from(*padded).is_ok())
            .ok_or(TarError::Field { field: "size", position: self.position })?;
        (self.rest_bytes, self.padding_bytes) = (bytes, padded - bytes);
        Ok(())
    }

    /// The next header; `None` at the end: a block of zeroes (the second is not asked for), or of the stream.
    fn next_header(&mut self) -> Result<Option<Header>, TarError> {
        let position = self.position;
        match self.block()? {
            Some(block) if block.iter().any(|byte| *byte != 0) => Header::parse(block, position).map(Some),
            _ => Ok(None),
        }
    }

    /// The next block; `None` when the stream ends before its first byte.
    fn block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, TarError> {
        let mut block = [0; BLOCK_BYTES];
        if self.source.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.source.read_exact(&mut block)?;
        self.position += BLOCK_BYTES as u64;
        Ok(Some(block))
    }

    fn skip(&mut self, bytes: u64) -> Result<(), TarError> {
        self.source.skip(bytes)?;
        self.position += bytes;
        Ok(())
    }
}

/// GNU's long names end with a NUL.
fn trimmed(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|byte| *byte == 0) {
        name.truncate(end);
    }
    name
}
