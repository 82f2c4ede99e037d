//! Containers from create to rm: start, stop, kill, pause, restart, rename, wait, and what crashes leave.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use holm_e2e::{Holm, TestImage, until};
use serde_json::Value;

/// What `holm inspect` says of it, by JSON pointer.
fn inspect(holm: &Holm, name: &str, pointer: &str) -> Value {
    let text = holm.holm(["inspect", name]).outcome().ok();
    let found: Value = serde_json::from_str(&text).unwrap();
    found[0].pointer(pointer).cloned().unwrap_or_else(|| panic!("no {pointer} in {text}"))
}

fn status(holm: &Holm, name: &str) -> String {
    inspect(holm, name, "/State/Status").as_str().unwrap().to_owned()
}

/// Lines of a file in it, which may not be there yet.
fn lines(holm: &Holm, name: &str, file: &str) -> u32 {
    let counted = holm.holm(["exec", name, "sh", "-c", &format!("wc -l <{file}")]).outcome();
    counted.out().trim().parse().unwrap_or(0)
}

#[test]
fn m16_create_prepares_and_start_runs() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.name();
    let id = holm.holm(["create", "--name", &name, "busybox", "sh", "-c", "exit 5"]).outcome().ok();
    assert_eq!((id.len(), status(&holm, &name).as_str()), (64, "created"));
    assert!(!holm.holm(["ps"]).outcome().ok().contains(&name));
    holm.holm(["stop", &name]).outcome().ok();
    holm.holm(["kill", &name]).outcome().fails(1, "is not running");
    holm.holm(["pause", &name]).outcome().fails(1, "is not running");
    holm.holm(["exec", &name, "true"]).outcome().fails(125, "is not running");
    assert_eq!(holm.holm(["start", &name]).outcome().ok(), name);
    assert_eq!(holm.holm(["wait", &name]).outcome().ok(), "5");
    assert_eq!(status(&holm, &name), "exited");
    assert_eq!(holm.holm(["start", "-a", &name]).outcome().code, 5);
    holm.holm(["rm", &name]).outcome().ok();
}

#[test]
fn m09_the_layer_lives_from_create_to_rm() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "echo $(wc -l </log 2>/dev/null) >>/log; sync; exec sleep 1000");
    until("the first line", || lines(&holm, &name, "/log") == 1);
    holm.holm(["stop", "-t", "0", &name]).outcome().ok();
    holm.holm(["start", &name]).outcome().ok();
    until("the second line", || lines(&holm, &name, "/log") == 2);
    // A crash of the VM, not only of the workload.
    let vmm = inspect(&holm, &name, "/State/Pid").as_i64().unwrap();
    assert!(Command::new("kill").args(["-9", &vmm.to_string()]).status().unwrap().success());
    until("the end", || status(&holm, &name) == "exited");
    assert!(inspect(&holm, &name, "/State/Error").as_str().unwrap().contains("killed by signal 9"));
    holm.holm(["restart", &name]).outcome().ok();
    until("the third line", || lines(&holm, &name, "/log") == 3);
    holm.holm(["rm", "-f", &name]).outcome().ok();
}

#[test]
fn m17_stop_asks_and_then_kills() {
    let holm = Holm::with(TestImage::Busybox);
    let polite = holm.background(&[], "trap 'exit 3' TERM; touch /ready; while :; do sleep 0.1; done");
    until("ready", || holm.holm(["exec", &polite, "test", "-e", "/ready"]).outcome().code == 0);
    holm.holm(["stop", &polite]).outcome().ok();
    assert_eq!(inspect(&holm, &polite, "/State/ExitCode"), 3);

    let deaf = holm.background(&[], "exec sleep 1000");
    let begun = Instant::now();
    holm.holm(["stop", "-t", "2", &deaf]).outcome().ok();
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(inspect(&holm, &deaf, "/State/ExitCode"), 137);

    let options = ["--stop-signal", "SIGUSR1", "--stop-timeout", "-1"];
    let chosen = holm.background(&options, "trap 'exit 4' USR1; touch /ready; while :; do sleep 0.1; done");
    until("ready", || holm.holm(["exec", &chosen, "test", "-e", "/ready"]).outcome().code == 0);
    holm.holm(["stop", &chosen]).outcome().ok();
    assert_eq!(inspect(&holm, &chosen, "/State/ExitCode"), 4);
    holm.holm(["rm", &polite, &deaf, &chosen]).outcome().ok();
}

