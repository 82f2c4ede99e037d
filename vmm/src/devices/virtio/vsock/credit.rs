//! Credit-based flow control of one connection (virtio 1.2 section 5.10.6.3).
//!
//! Each side tells the other, in every packet, how large its receive buffer is (`buf_alloc`) and how many bytes have
//! left it so far (`fwd_cnt`). All counters are free-running `u32`s that wrap; what is in flight is their difference.
//!
//! Trust: the guest's two numbers are hostile. A lie can only make the host send less, or more than the guest has room
//! for, which is the guest's loss: the host keeps no copy of what it sends. The guest's own sending is checked against
//! what it was promised.

/// The guest sent more than it was allowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overrun;

/// Both directions' counters.
#[derive(Clone, Debug)]
pub(super) struct Credit {
    /// Bytes that the host buffers for the guest at most.
    buf_alloc: u32,
    /// Bytes received from the guest so far, wrapping.
    received: u32,
    /// Bytes of those that went on to the host's program, wrapping.
    forwarded: u32,
    /// `forwarded` as the guest was told last.
    told: u32,
    /// Bytes sent to the guest so far, wrapping.
    sent: u32,
    /// The guest's receive buffer, in bytes.
    peer_buf_alloc: u32,
    /// Bytes that left the guest's receive buffer, wrapping.
    peer_fwd_cnt: u32,
}

impl Credit {
    /// Nothing sent yet; the guest's buffer is unknown, hence empty.
    pub(super) fn new(buf_alloc: u32) -> Self {
        Self { buf_alloc, received: 0, forwarded: 0, told: 0, sent: 0, peer_buf_alloc: 0, peer_fwd_cnt: 0 }
    }

    /// Takes in what every packet of the guest says.
    pub(super) fn update(&mut self, peer_buf_alloc: u32, peer_fwd_cnt: u32) {
        self.peer_buf_alloc = peer_buf_alloc;
        self.peer_fwd_cnt = peer_fwd_cnt;
    }

    /// Bytes that may be sent to the guest now.
    pub(super) fn sendable(&self) -> u32 {
        self.peer_buf_alloc.saturating_sub(self.sent.wrapping_sub(self.peer_fwd_cnt))
    }

    /// Bytes were sent to the guest.
    pub(super) fn send(&mut self, bytes: u32) {
        self.sent = self.sent.wrapping_add(bytes);
    }

    /// Bytes came from the guest.
    pub(super) fn receive(&mut self, bytes: u32) -> Result<(), Overrun> {
        if bytes > self.buf_alloc.saturating_sub(self.buffered()) {
            return Err(Overrun);
        }
        self.received = self.received.wrapping_add(bytes);
        Ok(())
    }

    /// Bytes from the guest went on to the host's program, or were given up because it does not want them.
    pub(super) fn forward(&mut self, bytes: u32) {
        debug_assert!(bytes <= self.buffered());
        self.forwarded = self.forwarded.wrapping_add(bytes);
    }

    /// Bytes received and not forwarded.
    fn buffered(&self) -> u32 {
        self.received.wrapping_sub(self.forwarded)
    }

    /// Whether the guest should hear of new room now: it may believe that less than half of the buffer is free, and more
    /// is. Half keeps a stream from stalling and still saves most update packets.
    pub(super) fn is_update_due(&self) -> bool {
        let believed = self.buf_alloc.saturating_sub(self.received.wrapping_sub(self.told));
        self.told != self.forwarded && believed < self.buf_alloc / 2
    }

    /// `buf_alloc` and `fwd_cnt` for a packet that is being written for the guest.
    pub(super) fn tell(&mut self) -> (u32, u32) {
        self.told = self.forwarded;
        (self.buf_alloc, self.forwarded)
    }

    /// The promise made to the guest, in bytes.
    pub(super) fn buf_alloc(&self) -> u32 {
        self.buf_alloc
    }
}

/// Least promise to a connection, in bytes.
const MIN_BUF_ALLOC: u32 = 8 << 10;
/// Largest promise to a connection, in bytes: four of Linux's largest packets.
const MAX_BUF_ALLOC: u32 = 256 << 10;
/// What all connections of a guest share before promises fall to [`MIN_BUF_ALLOC`], in bytes.
const SHARED_BYTES: u32 = 8 << 20;

/// Divides a bounded amount of host memory among connections.
///
/// A promise cannot be taken back, so each connection gets a sixteenth of what is left, within the two bounds: the first
/// get [`MAX_BUF_ALLOC`], a crowd gets [`MIN_BUF_ALLOC`] each. The sum is at most [`SHARED_BYTES`] plus the minimum
/// times the number of connections.
#[derive(Debug)]
pub(super) struct BufferBudget {
    promised: u32,
}

impl BufferBudget {
    pub(super) fn new() -> Self {
        Self { promised: 0 }
    }

