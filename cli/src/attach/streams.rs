//! Carries bytes between the caller's stdio and the workload's.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

/// Bytes carried at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// Carries a stream of the workload to the caller. When the caller's side is closed, the workload's next write fails as
/// with any closed pipe.
pub(super) fn carry_out(mut from: UnixStream, mut to: impl Write + Send + 'static) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    if to.write_all(bytes).and_then(|()| to.flush()).is_err() {
                        let _ = from.shutdown(Shutdown::Both);
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    })
}

/// Carries the caller's standard input to the workload, end of file included. The thread may outlive its use: a read
/// from a terminal cannot be taken back, and the program's end ends it.
pub(super) fn carry_in(mut to: UnixStream) {
    thread::spawn(move || {
        // An error on either side is the end of the input.
        let _ = io::copy(&mut io::stdin().lock(), &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
