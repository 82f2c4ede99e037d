//! Where the two halves of a transfer meet: its call and its stream, whichever comes first.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_vsock::VsockStream;

use crate::fault::{At, Fault};

/// How long a call waits for its stream.
const STREAM_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams whose call has not come; more are refused.
const MAX_OFFERED: usize = 64;

/// A stream, and what arrived behind its header.
pub(crate) struct TransferStream {
    pub(crate) connection: VsockStream,
    pub(crate) early: Vec<u8>,
}

/// Streams by their transfer's id.
#[derive(Default)]
pub(crate) struct Transfers {
    offered: Mutex<HashMap<String, TransferStream>>,
    changed: Notify,
}

impl Transfers {
    /// Keeps a stream for its call.
    pub(crate) fn offer(&self, id: String, stream: TransferStream) -> Result<(), Fault> {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        if offered.len() >= MAX_OFFERED {
            return Err(Fault::precondition("too many transfers wait for their call"));
        }
        offered.insert(id, stream);
        drop(offered);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Gives a call its stream.
    pub(crate) async fn claim(&self, id: &str) -> Result<TransferStream, Fault> {
        let wait = async {
            loop {
                // Before the look, so that nothing is missed after it.
                let changed = self.changed.notified();
                let found = self.offered.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
                if let Some(stream) = found {
                    return stream;
                }
                changed.await;
            }
        };
        timeout(STREAM_TIMEOUT, wait).await.at("waiting for the stream of a transfer")
    }
}
