//! The streams that containerd gives a process: FIFOs, or a file or a logging binary for its outputs.
//!
//! Of a FIFO a client may go and another come: what is written waits in the FIFO meanwhile, and what is read does not end. So the process
//! that stands for the guest's has its outputs open for reading, too. Its input is a pipe that the shim fills from the FIFO, which
//! it has open for writing until it is told to close it (`CloseIO`).
//!
//! Nothing is read before the process is started: `ctr` takes note of who closes its input only after the task was made, and would
//! never say that it has ended.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, PipeWriter};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;

use holm_runtime::oci::Streams;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::destination::Destination;
use crate::error::ShimError;
use crate::logger::{Logger, Outputs};

/// Where the streams of a process are; an empty path is nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamPaths {
    pub(crate) stdin: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) terminal: bool,
    /// Whose they are.
    pub(crate) id: String,
    pub(crate) namespace: String,
}

/// What the shim has to do with the streams of a process.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) input: Option<Input>,
    pub(crate) logger: Option<Logger>,
}

impl StreamPaths {
    /// Opens the outputs, or starts who logs them, and makes a pipe for the input.
    pub(crate) fn open(&self) -> Result<(Streams, Ends), ShimError> {
        let (stdin, input) = if self.stdin.is_empty() {
            (Stdio::null(), None)
        } else {
            let fifo = Destination::fifo(&self.stdin)?;
            let (reader, pipe) =
                io::pipe().map_err(|source| ShimError::Stream { path: fifo.clone(), source })?;
            (reader.into(), Some(Input { fifo, pipe }))
        };
        // A logging binary has both, as under runc.
        if let Destination::Program(program) = Destination::of(&self.stdout)? {
            let (logger, Outputs { stdout, stderr }) = Logger::start(&program, &self.id, &self.namespace)?;
            let streams = Streams { stdin, stdout: stdout.into(), stderr: stderr.into() };
            return Ok((streams, Ends { input, logger: Some(logger) }));
        }
        let (stdout, stderr) = (open_output(&self.stdout)?, open_output(&self.stderr)?);
        Ok((Streams { stdin, stdout, stderr }, Ends { input, logger: None }))
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

fn open_output(word: &str) -> Result<Stdio, ShimError> {
    let (path, file) = match Destination::of(word)? {
        Destination::Nowhere => return Ok(Stdio::null()),
        Destination::Fifo(path) => {
            let file = OpenOptions::new().read(true).write(true).open(&path);
            (path, file)
        }
        Destination::File(path) => {
            let file = append(&path);
            (path, file)
        }
        Destination::Program(_) => {
            let what = format!("a logging binary for standard error alone ({word})");
            return Err(ShimError::Impossible(what));
        }
    };
    file.map(Stdio::from).map_err(|source| ShimError::Stream { path, source })
}

/// As runc's shim makes such a file.
fn append(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o644).open(path)
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
        let (streams, ends) = paths.open().unwrap();
        assert!(ends.input.is_none() && ends.logger.is_none());
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
    fn a_file_is_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/log");
        let uri = format!("file://{}", path.display());
        let paths = StreamPaths { stdout: uri.clone(), stderr: uri, ..StreamPaths::default() };
        for _ in 0..2 {
            let (Streams { stdin, stdout, stderr }, _) = paths.open().unwrap();
            let mut child = Command::new("sh");
            child.args(["-c", "echo out; echo err >&2"]).stdin(stdin).stdout(stdout).stderr(stderr);
            assert!(child.status().unwrap().success());
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), "out\nerr\nout\nerr\n");
        let alone = StreamPaths { stderr: "binary:///bin/true".to_owned(), ..StreamPaths::default() };
        assert!(matches!(alone.open(), Err(ShimError::Impossible(_))));
    }
}
