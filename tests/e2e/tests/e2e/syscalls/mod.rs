//! `make syscalls`: the other end-to-end tests, under a trace of what their VMMs ask the host's kernel for, and the table of what
//! they may ask for beside it.

mod threads;
mod trace;

use std::collections::VecDeque;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use trace::Trace;

/// As many tests at a time as in `make e2e`.
const LANES: usize = 3;

/// How `make e2e` runs them.
const PROFILES: &str = include_str!("../../../../../.config/nextest.toml");

/// Whether nothing runs beside a test in `make e2e`.
fn is_alone(test: &str) -> bool {
    let (_, overrides) = PROFILES.split_once("[[profile.e2e.overrides]]").expect("tests that run alone");
    let (filter, _) = overrides.split_once("threads-required").expect("the end of their names");
    let names = filter.split("test(").skip(1).map(|rest| rest.split(')').next().unwrap_or_default());
    names.into_iter().any(|name| test.contains(name))
}

/// All other tests, without those that take an hour; of the modules or of the names that are told, if some are.
fn tests() -> (Vec<String>, bool) {
    let only = std::env::var("HOLM_SYSCALLS_ONLY").unwrap_or_default();
    let only: Vec<_> = only.split(',').filter(|word| !word.is_empty()).collect();
    let list = |words: &[&str]| {
        let program = std::env::current_exe().unwrap();
        let out = Command::new(program).args(["--list", "--format", "terse"]).args(words).output().unwrap();
        let out = String::from_utf8(out.stdout).unwrap();
        out.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect::<Vec<_>>()
    };
    let ignored = list(&["--ignored"]);
    let mut tests = list(&[]);
    // VMMs that are told to kill themselves ask for what no VMM may.
    let is_other = |test: &str| !["syscalls::", "faults::"].iter().any(|module| test.starts_with(module));
    tests.retain(|test| !ignored.contains(test) && is_other(test));
    tests.retain(|test| only.is_empty() || only.iter().any(|word| test.contains(word)));
    (tests, only.is_empty())
}

/// Runs each in a process of its own; returns those that failed.
fn run(tests: Vec<String>, lanes: usize) -> Vec<String> {
    let failed = Mutex::new(Vec::new());
    let left = Mutex::new(VecDeque::from(tests));
    let lane = || {
        loop {
            let next = left.lock().unwrap().pop_front();
            let Some(test) = next else { return };
            let mut command = Command::new(std::env::current_exe().unwrap());
            let out = command.args(["--exact", &test]).output().unwrap();
            println!("{} {test}", if out.status.success() { "ok    " } else { "FAILED" });
            if !out.status.success() {
                println!("{}", String::from_utf8_lossy(&out.stdout));
                failed.lock().unwrap().push(test);
            }
        }
    };
    thread::scope(|scope| (0..lanes).for_each(|_| drop(scope.spawn(lane))));
    failed.into_inner().unwrap()
}

#[test]
#[ignore = "runs the other tests"]
fn system_calls_are_those_of_the_table() {
    let (tests, are_all) = tests();
    let trace = Trace::begin();
    let (alone, together) = tests.into_iter().partition(|test| is_alone(test));
    let failed = [run(together, LANES), run(alone, 1)].concat();
    let threads = trace.end();
    println!("{} VMMs", threads.vmms);
    let mut unused = Vec::new();
    for (role, call, times) in threads.entries() {
        let of = call.value.map(|(index, value)| format!(" with {value:#x} as argument {index}"));
        let words = format!("{role:?}: {}{}", call.name, of.unwrap_or_default());
        match (times, call.unseen) {
            (0, None) => unused.push(words),
            (0, Some(why)) => println!("unused, {why}: {words}"),
            (times, Some(why)) => println!("used {times} times, though {why}: {words}"),
            (times, None) => println!("used {times} times: {words}"),
        }
    }
    for words in &unused {
        println!("NEVER USED: {words}");
    }
    for ((role, number), times) in threads.strange.iter().chain(&threads.refused) {
        println!("NOT IN THE TABLE: system call {number}, {times} times, of {role:?}");
    }
    assert!(threads.strange.is_empty() && threads.refused.is_empty(), "calls that the table lacks");
    assert_eq!(threads.lost, None, "the trace has gaps: what was never used in it may have been");
    assert!(!are_all || unused.is_empty(), "calls that nobody makes are allowed");
    assert!(failed.is_empty(), "{failed:?}");
}
