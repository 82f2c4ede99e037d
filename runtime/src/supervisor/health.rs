//! Healthchecks: when to probe, and what the results mean. Pure; time is given.
//!
//! ```text
//!              interval over                      result
//!   waiting ──────────────────> probing ──────────────────────────> waiting ...
//!
//!              success                      `retries` failures in a row
//!   starting ───────────> healthy ────────────────────────────────────────> unhealthy
//!      │                     ^──────────────────── success ─────────────────────┘ ^
//!      └────────── `retries` failures in a row, after the start period ───────────┘
//! ```
//!
//! Source: what Docker's daemon does (moby daemon/health.go), also where its documentation is silent: the interval runs from
//! the end of a probe, and failures of the start period do not count while the status is `starting`.

use std::time::{Duration, Instant};

use crate::container::settings::HealthConfig;
use crate::container::{Health, HealthStatus, Probe};

/// How many probes are remembered.
const MAX_LOG: usize = 5;

/// The health of one life of a container.
#[derive(Debug)]
pub(super) struct HealthMonitor {
    config: HealthConfig,
    command: Vec<String>,
    started: Instant,
    /// When to probe; `None` while a probe runs.
    next: Option<Instant>,
    /// Counts probes.
    pub(super) number: u64,
    pub(super) health: Health,
}

impl HealthMonitor {
    /// For a workload that started `now`; `None` when nobody asked for its health.
    pub(super) fn new(config: Option<&HealthConfig>, now: Instant) -> Option<Self> {
        let (config, command) = (config?, config?.command()?);
        let health = Health::default();
        let mut monitor =
            Self { config: config.clone(), command, started: now, next: None, number: 0, health };
        monitor.wait(now);
        Some(monitor)
    }

    /// When [`HealthMonitor::begin`] is due.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// What to run, and for how long at most.
    pub(super) fn begin(&mut self) -> (Vec<String>, Duration) {
        self.next = None;
        self.number += 1;
        (self.command.clone(), self.config.timeout())
    }

    /// Takes the result of a probe that began at `began`; gives the status if it is another one now.
    pub(super) fn end(&mut self, probe: Probe, began: Instant, now: Instant) -> Option<HealthStatus> {
        let before = self.health.status;
        if probe.exit_code == 0 {
            self.health.failing_streak = 0;
            self.health.status = HealthStatus::Healthy;
        } else if before != HealthStatus::Starting || began - self.started >= self.config.start_period() {
            self.health.failing_streak = self.health.failing_streak.saturating_add(1);
            if self.health.failing_streak >= self.config.retries() {
                self.health.status = HealthStatus::Unhealthy;
            }
        }
        self.health.log.push(probe);
        let surplus = self.health.log.len().saturating_sub(MAX_LOG);
        self.health.log.drain(..surplus);
        self.wait(now);
        (self.health.status != before).then_some(self.health.status)
    }

    /// Waits a whole interval from now on.
    pub(super) fn wait(&mut self, now: Instant) {
        let is_starting = self.health.status == HealthStatus::Starting;
        let interval = if is_starting && now - self.started < self.config.start_period() {
            self.config.start_interval()
        } else {
            self.config.interval()
        };
        self.next = now.checked_add(interval);
    }

    /// The workload goes on after a pause, which counts as nothing.
    pub(super) fn resume(&mut self, now: Instant) {
        if self.next.is_some() {
            self.wait(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A container with a clock.
    struct Clock {
        monitor: HealthMonitor,
        now: Instant,
    }

    impl Clock {
        fn new(start_period: Duration, retries: u32) -> Self {
            let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
            let config = HealthConfig {
                test: vec!["CMD-SHELL".into(), "true".into()],
                interval_ns: nanoseconds(10 * SECOND),
                timeout_ns: nanoseconds(2 * SECOND),
                start_period_ns: nanoseconds(start_period),
                start_interval_ns: nanoseconds(SECOND),
                retries,
            };
            let now = Instant::now();
            Self { monitor: HealthMonitor::new(Some(&config), now).unwrap(), now }
        }

        /// Waits for the next probe, which takes a second; gives the seconds waited and the new status.
        fn probe(&mut self, exit_code: i32) -> (u64, Option<HealthStatus>) {
            let due = self.monitor.deadline().unwrap();
            let waited = (due - self.now).as_secs();
            assert_eq!(self.monitor.begin().1, 2 * SECOND);
            assert_eq!(self.monitor.deadline(), None, "one at a time");
            self.now = due + SECOND;
            let time = OffsetDateTime::UNIX_EPOCH;
            let probe = Probe { start: time, end: time, exit_code, output: String::new() };
            (waited, self.monitor.end(probe, due, self.now))
        }
    }

    #[test]
    fn failures_in_a_row_make_it_unhealthy_and_a_success_healthy() {
        let mut clock = Clock::new(Duration::ZERO, 3);
        assert_eq!(clock.monitor.health.status, HealthStatus::Starting);
        assert_eq!(clock.probe(0), (10, Some(HealthStatus::Healthy)));
        assert_eq!(clock.probe(1), (10, None));
        assert_eq!(clock.probe(1), (10, None));
        assert_eq!(clock.monitor.health.failing_streak, 2);
        assert_eq!(clock.probe(-1), (10, Some(HealthStatus::Unhealthy)));
        assert_eq!(clock.probe(1), (10, None));
        assert_eq!(clock.probe(0), (10, Some(HealthStatus::Healthy)));
        assert_eq!(clock.monitor.health.failing_streak, 0);
        assert_eq!((clock.monitor.health.log.len(), clock.monitor.number), (MAX_LOG, 6));
    }

    #[test]
    fn failures_of_the_start_period_do_not_count() {
        let mut clock = Clock::new(5 * SECOND, 1);
        assert_eq!(clock.probe(1), (1, None));
        assert_eq!(clock.probe(1), (1, None));
        assert_eq!(
            (clock.monitor.health.failing_streak, clock.monitor.health.status),
            (0, HealthStatus::Starting)
        );
        // At five seconds it is over.
        assert_eq!(clock.probe(1), (1, Some(HealthStatus::Unhealthy)));
        assert_eq!(clock.probe(1), (10, None));
        let mut early = Clock::new(5 * SECOND, 1);
        assert_eq!(early.probe(0), (1, Some(HealthStatus::Healthy)));
        assert_eq!(early.probe(1), (10, Some(HealthStatus::Unhealthy)));
    }

    #[test]
    fn a_pause_begins_the_interval_again() {
        let mut clock = Clock::new(Duration::ZERO, 1);
        clock.now += 60 * SECOND;
        clock.monitor.resume(clock.now);
        assert_eq!(clock.probe(0).0, 10);
        clock.monitor.begin();
        clock.monitor.resume(clock.now);
        assert_eq!(clock.monitor.deadline(), None, "it is being probed");
    }

    #[test]
    fn nobody_who_does_not_ask_is_probed() {
        let none = HealthConfig { test: vec!["NONE".into()], ..HealthConfig::default() };
        assert!(HealthMonitor::new(None, Instant::now()).is_none());
        assert!(HealthMonitor::new(Some(&none), Instant::now()).is_none());
    }
}
