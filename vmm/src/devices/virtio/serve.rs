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

/// What became of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done: how many bytes were written into it.
    Done(u32),
    /// It has to wait for so many nanoseconds, and those behind it with it.
    Wait(u64),
    /// The device keeps it and gives it back by itself, later; those behind it go on.
    Kept,
}

/// Whether a queue has more to do after a round in which chains may have to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacedRound {
    /// Nothing waits.
    Done(Round),
    /// A chain does, for so many nanoseconds; serve again then. The driver need not kick.
    Wait(u64),
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
    match serve_paced(queue, memory, interrupt, |chain| Ok(Answer::Done(answer(chain)?)))? {
        PacedRound::Done(round) => Ok(round),
        PacedRound::Wait(_) => Ok(Round::Empty),
    }
}

/// As [`serve`]; a chain that has to wait stays in the queue, and is read anew when it is its turn again.
///
/// # Errors
/// As [`serve`].
pub fn serve_paced<'m>(
    queue: &mut Queue,
    memory: &'m GuestRam,
    interrupt: &Interrupt,
    mut answer: impl FnMut(Chain<'m>) -> Result<Answer, RingError>,
) -> Result<PacedRound, RingError> {
    queue.disable_notification(memory)?;
    for _ in 0..queue.size() {
        let Some(chain) = next_chain(queue, memory)? else { break };
        let head = chain.head_index();
        let written_bytes = match answer(chain)? {
            Answer::Done(written_bytes) => written_bytes,
            Answer::Kept => continue,
            Answer::Wait(wait_ns) => {
                queue.set_next_avail(queue.next_avail().wrapping_sub(1));
                return Ok(PacedRound::Wait(wait_ns));
            }
        };
        queue.add_used(memory, head, written_bytes)?;
        // Per request: with EVENT_IDX it costs one load, and a slow neighbour in the queue delays nobody.
        if queue.needs_notification(memory)? {
            interrupt.used_buffer();
        }
    }
    let is_more = queue.enable_notification(memory)?;
    Ok(PacedRound::Done(if is_more { Round::More } else { Round::Empty }))
}
