//! Scenarios times points times faults.
//!
//! ```text
//!   scenario without a fault ──> the points that it passes, and the files that are left at its end
//!   each point, fault:  prepare ──> armed: act ──> disarmed: commands work, `system check`, settle ──> same files, same host
//! ```

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::{Duration, Instant};

use holm_faults::{Fault, POINTS};

use super::bench::{Bench, Installation};
use super::host::{Host, processes_of};

/// What a user does, in three parts.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What the table calls it.
    pub name: &'static str,
    /// Without faults.
    pub prepare: fn(&mut Bench),
    /// With them: whatever commands answer, they end.
    pub act: fn(&mut Bench),
    /// Without them again: what the scenario is about works, and what must not be lost is there.
    pub settle: fn(&mut Bench),
}

/// How many of a scenario's passes of one point are tried when everything is.
const MOST_PASSES: u32 = 2;
/// How long processes that end by themselves may take, and shared locks to be given back.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// What a scenario does without a fault.
struct Trace {
    /// What it passes, and how often at most in one process.
    points: Vec<(String, u32)>,
    /// What it leaves.
    files: Vec<String>,
}

/// What was tried, and what came of it.
#[derive(Debug)]
pub struct Matrix {
    installation: Installation,
    /// Whether nobody else changes the host meanwhile.
    alone: bool,
    /// Whether more than one pass of a point is tried.
    every_pass: bool,
    passed: BTreeSet<String>,
    tried: BTreeMap<(String, &'static str), u32>,
    failures: Vec<String>,
}

impl Matrix {
    /// Nothing yet. The host is compared too if nobody else is at work on it (`alone`).
    #[must_use]
    pub fn new(installation: Installation, alone: bool) -> Self {
        let (passed, tried, failures) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        Self { installation, alone, every_pass: false, passed, tried, failures }
    }

    /// Tries a point also when it is passed again.
    #[must_use]
    pub fn at_every_pass(self) -> Self {
        Self { every_pass: true, ..self }
    }

    /// Runs a scenario once without a fault and then with each of these, at those of its points that `wanted` picks: by the point's
    /// name and the fault.
    pub fn run(&mut self, scenario: &Scenario, wanted: &dyn Fn(&str, Fault) -> bool) {
        let Some(Trace { points, files }) = self.trace(scenario) else { return };
        for (name, passes) in points {
            let Some(point) = POINTS.iter().find(|point| point.name == name) else { continue };
            self.passed.insert(name.clone());
            for fault in Fault::ALL.into_iter().filter(|fault| fault.is_of(point.kind)) {
                // A disk that is full stays full: the first time is all there is.
                let again = self.every_pass && fault == Fault::Kill;
                let most = if again { passes.min(MOST_PASSES) } else { 1 };
                let known = self.tried.contains_key(&(name.clone(), fault.word()));
                for nth in 1..=most {
                    // Errors once for each point, kills once for each scenario.
                    if wanted(&name, fault) && !(known && fault != Fault::Kill) {
                        self.inject(scenario, &name, fault, nth, &files);
                    }
                }
            }
        }
    }

    /// What it passes, and what it leaves.
    fn trace(&mut self, scenario: &Scenario) -> Option<Trace> {
        let mut bench = Bench::new(&self.installation);
        let done = catch_unwind(AssertUnwindSafe(|| {
            (scenario.prepare)(&mut bench);
            bench.director.disarm().expect("disarm");
            (bench.faulty, bench.strict) = (true, true);
            (scenario.act)(&mut bench);
            (bench.faulty, bench.strict) = (false, false);
            // Supervisors end after those who asked them to.
            nobody_left(&bench);
            let points = bench.director.passed().expect("what was passed");
            recover(&bench);
            (scenario.settle)(&mut bench);
            bench.clear();
            Trace { points, files: bench.files() }
        }));
        done.map_err(|panic| {
            self.failures.push(format!("{} without a fault: {}", scenario.name, words_of(panic.as_ref())));
        })
        .ok()
    }

