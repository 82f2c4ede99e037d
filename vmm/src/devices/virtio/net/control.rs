//! The control queue's commands (virtio 1.2 section 5.1.6.5). There is one: how many pairs of queues are used (section 5.1.6.5.5).

use virtio_bindings::virtio_net::{
    VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_ERR, VIRTIO_NET_OK,
};

use super::transmit::gather;
use crate::devices::virtio::ring::{Buffer, Chain, RingError, buffers, split_front};
use crate::memory::{Bytes, GuestRam};

/// Descriptors of one command: Linux sends three.
const MAX_DESCRIPTORS: usize = 8;
/// Class, command and the number of pairs.
const COMMAND_BYTES: usize = 4;

/// What a driver asks for.
#[derive(Debug)]
pub(super) struct Command {
    /// Pairs that are to be used; `None` if it asked for something else.
    pub(super) pairs: Option<u16>,
    /// Where the answer goes.
    answer: Buffer,
}

impl Command {
    /// Takes a command out of its chain.
    ///
    /// # Errors
    /// The chain is broken, or has no room for an answer.
    pub(super) fn read(chain: Chain<'_>, memory: &GuestRam) -> Result<Self, RingError> {
        let mut buffers = buffers(chain, memory, MAX_DESCRIPTORS)?;
        let answer = split_front(&mut buffers.writable, 1).and_then(|answer| answer.first().copied());
        let answer = answer.ok_or(RingError::NoAnswer)?;
        let mut bytes = [u8::MAX; COMMAND_BYTES];
        if let Some(command) = split_front(&mut buffers.readable, COMMAND_BYTES as u64) {
            gather(memory, &command, &mut bytes)?;
        }
        let [class, command, low, high] = bytes;
        let is_known =
            (class.into(), command.into()) == (VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET);
        Ok(Self { pairs: is_known.then(|| u16::from_le_bytes([low, high])), answer })
    }

    /// Tells the driver whether it was done; how many bytes that are.
    ///
    /// # Errors
    /// The answer's place is none any more.
    pub(super) fn answer(self, is_done: bool, memory: &GuestRam) -> Result<u32, RingError> {
        let status = if is_done { VIRTIO_NET_OK } else { VIRTIO_NET_ERR };
        let Buffer { address, length } = self.answer;
        memory
            .write_slice(&[u8::try_from(status).unwrap_or(u8::MAX)], address)
            .map_err(|_| RingError::OutsideMemory { address: address.0, length })?;
        Ok(1)
    }
}
