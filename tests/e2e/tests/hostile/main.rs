//! A VMM that was taken over tries to leave its jail (docs/threat-model.md).
//!
//! This program is both the tests and that VMM: the tests have the runtime start it in the VMM's place (`HOLM_VMM`). It has a main
//! function of its own, as a VMM has: entering the jail is for a process with one thread.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod attacks;
mod targets;
mod vmm;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use attacks::ATTACKS;
use targets::{Targets, Who};
use vmm::{End, Outcome};

/// What a hostile VMM is to attack.
const TARGETS: &str = "HOLM_TEST_TARGETS";
/// By which the walls say no.
const REFUSALS: [i32; 10] = [
    libc::EPERM,
    libc::ENOENT,
    libc::ESRCH,
    libc::EACCES,
    libc::EROFS,
    libc::ENOSYS,
    libc::ENXIO,
    libc::ECONNREFUSED,
    libc::ENETUNREACH,
    // A VMM without shares has no descriptor of one.
    libc::EBADF,
];

fn t6_a_hostile_vmm_of_root_stays_in_its_jail() {
    stays_in_its_jail(Who::Root);
}

fn t6_a_hostile_vmm_with_shares_stays_in_its_jail() {
    stays_in_its_jail(Who::RootWithShares);
}

fn t6_a_hostile_vmm_of_a_user_stays_in_its_jail() {
    stays_in_its_jail(Who::User);
}

fn t6_a_hostile_vmm_of_a_user_with_shares_stays_in_its_jail() {
    stays_in_its_jail(Who::UserWithShares);
}

/// Each attack fails at the filter, and at what is behind it but for those of which the table says that nothing is.
fn stays_in_its_jail(who: Who) {
    let holm = who.holm();
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let (targets, _listeners) = Targets::start(&holm, directory.path());
    let report = targets.report.clone();
    let (program, script) = (directory.path().join("program"), directory.path().join("holm-vmm"));
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let targets = serde_json::to_string(&targets).unwrap();
    let text = format!("#!/bin/sh\n{TARGETS}='{targets}' exec {} \"$@\"\n", program.display());
    fs::write(&script, text).unwrap();
    for file in [&program, &script] {
        fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
    }
    let shares: &[&str] = if who.has_shares() { &["-v", "/data"] } else { &[] };
    let run =
        holm.holm(["run", "--rm", "--cold"]).args(shares).args(["busybox", "true"]).env("HOLM_VMM", &script);
    let ran = run.outcome();
    assert_ne!(ran.code, 0, "it runs no guest");
    let outcomes = fs::read(&report).unwrap_or_else(|error| panic!("{error}: {}", ran.err()));
    let outcomes: Vec<Outcome> =
        serde_json::from_slice(&outcomes).unwrap_or_else(|error| panic!("{error}: {}", ran.err()));
    let mut wrong = Vec::new();
    for outcome in &outcomes {
        let attack = ATTACKS.iter().find(|attack| attack.name == outcome.attack).unwrap();
        let is_denied = matches!(outcome.end, End::Denied(error) if REFUSALS.contains(&error));
        let is_right = match &outcome.filter {
            Some(role) if attack.passes.iter().any(|passes| format!("{passes:?}") == *role) => is_denied,
            Some(_) => outcome.end == End::Killed,
            None if attack.filter_alone.contains(&who) => outcome.end == End::Done,
            None => is_denied,
        };
        if !is_right {
            wrong.push(format!("{outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{who:?}: {}", wrong.join("\n"));
    assert_eq!(outcomes.len(), 6 * ATTACKS.len());
}

macro_rules! tests {
    ($($test:ident),*) => {
        const TESTS: &[(&str, fn())] = &[$((stringify!($test), $test)),*];
    };
}
tests![
    t6_a_hostile_vmm_of_root_stays_in_its_jail,
    t6_a_hostile_vmm_with_shares_stays_in_its_jail,
    t6_a_hostile_vmm_of_a_user_stays_in_its_jail,
    t6_a_hostile_vmm_of_a_user_with_shares_stays_in_its_jail
];

/// As much of the test harness as nextest asks for: a list, of which nothing is ignored, and one test by its name.
fn main() {
    if let Ok(targets) = std::env::var(TARGETS) {
        vmm::run(&targets);
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let names_any = TESTS.iter().any(|(name, _)| has(name));
    for (name, test) in TESTS.iter().filter(|(name, _)| !has("--ignored") && (!names_any || has(name))) {
        if has("--list") {
            println!("{name}: test");
        } else {
            test();
        }
    }
}