    fn inject(&mut self, scenario: &Scenario, point: &str, fault: Fault, nth: u32, files: &[String]) {
        let what = format!("{}: {point} {} {nth}", scenario.name, fault.word());
        let before = if self.alone { Host::now() } else { Host::default() };
        let bench = Bench::new(&self.installation);
        let mut bench = if fault == Fault::Hold { bench.with_disk() } else { bench };
        let tried = catch_unwind(AssertUnwindSafe(|| {
            (scenario.prepare)(&mut bench);
            bench.sync();
            bench.director.arm(point, fault, nth).expect("arm");
            bench.faulty = true;
            (scenario.act)(&mut bench);
            bench.faulty = false;
            let happened = bench.director.has_happened(point, nth);
            bench.restart_host();
            recover(&bench);
            (scenario.settle)(&mut bench);
            bench.clear();
            let left: Vec<String> = bench.files().into_iter().filter(|file| !files.contains(file)).collect();
            assert!(left.is_empty(), "files are left: {left:?}");
            nobody_left(&bench);
            happened
        }));
        let key = (point.to_owned(), fault.word());
        match tried {
            // Another run took another way.
            Ok(false) => {}
            Ok(true) => *self.tried.entry(key).or_default() += 1,
            Err(panic) => self.failures.push(format!("{what}: {}", words_of(panic.as_ref()))),
        }
        let failed = self.failures.last().is_some_and(|failure| failure.starts_with(&format!("{what}: ")));
        if failed {
            bench.kill_all();
        }
        drop(bench);
        if self.alone {
            let begun = Instant::now();
            let mut more = Host::now().beyond(&before);
            while !more.is_empty() && begun.elapsed() < END_PATIENCE {
                sleep(Duration::from_millis(100));
                more = Host::now().beyond(&before);
            }
            if !more.is_empty() {
                self.failures.push(format!("{what}: left on the host: {more:?}"));
            }
        }
    }

    /// The table: each point, how often each fault was tried there.
    ///
    /// # Panics
    /// When anything failed; with `whole`, also when no scenario passes a point.
    pub fn conclude(self, whole: bool) {
        println!("{:<36} {:>6} {:>7} {:>5} {:>6}", "point", "kill", "enospc", "eio", "power");
        let mut never = Vec::new();
        for point in POINTS {
            let count = |fault: Fault| {
                let count = self.tried.get(&(point.name.to_owned(), fault.word())).copied().unwrap_or(0);
                match (fault.is_of(point.kind), count) {
                    (false, _) => "-".to_owned(),
                    (true, 0) => ".".to_owned(),
                    (true, count) => count.to_string(),
                }
            };
            let [kill, full, broken, power] = Fault::ALL.map(count);
            if self.passed.contains(point.name) {
                println!("{:<36} {kill:>6} {full:>7} {broken:>5} {power:>6}", point.name);
            } else {
                never.push(point.name);
            }
        }
        let injections: u32 = self.tried.values().sum();
        println!("{} points passed of {}, {injections} faults", self.passed.len(), POINTS.len());
        assert!(self.failures.is_empty(), "{} failures:\n{}", self.failures.len(), self.failures.join("\n"));
        assert!(!whole || never.is_empty(), "no scenario passes {never:?}");
    }
}

/// Whatever happened: lists can be had, what is damaged is damaged by nobody, what was left can be put right.
fn recover(bench: &Bench) {
    for words in [&["ps", "-a"][..], &["volume", "ls"], &["network", "ls"], &["images"]] {
        bench.ok(words);
    }
    bench.ok(&["system", "check", "--repair"]);
    assert_eq!(bench.ok(&["system", "check", "--full"]), "Everything is sound.");
}

/// Processes end with what they were for.
fn nobody_left(bench: &Bench) {
    let begun = Instant::now();
    loop {
        let left = processes_of(&bench.root());
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < END_PATIENCE, "processes are left: {left:?}");
        sleep(Duration::from_millis(20));
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}
