//! The command line's side of files: a container's supervisor if it runs, or else one that serves its files.

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::client::{Client, ClientError, FILES_FLAG, files_socket_path, say_hello, socket_path};
use super::protocol::{self, Hello, Report};
use crate::container::{Container, Status};
use crate::host::{Directories, Installation};
use crate::sandbox::{FileStatus, TransferRequest};

/// How long somebody else may have the container before it is given up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// A way to a container's files, running or not, for as long as it lives.
#[derive(Debug)]
pub struct FilesClient {
    socket: PathBuf,
    /// Keeps a supervisor that serves only files.
    _stay: Option<Client>,
}

/// A transfer: bytes that move, and how it ends.
#[derive(Debug)]
pub struct Moving {
    stream: UnixStream,
    reports: BufReader<UnixStream>,
}

impl FilesClient {
    /// Reaches a container's files; one that does not run gets a VM in which nothing of it runs.
    ///
    /// # Errors
    /// When no supervisor can be reached or started, or another command has the container.
    pub fn open(
        installation: &Installation,
        directories: &Directories,
        container: &Container,
    ) -> Result<Self, ClientError> {
        let refused = |error: crate::container::ContainerError| ClientError::Refused(error.to_string());
        let deadline = Instant::now() + BUSY_TIMEOUT;
        let files_socket = files_socket_path(directories, container);
        loop {
            match container.state().map_err(refused)?.status {
                Status::Dead => {
                    let message = format!("container {} is dead: it can only be removed", container.name);
                    return Err(ClientError::Refused(message));
                }
                status if status.is_active() => {
                    return Ok(Self { socket: socket_path(directories, container), _stay: None });
                }
                _ => {}
            }
            let stay = match container.try_lock().map_err(refused)? {
                Some(lock) => Some(Client::spawn_at(
                    files_socket.clone(),
                    &[FILES_FLAG.as_ref()],
                    installation,
                    directories,
                    container,
                    lock,
                )?),
                // Perhaps it is one that serves files, for another command.
                None => Client::connect_to(files_socket.clone(), &Hello::Control).ok(),
            };
            match stay.map(ready) {
                Some(Ok(stay)) => return Ok(Self { socket: files_socket, _stay: Some(stay) }),
                // It was at its end.
                Some(Err(ClientError::Died)) | None if Instant::now() < deadline => thread::sleep(PAUSE),
                Some(Err(error)) => return Err(error),
                None => {
                    let name = &container.name;
                    return Err(ClientError::Refused(format!(
                        "container {name} is being started or removed by another command"
                    )));
                }
            }
        }
    }

    /// What a path of the container refers to; `None` when to nothing.
    ///
    /// # Errors
    /// When the supervisor is gone, or the guest cannot tell.
    pub fn stat(&self, path: &str, follow: bool) -> Result<Option<FileStatus>, ClientError> {
        let connection = say_hello(&self.socket, &Hello::Stat { path: path.to_owned(), follow })?;
        match protocol::receive(&mut BufReader::new(connection)).ok().flatten() {
            Some(Report::File(status)) => Ok(status),
            Some(Report::Refused { message }) => Err(ClientError::Refused(message)),
            _ => Err(ClientError::Died),
        }
    }

    /// Begins a transfer.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn begin(&self, request: TransferRequest) -> Result<Moving, ClientError> {
        let id = request.id.clone();
        let control = say_hello(&self.socket, &Hello::Transfer(Box::new(request)))?;
        let stream = say_hello(&self.socket, &Hello::Files(id))?;
        Ok(Moving { stream, reports: BufReader::new(control) })
    }

    /// Reads all that a transfer gives, up to `max_bytes`.
    ///
    /// # Errors
    /// When it fails, or gives more.
    pub fn fetch(&self, request: TransferRequest, max_bytes: u64) -> Result<Vec<u8>, ClientError> {
        let mut moving = self.begin(request)?;
        let mut bytes = Vec::new();
        let read = (&mut moving).take(max_bytes + 1).read_to_end(&mut bytes);
        if bytes.len() as u64 > max_bytes {
            return Err(ClientError::Refused(format!("the guest sent more than {max_bytes} bytes")));
        }
        moving.end()?;
        read.map(|_| bytes).map_err(|_| ClientError::Died)
    }
}

/// Waits until a supervisor serves files.
fn ready(mut client: Client) -> Result<Client, ClientError> {
    match client.next_report()? {
        Report::Started => Ok(client),
        Report::Failed { message, .. } => Err(ClientError::Refused(message)),
        _ => Err(ClientError::Died),
    }
}

impl Moving {
    /// Says that nothing more is sent, and waits for the end.
    ///
    /// # Errors
    /// How the transfer failed.
    pub fn end(mut self) -> Result<(), ClientError> {
        // Closed already where the guest has ended it.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        match protocol::receive(&mut self.reports).ok().flatten() {
            Some(Report::Done) => Ok(()),
            Some(Report::Refused { message }) => Err(ClientError::Refused(message)),
            _ => Err(ClientError::Died),
        }
    }
}

impl Read for Moving {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.stream.read(out)
    }
}

impl Write for Moving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
