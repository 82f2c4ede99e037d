//! Carries bytes between the caller's stdio and the workload's.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use holm_runtime::supervisor::Requests;

use super::detach_keys::{DetachFilter, DetachKeys};

/// Bytes carried at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// Carries a stream of the workload to the caller. When the caller's side is closed, the workload's next write fails as
/// with any closed pipe.
///
/// # Errors
/// The process has too many open files.
pub(super) fn carry_out(mut from: UnixStream, to: &impl AsFd) -> io::Result<JoinHandle<()>> {
    // Of its own: what the standard library has before standard output holds back what follows a line's end.
    let mut to = File::from(to.as_fd().try_clone_to_owned()?);
    Ok(thread::spawn(move || {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    if to.write_all(bytes).is_err() {
                        let _ = from.shutdown(Shutdown::Both);
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }))
}

/// What it takes to leave a session by its detach keys.
pub(super) struct Detaching {
    pub(super) keys: DetachKeys,
    /// Set before the connection is hung up.
    pub(super) detached: Arc<AtomicBool>,
    pub(super) requests: Requests,
}

/// Carries the caller's standard input to the workload, end of file included. The thread may outlive its use: a read
/// from a terminal cannot be taken back, and the program's end ends it.
pub(super) fn carry_in(mut to: UnixStream, detaching: Option<Detaching>) {
    thread::spawn(move || {
        // An error on either side is the end of the input.
        let _ = match detaching {
            Some(detaching) => carry_keys(&mut to, detaching),
            None => io::copy(&mut io::stdin().lock(), &mut to).map(drop),
        };
        let _ = to.shutdown(Shutdown::Write);
    });
}

fn carry_keys(to: &mut UnixStream, detaching: Detaching) -> io::Result<()> {
    let mut filter = DetachFilter::new(detaching.keys);
    let mut buffer = [0; 4096];
    loop {
        let length = match io::stdin().lock().read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let (passed, complete) = filter.pass(buffer.get(..length).unwrap_or_default());
        to.write_all(&passed)?;
        if complete {
            detaching.detached.store(true, Ordering::Release);
            detaching.requests.hang_up();
            return Ok(());
        }
    }
}
