//! `holm stop`: a signal, a grace period, SIGKILL, and at last the end of the VM.
//!
//! ```text
//!   signal sent ──grace period over──> SIGKILL sent ──still there after a while──> VM killed
//! ```

use std::time::{Duration, Instant};

/// How long the guest's kernel may take to end killed processes before its VM is ended.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// What to do next for a container that is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escalation {
    /// Send SIGKILL.
    Kill,
    /// End the VM.
    EndVm,
}

/// A stop that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    next: Escalation,
    /// `None`: wait for ever.
    at: Option<Instant>,
}

impl Stop {
    /// The signal was sent `now`.
    pub(super) fn asked(grace: Option<Duration>, now: Instant) -> Self {
        Self { next: Escalation::Kill, at: grace.map(|grace| now + grace) }
    }

    /// When [`Stop::escalate`] is due.
    pub(super) const fn deadline(self) -> Option<Instant> {
        self.at
    }

    /// What is to be done now that the deadline has come.
    pub(super) fn escalate(&mut self, now: Instant) -> Escalation {
        self.at = Some(now + KILL_TIMEOUT);
        std::mem::replace(&mut self.next, Escalation::EndVm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_the_vm() {
        let now = Instant::now();
        let mut stop = Stop::asked(Some(Duration::from_secs(3)), now);
        assert_eq!(stop.deadline(), Some(now + Duration::from_secs(3)));
        assert_eq!(stop.escalate(now), Escalation::Kill);
        assert_eq!(stop.deadline(), Some(now + KILL_TIMEOUT));
        assert_eq!(stop.escalate(now), Escalation::EndVm);
        assert_eq!(Stop::asked(None, now).deadline(), None);
    }
}
