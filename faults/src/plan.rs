//! What happens in this process, as the environment says when the first point is passed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

use crate::table::{Kind, POINTS};

/// What can happen at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed, as by `kill -9`.
    Kill,
    /// The device has no space.
    NoSpace,
    /// The device fails.
    Io,
    /// The process stands still from here on: whoever armed it cuts the power, and kills it.
    Hold,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Kill, Self::NoSpace, Self::Io, Self::Hold];

    /// As [`crate::VARIABLE`]'s file has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::NoSpace => "enospc",
            Self::Io => "eio",
            Self::Hold => "hold",
        }
    }

    /// Whether it can happen at a point of this kind.
    #[must_use]
    pub fn is_of(self, kind: Kind) -> bool {
        matches!(self, Self::Kill | Self::Hold) || kind == Kind::Error
    }
}

impl FromStr for Fault {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|fault| fault.word() == word).ok_or(())
    }
}

/// One process's.
#[derive(Debug)]
pub(crate) struct Plan {
    passed: File,
    armed: Option<Armed>,
}

#[derive(Debug)]
struct Armed {
    index: usize,
    fault: Fault,
    /// How often it may still be passed before.
    left: AtomicU32,
}

static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

impl Plan {
    #[inline]
    pub(crate) fn of_this_process() -> Option<&'static Self> {
        PLAN.get_or_init(|| Self::of(std::env::var_os(crate::VARIABLE)?.as_ref())).as_ref()
    }

    /// A directory that is not there is no plan.
    fn of(directory: &Path) -> Option<Self> {
        let passed = File::options().append(true).open(directory.join("passed")).ok()?;
        let armed = fs::read_to_string(directory.join("armed")).ok().and_then(|line| Armed::parse(&line));
        Some(Self { passed, armed })
    }

    pub(crate) fn pass(&self, index: usize) -> io::Result<()> {
        let name = POINTS.get(index).map_or("", |point| point.name);
        // One write, so that lines of several processes stay whole.
        let _ = (&self.passed).write_all(format!("{name} {}\n", std::process::id()).as_bytes());
        let Some(armed) = self.armed.as_ref().filter(|armed| armed.index == index) else { return Ok(()) };
        // It stays so from then on, as on a disk that is full.
        if armed.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Ok(());
        }
        match armed.fault {
            // A VMM's filter does not have this call, and ends it for that.
            Fault::Kill => Ok(kill_process(getpid(), Signal::KILL)?),
            Fault::Hold => Ok(kill_process(getpid(), Signal::STOP)?),
            Fault::NoSpace => Err(rustix::io::Errno::NOSPC.into()),
            Fault::Io => Err(rustix::io::Errno::IO.into()),
        }
    }
}

impl Armed {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let index = POINTS.iter().position(|point| point.name == name)?;
        let fault = words.next()?.parse().ok()?;
        let nth: u32 = words.next()?.parse().ok()?;
        Some(Self { index, fault, left: AtomicU32::new(nth.checked_sub(1)?) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_armed_happens_from_the_nth_time_on_and_all_is_noted() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Plan::of(directory.path()).is_none());
        let passed = directory.path().join("passed");
        fs::write(&passed, "").unwrap();
        let error = POINTS.iter().position(|point| point.kind == Kind::Error).unwrap();
        let other = POINTS.iter().position(|point| point.kind == Kind::Crash).unwrap();
        let name = POINTS[error].name;
        fs::write(directory.path().join("armed"), format!("{name} enospc 2\n")).unwrap();
        let plan = Plan::of(directory.path()).unwrap();
        plan.pass(other).unwrap();
        plan.pass(error).unwrap();
        for _ in 0..2 {
            assert_eq!(plan.pass(error).unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
        let lines = fs::read_to_string(passed).unwrap();
        assert_eq!(lines.lines().filter(|line| line.starts_with(&format!("{name} "))).count(), 3);
        assert_eq!(lines.lines().count(), 4);
    }

    #[test]
    fn what_is_not_understood_arms_nothing() {
        let name = POINTS[0].name;
        let bad = [
            "",
            "nowhere kill 1",
            &format!("{name} kill"),
            &format!("{name} kill 0"),
            &format!("{name} x 1"),
        ];
        assert!(bad.iter().all(|line| Armed::parse(line).is_none()));
        assert!(Armed::parse(&format!("{name} kill 1\n")).is_some());
    }
}
