//! From the host to a container.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result, bail};
use holm_archive::{Node, Packer};
use holm_runtime::sandbox::{Transfer, TransferRequest};
use holm_runtime::supervisor::{FilesClient, Moving};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::place::{ContainerPath, EndedPath};
use super::target::{Standing, target};
use crate::nonce::nonce;

/// One write to the stream.
const BUFFER_BYTES: usize = 64 << 10;

/// A tar from standard input into a directory that is there; gives the bytes.
pub(crate) fn stream_in(files: &FilesClient, container: &str, to: &ContainerPath) -> Result<u64> {
    let ContainerPath(to) = to;
    match files.stat(&to.path, true)? {
        Some(found) if found.is_directory() => {}
        Some(_) => bail!("destination \"{container}:{}\" must be a directory", to.path),
        None => bail!("Could not find the file {} in container {container}", to.path),
    }
    let mut moving = begin(files, &to.path)?;
    let copied = io::copy(&mut io::stdin().lock(), &mut moving);
    end(moving, copied)
}

/// A path of the host's to a path of the container's; gives the bytes.
pub(crate) fn tree_in(
    files: &FilesClient,
    container: &str,
    from: &EndedPath,
    follow: bool,
    to: &ContainerPath,
) -> Result<u64> {
    let ContainerPath(to) = to;
    let node = open(from, follow || from.is_directory)?;
    if from.is_directory && !node.is_directory() {
        bail!("{}: not a directory", from.path);
    }
    let (standing, resolved) = match files.stat(&to.path, true)? {
        Some(found) if found.is_directory() => (Standing::Directory, found.path),
        Some(found) => (Standing::Other, found.path),
        None => (Standing::Nothing, to.path.clone()),
    };
    let mut target = target(&named(from)?, node.is_directory(), to, standing, &resolved)?;
    if standing == Standing::Nothing
        && !files.stat(target.directory.as_str(), true)?.is_some_and(|d| d.is_directory())
    {
        bail!("Could not find the directory {} in container {container}", target.directory);
    }
    if target.name.is_empty() && !node.is_directory() {
        // Only a directory has contents that could go without a name.
        target.name = from.name().to_owned();
    }
    let moving = begin(files, &target.directory)?;
    let mut counting = Counting { moving, bytes: 0 };
    let packed = pack(&node, target.name.as_bytes(), &mut counting);
    end(counting.moving, packed.map(|()| counting.bytes))
}

fn open(from: &EndedPath, follow: bool) -> Result<Node> {
    let last = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let flags = OFlags::PATH | OFlags::CLOEXEC | last;
    let opened: rustix::io::Result<OwnedFd> = openat(CWD, &from.path, flags, Mode::empty());
    let node = opened.and_then(Node::of).map_err(io::Error::from);
    node.with_context(|| format!("cannot open {}", from.path))
}

/// A source that has a name: `..` gets that of the directory it leads to.
fn named(from: &EndedPath) -> Result<EndedPath> {
    if from.contents || !from.name().is_empty() {
        return Ok(from.clone());
    }
    let real = fs::canonicalize(&from.path).with_context(|| from.path.clone())?;
    let path = real.to_str().with_context(|| format!("{}: not UTF-8", real.display()))?.to_owned();
    let contents = Path::new(&path).parent().is_none();
    Ok(EndedPath { path, contents, ..from.clone() })
}

fn begin(files: &FilesClient, path: &str) -> Result<Moving> {
    let what = Transfer::Write { path: path.to_owned() };
    Ok(files.begin(TransferRequest { id: nonce()?, what, pause: false })?)
}

fn pack(node: &Node, name: &[u8], out: &mut Counting) -> io::Result<()> {
    let mut packer = Packer::new(BufWriter::with_capacity(BUFFER_BYTES, out));
    if !name.is_empty() {
        packer.add(node, name)?;
    }
    if node.is_directory() {
        packer.add_below(node, name, |_| false)?;
    }
    packer.finish().map(drop)
}

/// A stream that the guest closed says nothing; the guest's own words do.
fn end(moving: Moving, sent: io::Result<u64>) -> Result<u64> {
    match sent {
        Err(error) if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
            Err(error.into())
        }
        sent => {
            moving.end()?;
            Ok(sent?)
        }
    }
}

struct Counting {
    moving: Moving,
    bytes: u64,
}

impl Write for &mut Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.moving.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.moving.flush()
    }
}