#[test]
fn m18_nothing_runs_while_paused() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&["--rm"], "trap 'exit 9' TERM; while :; do echo >>/ticks; sleep 0.01; done");
    until("ticks", || lines(&holm, &name, "/ticks") > 0);
    assert_eq!(holm.holm(["pause", &name]).outcome().ok(), name);
    assert_eq!(status(&holm, &name), "paused");
    assert!(holm.holm(["ps"]).outcome().ok().contains("(Paused)"));
    holm.holm(["pause", &name]).outcome().fails(1, "is already paused");
    holm.holm(["exec", &name, "true"]).outcome().fails(126, "unpause the container before exec");
    holm.holm(["start", &name]).outcome().fails(1, "try unpause instead");
    sleep(Duration::from_secs(1));
    holm.holm(["unpause", &name]).outcome().ok();
    holm.holm(["unpause", &name]).outcome().fails(1, "is not paused");
    let before = lines(&holm, &name, "/ticks");
    until("more ticks", || lines(&holm, &name, "/ticks") > before);
    // A paused container stops like any other.
    holm.holm(["pause", &name]).outcome().ok();
    holm.holm(["stop", &name]).outcome().ok();
    assert!(!holm.holm(["ps", "-a"]).outcome().ok().contains(&name));
}

#[test]
fn m18_paused_ticks_stand_still() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "while :; do echo >>/ticks; sleep 0.01; done");
    until("ticks", || lines(&holm, &name, "/ticks") > 0);
    let begun = lines(&holm, &name, "/ticks");
    holm.holm(["pause", &name]).outcome().ok();
    sleep(Duration::from_secs(4));
    holm.holm(["unpause", &name]).outcome().ok();
    let paused = lines(&holm, &name, "/ticks") - begun;
    sleep(Duration::from_secs(4));
    let running = lines(&holm, &name, "/ticks") - begun - paused;
    assert!(paused < running / 2, "{paused} ticks around a pause, {running} without");
    holm.holm(["rm", "-f", &name]).outcome().ok();
}

#[test]
fn m18_kill_sends_any_signal() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "trap 'echo hup >/got' HUP; touch /ready; while :; do sleep 0.1; done");
    until("ready", || holm.holm(["exec", &name, "test", "-e", "/ready"]).outcome().code == 0);
    holm.holm(["kill", "-s", "HUP", &name]).outcome().ok();
    until("the signal", || holm.holm(["exec", &name, "cat", "/got"]).outcome().out() == "hup");
    assert_eq!(holm.holm(["kill", &name]).outcome().ok(), name);
    assert_eq!(
        (status(&holm, &name).as_str(), inspect(&holm, &name, "/State/ExitCode")),
        ("exited", 137.into())
    );
    assert_eq!(holm.holm(["wait", &name]).outcome().ok(), "137");
    holm.holm(["rm", &name]).outcome().ok();
}

#[test]
fn m18_a_renamed_container_answers_to_its_new_name() {
    let holm = Holm::with(TestImage::Busybox);
    let (name, new) = (holm.background(&[], "exec sleep 1000"), holm.name());
    holm.holm(["rename", &name, &new]).outcome().ok();
    holm.holm(["stop", "-t", "0", &name]).outcome().fails(1, "no such container");
    assert_eq!(inspect(&holm, &new, "/Name"), format!("/{new}"));
    assert!(holm.holm(["ps"]).outcome().ok().contains(&new));
    holm.holm(["create", "--name", &name, "busybox"]).outcome().ok();
    holm.holm(["rm", "-f", &name, &new]).outcome().ok();
}

#[test]
fn m20_on_failure_is_tried_again_so_often() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&["--restart", "on-failure:2"], "echo >>/runs; sync; exit 6");
    until("the last try", || status(&holm, &name) == "exited");
    assert_eq!(inspect(&holm, &name, "/RestartCount"), 2);
    assert_eq!(inspect(&holm, &name, "/State/ExitCode"), 6);
    holm.holm(["rm", &name]).outcome().ok();
    let good = holm.background(&["--restart", "on-failure"], "exit 0");
    until("the end", || status(&holm, &good) == "exited");
    assert_eq!(inspect(&holm, &good, "/RestartCount"), 0);
    holm.holm(["rm", &good]).outcome().ok();
    let both = holm.run(["--restart", "always", "busybox", "true"]);
    assert!(
        both.code == 125 && both.err().contains("cannot be used with"),
        "--rm and --restart: {}",
        both.err()
    );
}

#[test]
fn m20_always_ends_with_stop() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&["--restart", "always"], "echo >>/runs; exit 0");
    until("a second run", || inspect(&holm, &name, "/RestartCount").as_u64().unwrap() >= 1);
    holm.holm(["stop", &name]).outcome().ok();
    assert_eq!(status(&holm, &name), "exited");
    holm.holm(["rm", &name]).outcome().ok();
}

