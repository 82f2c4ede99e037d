//! The FIFOs that containerd gives a process for its streams.
//!
//! A client may go and another come: what is written waits in the FIFO meanwhile, and what is read does not end. So the process
//! that stands for the guest's has its outputs open for reading, too. Its input is a pipe that the shim fills from the FIFO, which
//! it has open for writing until it is told to close it (`CloseIO`).
//!
//! Nothing is read before the process is started: `ctr` takes note of who closes its input only after the task was made, and would
//! never say that it has ended.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;

use holm_runtime::oci::Streams;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::error::ShimError;

/// Where the streams of a process are; an empty path is nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamPaths {
    pub(crate) stdin: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) terminal: bool,
}

impl StreamPaths {
    /// Opens the outputs, and makes a pipe for the input.
    pub(crate) fn open(&self) -> Result<(Streams, Option<Input>), ShimError> {
        let (stdin, input) = if self.stdin.is_empty() {
            (Stdio::null(), None)
        } else {
            let fifo = check(&self.stdin)?.to_owned();
            let (reader, pipe) =
                io::pipe().map_err(|source| ShimError::Stream { path: fifo.clone(), source })?;
            (reader.into(), Some(Input { fifo, pipe }))
        };
        let (stdout, stderr) = (open_output(&self.stdout)?, open_output(&self.stderr)?);
        Ok((Streams { stdin, stdout, stderr }, input))
    }
}

/// The input of a process that is yet to be started.
#[derive(Debug)]
pub(crate) struct Input {
    fifo: PathBuf,
    pipe: PipeWriter,
}

impl Input {
    /// Carries from now on what clients write. It ends when they have closed the FIFO, and the file that is given has been, too.
    pub(crate) fn carry(mut self) -> Result<File, ShimError> {
        let (mut reader, writer) =
            open_both(&self.fifo).map_err(|source| ShimError::Stream { path: self.fifo.clone(), source })?;
        // Whatever ends it, it has ended: a process that is gone reads no more.
        thread::spawn(move || drop(io::copy(&mut reader, &mut self.pipe)));
        Ok(writer)
    }
}

/// Neither end waits for the other to be opened.
fn open_both(fifo: &Path) -> io::Result<(File, File)> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let reader = OpenOptions::new().read(true).custom_flags(flags).open(fifo)?;
    let writer = OpenOptions::new().write(true).custom_flags(flags).open(fifo)?;
    // From now on it waits for what is written.
    fcntl_setfl(&reader, fcntl_getfl(&reader)? - OFlags::NONBLOCK)?;
    Ok((reader, writer))
}

fn open_output(path: &str) -> Result<Stdio, ShimError> {
    if path.is_empty() {
        return Ok(Stdio::null());
    }
    let file = OpenOptions::new().read(true).write(true).open(check(path)?);
    file.map(Stdio::from).map_err(|source| ShimError::Stream { path: path.into(), source })
}

/// Logging binaries and files are others' to write to: containerd's CRI and `ctr` ask for FIFOs.
fn check(path: &str) -> Result<&Path, ShimError> {
    if path.starts_with('/') {
        return Ok(Path::new(path));
    }
    Err(ShimError::Impossible(format!("streams are FIFOs, and {path:?} is none")))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::Command;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn the_input_ends_when_it_was_closed_here_and_there() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("in");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let (mut process, pipe) = io::pipe().unwrap();
        let closer = Input { fifo: fifo.clone(), pipe }.carry().unwrap();
        for text in ["first", "second"] {
            // A client comes and goes.
            File::options().write(true).open(&fifo).unwrap().write_all(text.as_bytes()).unwrap();
            let mut seen = vec![0; text.len()];
            process.read_exact(&mut seen).unwrap();
            assert_eq!(seen, text.as_bytes());
        }
        drop(closer);
        assert_eq!(process.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn output_waits_for_a_client() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let paths = StreamPaths { stdout: path.to_str().unwrap().to_owned(), ..StreamPaths::default() };
        let (streams, writer) = paths.open().unwrap();
        assert!(writer.is_none());
        let mut child = Command::new("sh");
        let child = child.args(["-c", "echo said; read x"]);
        let mut child =
            child.stdin(Stdio::piped()).stdout(streams.stdout).stderr(streams.stderr).spawn().unwrap();
        let mut client = File::open(&path).unwrap();
        let mut seen = [0; 5];
        client.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"said\n");
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn what_is_no_fifo_is_refused() {
        for path in ["binary:///usr/bin/logger?id=1", "file:///var/log/x", "relative"] {
            let paths = StreamPaths { stdout: path.to_owned(), ..StreamPaths::default() };
            assert!(matches!(paths.open(), Err(ShimError::Impossible(_))), "{path}");
        }
    }
}