    /// A promise for a new connection, in bytes.
    pub(super) fn reserve(&mut self) -> u32 {
        let share = SHARED_BYTES.saturating_sub(self.promised) / 16;
        let bytes = (share & !4095).clamp(MIN_BUF_ALLOC, MAX_BUF_ALLOC);
        self.promised = self.promised.saturating_add(bytes);
        bytes
    }

    /// The connection is gone, and its buffer with it.
    pub(super) fn release(&mut self, bytes: u32) {
        self.promised = self.promised.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_guest_may_fill_the_buffer_and_not_one_byte_more() {
        let mut credit = Credit::new(100);
        assert_eq!(credit.receive(60), Ok(()));
        assert_eq!(credit.receive(41), Err(Overrun));
        assert_eq!(credit.receive(40), Ok(()));
        assert_eq!(credit.receive(1), Err(Overrun));
        credit.forward(1);
        assert_eq!(credit.receive(1), Ok(()));
    }

    #[test]
    fn an_update_is_due_once_half_is_used_and_some_of_it_is_free_again() {
        let mut credit = Credit::new(100);
        credit.receive(51).unwrap();
        assert!(!credit.is_update_due(), "nothing new to tell");
        credit.forward(10);
        assert!(credit.is_update_due());
        assert_eq!(credit.tell(), (100, 10));
        assert!(!credit.is_update_due());
    }

    #[test]
    fn nothing_is_sent_before_the_guest_has_named_a_buffer() {
        assert_eq!(Credit::new(1).sendable(), 0);
    }

    #[test]
    fn a_guest_that_claims_to_have_read_more_than_was_sent_gets_nothing() {
        let mut credit = Credit::new(1);
        credit.update(1000, 1);
        assert_eq!(credit.sendable(), 0);
    }

    #[test]
    fn promises_shrink_in_a_crowd_and_their_sum_is_bounded() {
        let mut budget = BufferBudget::new();
        let promises: Vec<u32> = (0..1024).map(|_| budget.reserve()).collect();
        assert_eq!(promises.first(), Some(&MAX_BUF_ALLOC));
        assert_eq!(promises.last(), Some(&MIN_BUF_ALLOC));
        assert!(promises.iter().sum::<u32>() <= SHARED_BYTES + 1024 * MIN_BUF_ALLOC);
        promises.into_iter().for_each(|bytes| budget.release(bytes));
        assert_eq!(budget.reserve(), MAX_BUF_ALLOC);
    }

    proptest! {
        /// Against a model in `u64`, from any starting point of the wrapping counters.
        #[test]
        fn counters_wrap_like_a_model_that_does_not(
            start in any::<u32>(),
            buf_alloc in 1_u32..=1 << 20,
            peer_buf_alloc in 0_u32..=1 << 20,
            steps in prop::collection::vec((0_u32..=1 << 18, 0_u8..4), 1..200),
        ) {
            let mut credit = Credit::new(buf_alloc);
            (credit.received, credit.forwarded, credit.told) = (start, start, start);
            (credit.sent, credit.peer_fwd_cnt) = (start, start);
            credit.update(peer_buf_alloc, start);
            let (mut buffered, mut flight) = (0_u64, 0_u64);
            for (bytes, kind) in steps {
                match kind {
                    0 => {
                        let fits = buffered + u64::from(bytes) <= u64::from(buf_alloc);
                        prop_assert_eq!(credit.receive(bytes).is_ok(), fits);
                        buffered += if fits { u64::from(bytes) } else { 0 };
                    }
                    1 => {
                        let bytes = bytes.min(u32::try_from(buffered).unwrap());
                        credit.forward(bytes);
                        buffered -= u64::from(bytes);
                    }
                    2 => {
                        let bytes = bytes.min(credit.sendable());
                        credit.send(bytes);
                        flight += u64::from(bytes);
                    }
                    _ => {
                        let bytes = bytes.min(u32::try_from(flight).unwrap());
                        credit.update(peer_buf_alloc, credit.peer_fwd_cnt.wrapping_add(bytes));
                        flight -= u64::from(bytes);
                    }
                }
                prop_assert_eq!(u64::from(credit.buffered()), buffered);
                prop_assert_eq!(u64::from(credit.sendable()), u64::from(peer_buf_alloc) - flight);
            }
        }

        /// Whatever the guest claims, nothing overflows and no more than its claimed buffer is sent at once.
        #[test]
        fn hostile_claims_are_harmless(claims in prop::collection::vec(any::<(u32, u32)>(), 1..50)) {
            let mut credit = Credit::new(4096);
            for (buf_alloc, fwd_cnt) in claims {
                credit.update(buf_alloc, fwd_cnt);
                let bytes = credit.sendable();
                prop_assert!(bytes <= buf_alloc);
                credit.send(bytes);
                prop_assert_eq!(credit.sendable(), 0);
            }
        }
    }
}
