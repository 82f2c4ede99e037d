//! Faults at named points of lives that need a VM (docs/decisions/0035-faults.md). Those that need none are tried by
//! `cli/tests/faults.rs`, on any machine.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holm_e2e::faults::{Bench, Installation, LIVES, Matrix, STORES, Scenario, TASKS};
use holm_e2e::{Containerd, TestImage};
use holm_faults::Fault;
use holm_test_registry::{DockerRegistry, Mode};

/// What runs whenever the end-to-end tests do: one of each kind of thing that a process has made when it dies.
const ALWAYS: &[&str] = &[
    "client.supervisor.spawned",
    "sandbox.vmm.spawned",
    "supervisor.started.written",
    "supervisor.settle.removed",
    "vmm.serving",
];

#[test]
fn lives_survive_a_sudden_end_of_each_program() {
    let mut matrix = Matrix::new(Installation::of_host(), true);
    let run = LIVES.iter().find(|scenario| scenario.name == "run").unwrap();
    matrix.run(run, &|point, fault| fault == Fault::Kill && ALWAYS.contains(&point));
    matrix.conclude(false);
}

/// The programs that need no VM, at each of their points.
#[test]
#[ignore = "takes minutes"]
fn stores_survive_a_power_cut_at_every_point() {
    let mut matrix = Matrix::new(Installation::of_host(), false);
    for scenario in STORES {
        matrix.run(scenario, &|_, fault| fault == Fault::Hold);
    }
    matrix.conclude(false);
}

/// What a command said was done is there after the power was cut.
#[test]
fn what_was_told_survives_a_power_cut() {
    let bench = Bench::new(&Installation::of_host()).with_disk();
    let restarted = |words: &[&str]| {
        let out = bench.ok(words);
        bench.restart_host();
        out
    };
    restarted(&["load", "-q", "-i", &bench.installation.archive.display().to_string()]);
    restarted(&["tag", "busybox", "other:v1"]);
    restarted(&["volume", "create", "data"]);
    let container = restarted(&["create", "--name", "cc", "-v", "data:/data", "busybox", "true"]);
    restarted(&["rename", "cc", "dd"]);
    assert_eq!(bench.ok(&["system", "check", "--full"]), "Everything is sound.");
    assert_eq!(bench.ok(&["inspect", "--format", "{{.Id}} {{.Name}}", "dd"]), format!("{container} /dd"));
    assert_eq!(bench.ok(&["volume", "ls", "-q"]), "data");
    // Of that, nothing is promised, and nothing left.
    restarted(&["create", "--rm", "--name", "brief", "busybox", "true"]);
    assert_eq!(bench.ok(&["ps", "-aq", "--no-trunc"]), container);
    restarted(&["create", "--rm", "--name", "brief", "-v", "/data", "busybox", "true"]);
    bench.ok(&["rm", "-v", "brief"]);
    assert_eq!(bench.ok(&["system", "check", "--full"]), "Everything is sound.");
    restarted(&["rmi", "other:v1"]);
    restarted(&["rm", "dd"]);
    restarted(&["volume", "rm", "data"]);
    assert_eq!(bench.lines(&["images", "--format", "{{.Repository}}:{{.Tag}}"]), ["busybox:latest"]);
    assert_eq!((bench.ok(&["ps", "-aq"]), bench.ok(&["volume", "ls", "-q"])), (String::new(), String::new()));
    // What was removed may still take space.
    bench.ok(&["system", "check", "--repair"]);
    assert_eq!(bench.ok(&["system", "check", "--full"]), "Everything is sound.");
}

/// `make faults`: everything, and no point that nothing passes. `HOLM_FAULTS_ONLY` names scenarios, `HOLM_FAULTS_POINTS` is how the
/// points begin that are tried, and after `HOLM_FAULTS_SECONDS` no further one is.
#[test]
#[ignore = "takes an hour"]
fn every_point_survives_every_fault() {
    let only = std::env::var("HOLM_FAULTS_ONLY").unwrap_or_default();
    let seconds = std::env::var("HOLM_FAULTS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let (begun, limit) = (Instant::now(), Duration::from_secs(seconds.unwrap_or(u64::MAX)));
    let points = std::env::var("HOLM_FAULTS_POINTS").unwrap_or_default();
    let is_wanted =
        |scenario: &Scenario| only.is_empty() || only.split(',').any(|name| name == scenario.name);
    let registry = DockerRegistry::start(Mode::Plain);
    let from = format!("oci-archive:{}", TestImage::Busybox.archive().display());
    let to = format!("docker://{}", registry.name("busybox:latest"));
    let copy = ["copy", "-q", "--dest-tls-verify=false", &from, &to];
    assert!(Command::new("skopeo").args(copy).status().unwrap().success());
    let mut installation =
        Installation { remote: Some(registry.name("busybox:latest")), ..Installation::of_host() };
    if is_wanted(&TASKS) {
        let faults = tempfile::tempdir_in("/var/tmp").unwrap();
        installation.faults = Some(faults.keep());
        let environment = [(holm_faults::VARIABLE, installation.faults.as_ref().unwrap().as_os_str())];
        installation.containerd = Some(Arc::new(Containerd::start_with(&environment)));
    }
    let mut matrix = Matrix::new(installation, true).at_every_pass();
    for scenario in STORES.iter().chain(LIVES).chain([&TASKS]).filter(|scenario| is_wanted(scenario)) {
        matrix.run(scenario, &|point, _| {
            let is_wanted = points.is_empty() || points.split(',').any(|begin| point.starts_with(begin));
            is_wanted && begun.elapsed() < limit
        });
    }
    matrix.conclude(only.is_empty());
}
