//! How fast frames may pass in one direction.
//!
//! A frame passes first and is paid for afterwards; the next one has to wait until that is done. So nobody needs to know a
//! frame's length before it moves, and the rate holds all the same. What waits, waits where it is: in the guest's queue, or in
//! the link, which drops what it has no room for, as on any slow wire.

use std::io;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use vmm_sys_util::timerfd::TimerFd;

use crate::devices::rate_limit::TokenBucket;

/// A bucket holds what comes in this part of a second, 1/10, and no less than the longest frame.
const BURSTS_PER_S: u64 = 10;
const MIN_BURST_BYTES: u64 = 64 << 10;

/// Whoever waits looks again after this at the latest: the rate may have changed.
const MAX_WAIT: Duration = Duration::from_millis(250);

/// The limit of one direction.
pub(super) struct Limit {
    /// None where nothing is limited.
    price: Option<Price>,
    /// Fires when what is owed can be paid.
    timer: TimerFd,
    begin: Instant,
}

/// The same without a clock.
#[derive(Debug)]
struct Price {
    bucket: TokenBucket,
    /// Bytes that have passed and are not paid for.
    owed: u64,
}

impl Limit {
    /// So many bytes in a second, or as many as there are.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub(super) fn new(bytes_per_s: Option<NonZeroU64>) -> io::Result<Self> {
        let timer = TimerFd::new().map_err(io::Error::from)?;
        Ok(Self { price: bytes_per_s.map(Price::new), timer, begin: Instant::now() })
    }

    /// Another rate from now on; what was owed at the old one is forgotten.
    pub(super) fn set(&mut self, bytes_per_s: Option<NonZeroU64>) {
        self.price = bytes_per_s.map(Price::new);
    }

    /// What is to be watched, for edges: nobody reads it.
    pub(super) fn timer(&self) -> &TimerFd {
        &self.timer
    }

    /// Notes that a frame of so many bytes has passed; whether the next one may, too. If not, the timer is set.
    pub(super) fn passed(&mut self, bytes: usize) -> bool {
        let Some(price) = &mut self.price else { return true };
        price.owed = price.owed.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let now_ns = u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        match price.pay(now_ns) {
            Ok(()) => true,
            Err(wait_ns) => {
                if let Err(error) = self.timer.reset(Duration::from_nanos(wait_ns).min(MAX_WAIT), None) {
                    tracing::error!(%error, "cannot set the timer of a network's limit");
                    // Frames that are too fast are better than none for ever.
                    return true;
                }
                false
            }
        }
    }
}

impl Price {
    fn new(bytes_per_s: NonZeroU64) -> Self {
        let burst = (bytes_per_s.get() / BURSTS_PER_S).max(MIN_BURST_BYTES);
        Self { bucket: TokenBucket::new(bytes_per_s.get(), burst), owed: 0 }
    }

    fn pay(&mut self, now_ns: u64) -> Result<(), u64> {
        self.bucket.take(self.owed, now_ns)?;
        self.owed = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_pass_at_the_rate_and_the_next_waits() {
        let mut price = Price::new(NonZeroU64::new(1_000_000).unwrap());
        let mut now = 0;
        let mut passed = 0_u64;
        while now < 10_000_000_000 {
            price.owed += 1500;
            passed += 1500;
            while let Err(wait) = price.pay(now) {
                now += wait;
            }
        }
        let burst = 100_000;
        assert!((10_000_000..=10_000_000 + burst + 3000).contains(&passed), "{passed} bytes in 10 s");
    }
}
