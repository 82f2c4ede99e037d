//! Command lines and supervisors that are killed at any moment leave nothing that the next command does not put right.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use holm_e2e::{Holm, TestImage, until};

/// Lives of containers, many at once, each command of which is killed after a time of its own.
fn life(holm: &Holm, number: u32) {
    let name = format!("c{number}");
    // Networks take turns at the host's rules: with one for each, this would take longer than all others together.
    let network = if number.is_multiple_of(3) { "bridge" } else { "none" };
    let commands: [&[&str]; 4] = [
        &["create", "--name", &name, "--network", network, "busybox", "sleep", "2"],
        &["start", &name],
        &["stop", "-t", "0", &name],
        &["rm", "-f", &name],
    ];
    for (step, words) in commands.into_iter().enumerate() {
        let mut child = holm.holm(words).spawn();
        // Spread over what a command takes, and beyond for most of them.
        let patience = (u64::from(number) * 37 + step as u64 * 101) % 400;
        if number.is_multiple_of(2) {
            thread::sleep(Duration::from_millis(patience));
            let _ = child.kill();
        }
        child.wait().unwrap();
    }
}

#[test]
fn killed_command_lines_leave_nothing() {
    let holm = Holm::empty();
    holm.holm(["load", "-q", "-i"]).arg(TestImage::Busybox.archive()).outcome().ok();
    thread::scope(|scope| {
        for lane in 0..5 {
            let holm = &holm;
            scope.spawn(move || (lane * 4..lane * 4 + 4).for_each(|number| life(holm, number)));
        }
    });
    let left = holm.holm(["ps", "-aq"]).outcome().ok();
    for id in left.lines() {
        holm.holm(["rm", "-f", id]).outcome().ok();
    }
    assert_eq!(holm.holm(["ps", "-aq"]).outcome().ok(), "");
    let entries = |path: &Path| -> Vec<String> {
        let found =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        found.filter(|name| ![".lock", "networks", "life"].contains(&name.as_str())).collect()
    };
    assert_eq!(entries(&holm.root().join("containers")), [""; 0]);
    assert_eq!(entries(&holm.root().join("names")), [""; 0]);
    assert_eq!(entries(holm.run_directory()), [""; 0]);
    let endpoints = entries(&holm.run_directory().join("networks"));
    assert!(endpoints.iter().all(|name| name.starts_with('.')), "{endpoints:?}");
    assert_eq!(users_of(holm.root()), [""; 0]);
    holm.holm(["system", "check", "--full"]).outcome().ok();
}

/// Processes that have a file below `directory` open.
fn users_of(directory: &Path) -> Vec<String> {
    let mut users = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        for descriptor in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            if fs::read_link(descriptor.path()).is_ok_and(|file| file.starts_with(directory)) {
                users.push(fs::read_to_string(process.path().join("cmdline")).unwrap_or_default());
            }
        }
    }
    users
}

#[test]
fn a_container_is_removed_by_force_whatever_hangs() {
    let holm = Holm::with(TestImage::Busybox);
    for hanging in ["supervise", "holm-vmm"] {
        let name = holm.background(&[], "exec sleep 1000");
        let id = holm.holm(["inspect", "-f", "{{.Id}}", &name]).outcome().ok();
        let inspected = holm.holm(["inspect", "-f", "{{.State.Pid}}", &name]).outcome().ok();
        let stopped = if hanging == "supervise" {
            Command::new("pkill").args(["-STOP", "-f", &format!("supervise {id}")]).status().unwrap()
        } else {
            Command::new("kill").args(["-STOP", &inspected]).status().unwrap()
        };
        assert!(stopped.success());
        holm.holm(["rm", "-f", &name]).outcome().ok();
        // The kernel ends it right after its supervisor.
        until("the VMM's end", || !Path::new("/proc").join(&inspected).exists());
        assert!(!holm.run_directory().join(&id).exists());
        assert!(!holm.holm(["ps", "-a"]).outcome().ok().contains(&name));
    }
}

/// What a host that loses its power leaves: no process, an empty run directory, and the files.
#[test]
fn m15_containers_start_again_with_their_layer_after_a_reboot() {
    let holm = Holm::empty();
    holm.holm(["load", "-q", "-i"]).arg(TestImage::Busybox.archive()).outcome().ok();
    let name = holm.background(&[], "echo life >>/lives; sync; exec sleep 1000");
    let created = holm.name();
    holm.holm(["create", "--name", &created, "busybox", "echo", "created"]).outcome().ok();
    until("the first life", || holm.holm(["exec", &name, "cat", "/lives"]).outcome().out() == "life");
    let id = holm.holm(["inspect", "-f", "{{.Id}}", &name]).outcome().ok();
    let vmm = holm.holm(["inspect", "-f", "{{.State.Pid}}", &name]).outcome().ok();
    assert!(
        Command::new("pkill").args(["-KILL", "-f", &format!("supervise {id}")]).status().unwrap().success()
    );
    until("the VMM's end", || !Path::new("/proc").join(&vmm).exists());
    fs::remove_dir_all(holm.run_directory()).unwrap();
    let states = ["ps", "-a", "--format", "{{.Names}} {{.State}}", "--filter"];
    assert_eq!(holm.holm(states).arg("status=exited").outcome().ok(), format!("{name} exited"));
    assert_eq!(holm.holm(states).arg("status=created").outcome().ok(), format!("{created} created"));
    holm.holm(["start", &name]).outcome().ok();
    until("the second life", || holm.holm(["exec", &name, "cat", "/lives"]).outcome().out() == "life\nlife");
    assert_eq!(holm.holm(["start", "-a", &created]).outcome().ok(), "created");
}
