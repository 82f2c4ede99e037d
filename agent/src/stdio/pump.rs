//! Moves the bytes of one stream between a process and the host, to the end.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_vsock::VsockStream;

use super::Endpoint;
use super::slots::OutputGuard;

/// What a pipe holds, and what the host takes without being read.
const BUFFER_BYTES: usize = 256 << 10;

/// After the process has ended, its output is over when it was silent for this long: something that it left behind may
/// hold the pipe open for ever. Only further processes of a container can leave anything behind.
const SILENCE: Duration = Duration::from_millis(500);

/// How long a connection is kept for the host to take what was sent, before it is closed for good.
const LINGER: Duration = Duration::from_secs(30);

/// A connection to the host.
pub(crate) struct Host {
    pub(crate) connection: VsockStream,
    /// What arrived behind the header.
    pub(crate) early: Vec<u8>,
}

/// Runs one stream. `others` are connections instead of one that was reset; `ended` completes when the process has ended.
pub(crate) async fn pump(
    endpoint: Endpoint,
    host: Option<Host>,
    others: mpsc::Receiver<Host>,
    guard: Option<OutputGuard>,
    ended: impl Future<Output = ()>,
) {
    match (endpoint, host) {
        (endpoint @ (Endpoint::Output(_) | Endpoint::TtyOutput(_)), host) => {
            output(endpoint, host.map(|host| host.connection), others, guard, ended).await;
        }
        (endpoint, Some(host)) => input(endpoint, host, others, ended).await,
        // Nobody will type.
        (_, None) => {}
    }
}

/// Process to host. When the host goes away the output is still read, so that the process does not notice.
async fn output(
    mut source: Endpoint,
    mut connection: Option<VsockStream>,
    mut others: mpsc::Receiver<Host>,
    guard: Option<OutputGuard>,
    ended: impl Future<Output = ()>,
) {
    tokio::pin!(ended);
    let mut is_over = false;
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    loop {
        let count = tokio::select! {
            biased;
            Some(other) = others.recv() => {
                connection = Some(other.connection);
                continue;
            }
            count = read(&mut source, &mut buffer) => count.unwrap_or(0),
            () = &mut ended, if !is_over => {
                is_over = true;
                continue;
            }
            () = sleep(SILENCE), if is_over => 0,
        };
        if count == 0 {
            break;
        }
        deliver(&mut connection, &mut others, buffer.get(..count).unwrap_or_default()).await;
    }
    drop(source);
    let Some(mut host) = connection else { return };
    host.shutdown(Shutdown::Write).unwrap_or_default();
    drop(guard);
    // Closing at once could overtake data that the host has not taken yet.
    timeout(LINGER, async { while matches!(host.read(&mut buffer).await, Ok(1..)) {} })
        .await
        .unwrap_or_default();
}

/// Hands all of it to the host, or to the one that comes instead of a host whose connection was reset.
async fn deliver(connection: &mut Option<VsockStream>, others: &mut mpsc::Receiver<Host>, bytes: &[u8]) {
    let mut rest = bytes;
    while let (Some(host), false) = (connection.as_mut(), rest.is_empty()) {
        let written = tokio::select! {
            biased;
            Some(other) = others.recv() => {
                *connection = Some(other.connection);
                continue;
            }
            written = host.write(rest) => written,
        };
        match written {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if was_reset(&error) => {
                *connection = others.recv().await.map(|other| other.connection);
            }
            Err(_) => *connection = None,
        }
    }
}

/// Whether the connection went with the VM that was saved. A host that goes away ends it otherwise: there is an end of file then,
/// and a broken pipe.
fn was_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotConnected | io::ErrorKind::ConnectionReset)
}

/// Host to process. The end of file closes the pipe; a terminal has no end of file, it stays.
async fn input(
    mut sink: Endpoint,
    host: Host,
    mut others: mpsc::Receiver<Host>,
    ended: impl Future<Output = ()>,
) {
    let copy = async {
        let Host { mut connection, early } = host;
        write_all(&mut sink, &early).await?;
        drop(early);
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        loop {
            let other = tokio::select! {
                biased;
                Some(other) = others.recv() => other,
                count = connection.read(&mut buffer) => match count {
                    Ok(0) => return io::Result::Ok(()),
                    Ok(count) => {
                        write_all(&mut sink, buffer.get(..count).unwrap_or_default()).await?;
                        continue;
                    }
                    Err(error) if was_reset(&error) => others.recv().await.ok_or(error)?,
                    Err(error) => return Err(error),
                },
            };
            connection = other.connection;
            write_all(&mut sink, &other.early).await?;
        }
    };
    tokio::select! {
        // A process that closed its input is no failure.
        _ = copy => {}
        () = ended => {}
    }
}

async fn read(source: &mut Endpoint, buffer: &mut [u8]) -> io::Result<usize> {
    match source {
        Endpoint::Output(pipe) => pipe.read(buffer).await,
        Endpoint::TtyOutput(tty) => tty.read(buffer).await,
        Endpoint::Input(_) | Endpoint::TtyInput(_) => Ok(0),
    }
}

async fn write_all(sink: &mut Endpoint, bytes: &[u8]) -> io::Result<()> {
    match sink {
        Endpoint::Input(pipe) => pipe.write_all(bytes).await,
        Endpoint::TtyInput(tty) => tty.write_all(bytes).await,
        Endpoint::Output(_) | Endpoint::TtyOutput(_) => Ok(()),
    }
}