#[test]
fn m15_a_killed_supervisor_leaves_a_container_that_can_be_used() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "exec sleep 1000");
    let vmm = inspect(&holm, &name, "/State/Pid").as_i64().unwrap();
    let id = inspect(&holm, &name, "/Id").as_str().unwrap().to_owned();
    let killed = Command::new("pkill").args(["-9", "-f", &format!("supervise {id}")]).status().unwrap();
    assert!(killed.success());
    until("the VMM's end", || !PathBuf::from(format!("/proc/{vmm}")).exists());
    assert_eq!(
        (status(&holm, &name).as_str(), inspect(&holm, &name, "/State/ExitCode")),
        ("exited", 255.into())
    );
    holm.holm(["start", &name]).outcome().ok();
    assert_eq!(status(&holm, &name), "running");
    holm.holm(["start", &name]).outcome().ok();
    holm.holm(["rm", "-f", &name]).outcome().ok();
    assert!(!fs::exists(holm.run_directory().join(&id)).unwrap());
}

#[test]
fn m25_inspect_has_dockers_names_and_templates() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.name();
    let words = [
        "create",
        "--name",
        &name,
        "-e",
        "A=1",
        "-m",
        "64m",
        "--restart",
        "on-failure:3",
        "busybox",
        "echo",
        "x y",
    ];
    let id = holm.holm(words).outcome().ok();
    let formatted = |template: &str| holm.holm(["inspect", "-f", template, &name]).outcome().ok();
    assert_eq!(
        formatted("{{.Id}} {{.Name}} {{.Path}} {{json .Args}}"),
        format!("{id} /{name} echo [\"x y\"]")
    );
    assert_eq!(formatted("{{.State.Status}} {{.State.Running}} {{.State.ExitCode}}"), "created false 0");
    assert_eq!(
        formatted(
            "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}"
        ),
        "67108864 on-failure:3"
    );
    assert!(formatted("{{range .Config.Env}}{{println .}}{{end}}").contains("A=1"));
    holm.holm(["inspect", "-f", "{{.Nope}}", &name]).outcome().fails(125, "cannot be executed");
    assert_eq!(holm.holm(["inspect", "no-such-thing"]).outcome().out(), "[]");
    holm.holm(["rm", &name]).outcome().ok();
}

#[test]
fn m26_ps_filters_and_formats() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.name();
    holm.holm(["create", "--name", &name, "busybox", "true"]).outcome().ok();
    let filter = format!("name={name}");
    let ps = |words: &[&str]| holm.holm(["ps", "--filter", &filter]).args(words).outcome().ok();
    assert_eq!(ps(&["-q"]), "", "it does not run");
    assert_eq!(
        ps(&["-a", "--format", "{{.Names}} {{.State}} {{.Image}}"]),
        format!("{name} created busybox")
    );
    assert_eq!(ps(&["--filter", "status=created", "--format", "{{.Names}}"]), name);
    assert_eq!(ps(&["--filter", "status=paused", "-q"]), "");
    assert_eq!(
        ps(&["-a", "--filter", "ancestor=busybox", "--format", "table {{.Names}}\\t{{.State}}"])
            .lines()
            .count(),
        2
    );
    let json: Value = serde_json::from_str(&ps(&["-a", "--format", "json"])).unwrap();
    assert_eq!((&json["Names"], &json["Command"]), (&name.clone().into(), &"\"true\"".into()));
    holm.holm(["rm", &name]).outcome().ok();
}

#[test]
fn m26_top_and_stats_look_into_the_guest() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&["-m", "64m"], "sleep 500 & exec sleep 501");
    until("both", || holm.holm(["top", &name]).outcome().ok().matches("sleep 50").count() == 2);
    let top = holm.holm(["top", &name]).outcome().ok();
    assert!(top.starts_with("UID") && top.lines().next().unwrap().ends_with("CMD"), "{top}");
    let template = "{{.Name}}|{{.PIDs}}|{{.MemUsage}}|{{.CPUPerc}}";
    let stats = holm.holm(["stats", "--no-stream", "--format", template, &name]).outcome().ok();
    assert!(stats.starts_with(&format!("{name}|2|")) && stats.contains("/ 64MiB|"), "{stats}");
    let of_host = ["stats", "--no-stream", "--format", "{{.HostMem}} {{.VMMMem}} {{.SharedMem}}", &name];
    let of_host = holm.holm(of_host).outcome().ok();
    let is_amount = |amount: &str| amount.ends_with("iB") && !amount.starts_with('0');
    assert!(of_host.split(' ').filter(|amount| is_amount(amount)).count() == 3, "{of_host}");
    holm.holm(["stop", "-t", "0", &name]).outcome().ok();
    holm.holm(["top", &name]).outcome().fails(125, "is not running");
    holm.holm(["rm", &name]).outcome().ok();
}
