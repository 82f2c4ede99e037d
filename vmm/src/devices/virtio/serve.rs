//! One round of serving a request queue, for devices that answer each chain at once.

use virtio_queue::{Queue, QueueT};

use super::interrupt::Interrupt;
use super::ring::{Chain, RingError, next_chain};
use crate::memory::GuestRam;

/// Whether a queue has more to do after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// The driver will kick for more.
    Empty,
    /// The driver has already added more; serve again after others had their turn.
    More,
}

/// Answers what is available, at most one ring's worth. `answer` gets a chain and tells how many bytes it wrote.
///
/// # Errors
/// The driver broke the rules: the queue must not be touched again.
pub fn serve<'m>(
    queue: &mut Queue,
    memory: &'m GuestRam,
    interrupt: &Interrupt,
    mut answer: impl FnMut(Chain<'m>) -> Result<u32, RingError>,
) -> Result<Round, RingError> {
    queue.disable_notification(memory)?;
    for _ in 0..queue.size() {
        let Some(chain) = next_chain(queue, memory)? else { break };
        let head = chain.head_index();
        let written_bytes = answer(chain)?;
        queue.add_used(memory, head, written_bytes)?;
        // Per request: with EVENT_IDX it costs one load, and a slow neighbour in the queue delays nobody.
        if queue.needs_notification(memory)? {
            interrupt.used_buffer();
        }
    }
    Ok(if queue.enable_notification(memory)? { Round::More } else { Round::Empty })
}
