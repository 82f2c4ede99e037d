//! Moves the bytes of one stream between a process and the host, to the end.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
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

/// Runs one stream. `early` is what arrived behind the header; `ended` completes when the process has ended.
pub(crate) async fn pump(
    endpoint: Endpoint,
    connection: Option<VsockStream>,
    early: Vec<u8>,
    guard: Option<OutputGuard>,
    ended: impl Future<Output = ()>,
) {
    match (endpoint, connection) {
        (endpoint @ (Endpoint::Output(_) | Endpoint::TtyOutput(_)), connection) => {
            output(endpoint, connection, guard, ended).await;
        }
        (endpoint, Some(connection)) => input(endpoint, connection, early, ended).await,
        // Nobody will type.
        (_, None) => {}
    }
}

/// Process to host. When the host goes away the output is still read, so that the process does not notice.
async fn output(
    mut source: Endpoint,
    mut connection: Option<VsockStream>,
    guard: Option<OutputGuard>,
    ended: impl Future<Output = ()>,
) {
    tokio::pin!(ended);
    let mut is_over = false;
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    loop {
        let count = tokio::select! {
            biased;
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
        let Some(host) = &mut connection else { continue };
        if host.write_all(buffer.get(..count).unwrap_or_default()).await.is_err() {
            connection = None;
        }
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

/// Host to process. The end of file closes the pipe; a terminal has no end of file, it stays.
async fn input(
    mut sink: Endpoint,
    mut connection: VsockStream,
    early: Vec<u8>,
    ended: impl Future<Output = ()>,
) {
    let copy = async {
        write_all(&mut sink, &early).await?;
        drop(early);
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        loop {
            let count = connection.read(&mut buffer).await?;
            if count == 0 {
                return io::Result::Ok(());
            }
            write_all(&mut sink, buffer.get(..count).unwrap_or_default()).await?;
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
