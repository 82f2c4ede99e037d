//! From a container to the host. By the time that the guest's stream comes, the program has nothing left to open but the directory
//! that it is unpacked to, and the journal of events.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use holm_archive::{Destination, Keep, TarError, TarReader, UnpackError, Unpacker};
use holm_runtime::host::{Left, OfOthers, confine};
use holm_runtime::sandbox::{FileStatus, Transfer, TransferRequest};
use holm_runtime::supervisor::{FilesClient, Moving};

use super::place::{ContainerPath, EndedPath};
use super::target::{Standing, target};
use crate::nonce::nonce;

/// One read from the stream.
const BUFFER_BYTES: usize = 64 << 10;

/// How what is copied is looked at.
struct Source {
    path: EndedPath,
    follow: bool,
    status: FileStatus,
}

impl Source {
    fn find(files: &FilesClient, container: &str, path: ContainerPath, follow: bool) -> Result<Self> {
        let ContainerPath(path) = path;
        let follow = follow || path.is_directory;
        let Some(status) = files.stat(&path.path, follow)? else {
            bail!("Could not find the file {} in container {container}", path.path);
        };
        if path.is_directory && !status.is_directory() {
            bail!("{}: not a directory", path.path);
        }
        Ok(Self { path, follow, status })
    }

    fn begin(&self, files: &FilesClient, name: &str) -> Result<Moving> {
        let what =
            Transfer::Read { path: self.path.path.clone(), follow: self.follow, name: name.to_owned() };
        Ok(files.begin(TransferRequest { id: nonce()?, what, pause: false })?)
    }
}

/// As a tar to standard output; gives the bytes. The journal of events is in `journal`.
pub(crate) fn stream_out(
    files: &FilesClient,
    container: &str,
    (path, follow): (ContainerPath, bool),
    journal: &Path,
) -> Result<u64> {
    let source = Source::find(files, container, path, follow)?;
    let name = if source.path.contents { "" } else { source.path.name() };
    let mut tar = source.begin(files, name)?;
    confine_to(&[journal])?;
    let bytes = io::copy(&mut tar, &mut io::stdout().lock()).context("cannot write to standard output")?;
    tar.end()?;
    Ok(bytes)
}

/// To a path of the host; gives the bytes. The journal of events is in `journal`.
pub(crate) fn tree_out(
    files: &FilesClient,
    container: &str,
    (path, follow): (ContainerPath, bool),
    (to, keep): (&EndedPath, Keep),
    journal: &Path,
) -> Result<u64> {
    let source = Source::find(files, container, path, follow)?;
    let (standing, resolved) = look(to)?;
    let target = target(&source.path, source.status.is_directory(), to, standing, &resolved)?;
    let directory =
        File::open(&target.directory).with_context(|| format!("cannot open {}", target.directory))?;
    if !directory.metadata()?.is_dir() {
        bail!("{}: not a directory", target.directory);
    }
    let mut unpacker = Unpacker::new(Destination::beneath(directory.into()), keep);
    if !target.name.is_empty() {
        unpacker = unpacker.only(target.name.as_bytes());
    }
    let moving = source.begin(files, &target.name)?;
    confine_to(&[Path::new(&target.directory), journal])?;
    unpack(moving, unpacker)
}

/// Gives up all but what is below these directories, where files may be anybody's.
fn confine_to(directories: &[&Path]) -> Result<()> {
    Ok(confine(&Left { directories, of_others: OfOthers::Everything, ..Left::default() })?)
}

fn look(to: &EndedPath) -> Result<(Standing, String)> {
    match fs::metadata(&to.path) {
        Ok(found) if found.is_dir() => Ok((Standing::Directory, to.path.clone())),
        Ok(_) => {
            let resolved = fs::canonicalize(&to.path).with_context(|| to.path.clone())?;
            let resolved = resolved.to_str().with_context(|| format!("{}: not UTF-8", resolved.display()))?;
            Ok((Standing::Other, resolved.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Standing::Nothing, to.path.clone())),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", to.path)),
    }
}

/// Unpacks what comes. A stream that ends early has ended for a reason that the guest tells.
fn unpack(moving: Moving, unpacker: Unpacker) -> Result<u64> {
    let mut tar = TarReader::new(BufReader::with_capacity(BUFFER_BYTES, Counting { moving, bytes: 0 }));
    let unpacked = unpacker.unpack(&mut tar);
    let mut rest = tar.into_source();
    match unpacked {
        Ok(()) | Err(UnpackError::Archive(TarError::Truncated)) => {
            // Padding.
            io::copy(&mut rest, &mut io::sink()).context("the guest's stream")?;
            let Counting { moving, bytes } = rest.into_inner();
            moving.end()?;
            unpacked?;
            Ok(bytes)
        }
        Err(error) => Err(error.into()),
    }
}

struct Counting {
    moving: Moving,
    bytes: u64,
}

impl Read for Counting {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.moving.read(out)?;
        self.bytes += count as u64;
        Ok(count)
    }
}
