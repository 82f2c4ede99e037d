//! The restart policy's pauses: 100 ms, doubled each time up to a minute, from the start again after a good run (M20).

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// A workload that ran so long was up.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// How often, and after what pause.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Restarts {
    /// Since a user started the container.
    pub(super) count: u32,
    /// Without a good run in between.
    pub(super) in_a_row: u32,
}

impl Restarts {
    /// Notes that the workload ended after `ran`, and says how long to wait before it is started again.
    pub(super) fn pause_after(&mut self, ran: Duration) -> Duration {
        if ran >= GOOD_RUN {
            self.in_a_row = 0;
        }
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(self.in_a_row)).min(LONGEST);
        self.count = self.count.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_a_good_run() {
        let mut restarts = Restarts::default();
        let short = Duration::from_secs(1);
        let pauses: Vec<u128> = (0..4).map(|_| restarts.pause_after(short).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800]);
        assert_eq!(restarts.pause_after(GOOD_RUN).as_millis(), 100);
        assert_eq!((restarts.count, restarts.in_a_row), (5, 1));
        restarts.in_a_row = 40;
        assert_eq!(restarts.pause_after(short), LONGEST);
    }
}
