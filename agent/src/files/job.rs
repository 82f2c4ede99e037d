//! What a transfer is to do.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use holm_archive::{Destination, Keep, Packer, TarReader, Unpacker};
use holm_protocol::agent::messages::transfer_request::What;

use super::changes::{self, OPAQUE};
use super::layers::{Layers, look, open};
use super::{find, tar_layer};
use crate::container::rootdir::RootDir;
use crate::fault::{At, Fault};

/// What a transfer is to do; see `protocol/proto/agent.proto`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    ListChanges,
    MeasureLayer,
    ExportTree,
    ExportLayer,
    Read { path: PathBuf, follow: bool, name: String },
    Write { path: PathBuf },
}

/// One write to the stream.
const BUFFER_BYTES: usize = 64 << 10;

impl Job {
    /// From the request.
    pub(crate) fn new(what: Option<What>) -> Result<Self, Fault> {
        Ok(match what {
            Some(What::ListChanges(_)) => Self::ListChanges,
            Some(What::MeasureLayer(_)) => Self::MeasureLayer,
            Some(What::ExportTree(_)) => Self::ExportTree,
            Some(What::ExportLayer(_)) => Self::ExportLayer,
            Some(What::ReadFiles(files)) => {
                Self::Read { path: files.path.into(), follow: files.follow, name: files.name }
            }
            Some(What::WriteFiles(files)) => Self::Write { path: files.path.into() },
            _ => return Err(Fault::invalid("a transfer of nothing that is known")),
        })
    }

    /// Whether bytes go to the host.
    pub(super) fn sends(&self) -> bool {
        !matches!(self, Self::Write { .. })
    }

    /// Does it. `early` is what of the stream was read already.
    pub(super) fn carry_out(&self, layers: &Layers, early: &[u8], stream: &File) -> Result<(), Fault> {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, stream);
        match self {
            Self::ListChanges => {
                let upper = open(&layers.upper).at("opening the writable layer")?;
                let image = layers.image.as_deref().map(open).transpose().at("opening the image")?;
                changes::list(&upper, image.as_ref(), OPAQUE, |kind, path| {
                    out.write_all(&[&[kind.letter(), b'/'], path, b"\0"].concat())
                })
                .at("listing changes")?;
            }
            Self::MeasureLayer => {
                let upper = open(&layers.upper).at("opening the writable layer")?;
                let bytes = changes::measure(&upper).at("measuring the writable layer")?;
                out.write_all(bytes.to_string().as_bytes()).at("sending")?;
            }
            Self::ExportTree => {
                let root = open(&layers.root).at("opening the container's root")?;
                let upper = open(&layers.upper).at("opening the writable layer")?;
                let stubs: HashSet<&Path> = layers.stubs.iter().map(PathBuf::as_path).collect();
                let is_stub = |path: &[u8]| {
                    let path = Path::new(OsStr::from_bytes(path));
                    stubs.contains(path) && look(&upper, path).is_none()
                };
                let mut packer = Packer::new(&mut out);
                packer
                    .add_below(&root, b"", is_stub)
                    .and_then(|()| packer.finish().map(drop))
                    .at("exporting")?;
            }
            Self::ExportLayer => {
                let upper = open(&layers.upper).at("opening the writable layer")?;
                let image = layers.image.as_deref().map(open).transpose().at("opening the image")?;
                tar_layer::write(&upper, image.as_ref(), OPAQUE, &mut out).at("exporting the layer")?;
            }
            Self::Read { path, follow, name } => read(layers, path, *follow, name, &mut out)?,
            Self::Write { path } => return write(layers, path, early, stream),
        }
        out.flush().at("sending")
    }
}

fn read(
    layers: &Layers,
    path: &Path,
    follow: bool,
    name: &str,
    out: &mut BufWriter<&File>,
) -> Result<(), Fault> {
    let node = find(layers, path, follow)?;
    let mut packer = Packer::new(out);
    let pack = || {
        if !name.is_empty() {
            packer.add(&node, name.as_bytes())?;
        }
        if node.is_directory() {
            packer.add_below(&node, name.as_bytes(), |_| false)?;
        }
        packer.finish().map(drop)
    };
    pack().at(format_args!("reading {}", path.display()))
}

fn write(layers: &Layers, path: &Path, early: &[u8], stream: &File) -> Result<(), Fault> {
    let root = RootDir::open(&layers.view).at("opening the container's root")?;
    let root = root.descriptor().try_clone().at("opening the container's root")?;
    let unpacker = Unpacker::new(Destination::in_root(root, path), Keep::Everything);
    let mut tar = TarReader::new(BufReader::with_capacity(BUFFER_BYTES, early.chain(stream)));
    unpacker.unpack(&mut tar).map_err(|error| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Fault::invalid(text)
    })?;
    // Padding behind the end: whoever sends it should not find the stream closed.
    io::copy(&mut tar.into_source(), &mut io::sink()).at("reading to the end").map(drop)
}
