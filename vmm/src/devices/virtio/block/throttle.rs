//! What a disk may do in a second: reads and writes, each in bytes and in requests. Pure; the time is the caller's.
//!
//! A request waits until both of its buckets let it pass, and those behind it wait with it: the queue is served in order.

use holm_protocol::vm_config::DiskRates;

use super::request::Request;
use crate::devices::rate_limit::TokenBucket;
use crate::devices::virtio::ring::total_bytes;

/// A bucket holds what comes in this part of a second: 1/10.
const BURSTS_PER_S: u64 = 10;

/// The buckets of one disk; none where nothing is limited.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    reads: Buckets,
    writes: Buckets,
}

#[derive(Clone, Debug)]
struct Buckets {
    bytes: Option<TokenBucket>,
    requests: Option<TokenBucket>,
}

impl Throttle {
    /// Full buckets of these rates; `None` without any.
    pub(super) fn new(rates: &DiskRates) -> Option<Self> {
        let bucket = |rate: Option<std::num::NonZeroU64>| {
            rate.map(|rate| TokenBucket::new(rate.get(), rate.get() / BURSTS_PER_S))
        };
        let reads =
            Buckets { bytes: bucket(rates.read_bytes_per_s), requests: bucket(rates.read_requests_per_s) };
        let writes =
            Buckets { bytes: bucket(rates.write_bytes_per_s), requests: bucket(rates.write_requests_per_s) };
        (*rates != DiskRates::default()).then_some(Self { reads, writes })
    }

    /// Lets a request pass at the time `now_ns`.
    ///
    /// # Errors
    /// It has to wait: for how many nanoseconds. Nothing was taken.
    pub(super) fn take(&mut self, request: &Request, now_ns: u64) -> Result<(), u64> {
        match request {
            Request::Read { into, .. } => self.reads.take(total_bytes(into), now_ns),
            Request::Write { from, .. } => self.writes.take(total_bytes(from), now_ns),
            // They move no data.
            Request::Discard(_) | Request::WriteZeroes(_) => self.writes.take(0, now_ns),
            Request::Flush | Request::GetId { .. } => Ok(()),
        }
    }
}

impl Buckets {
    fn take(&mut self, bytes: u64, now_ns: u64) -> Result<(), u64> {
        let mut requests = self.requests.clone();
        if let Some(bucket) = &mut requests {
            bucket.take(1, now_ns)?;
        }
        if let Some(bucket) = &mut self.bytes {
            bucket.take(bytes, now_ns)?;
        }
        // Only now, as the other one may have refused.
        self.requests = requests;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::devices::virtio::ring::Buffer;
    use crate::memory::GuestAddress;

    const MS: u64 = 1_000_000;

    fn read(length: u32) -> Request {
        Request::Read { offset_bytes: 0, into: vec![Buffer { address: GuestAddress(0), length }] }
    }

    #[test]
    fn reads_and_writes_have_buckets_of_their_own() {
        let rates = DiskRates { read_bytes_per_s: NonZeroU64::new(1000), ..DiskRates::default() };
        let mut throttle = Throttle::new(&rates).unwrap();
        assert_eq!(throttle.take(&read(100), 0), Ok(()));
        assert_eq!(throttle.take(&read(50), 0), Err(50 * MS));
        assert_eq!(throttle.take(&Request::Discard(vec![]), 0), Ok(()));
        assert_eq!(throttle.take(&Request::Flush, 0), Ok(()));
        assert_eq!(throttle.take(&read(50), 50 * MS), Ok(()));
        assert!(Throttle::new(&DiskRates::default()).is_none());
    }

    #[test]
    fn a_request_that_waits_for_bytes_counts_once() {
        let rates = DiskRates {
            read_bytes_per_s: NonZeroU64::new(1000),
            read_requests_per_s: NonZeroU64::new(20),
            ..DiskRates::default()
        };
        let mut throttle = Throttle::new(&rates).unwrap();
        assert_eq!(throttle.take(&read(100), 0), Ok(()));
        for _ in 0..5 {
            assert_eq!(throttle.take(&read(10), 0), Err(10 * MS));
        }
        assert_eq!(throttle.take(&read(10), 10 * MS), Ok(()));
        // Two requests were the burst.
        assert!(throttle.take(&read(1), 20 * MS).is_err());
    }
}
