//! `holm run` as a whole: exit codes, names, background, what is left behind.

use std::fs;

use holm_e2e::{Holm, TestImage};

#[test]
fn a_container_runs_and_its_output_arrives() {
    let holm = Holm::with(TestImage::Busybox).networked();
    assert_eq!(holm.run(["busybox", "echo", "hello"]).ok(), "hello");
}

#[test]
fn m19_exit_codes_pass_through() {
    let holm = Holm::with(TestImage::Busybox).networked();
    assert_eq!(holm.run(["busybox", "sh", "-c", "exit 7"]).code, 7);
    assert_eq!(holm.run(["busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"]).code, 137);
    holm.run(["busybox", "no-such-program"]).fails(127, "executable file not found in $PATH");
    holm.run(["busybox", "/no/such/program"]).fails(127, "no such file or directory");
    holm.run(["busybox", "/etc/passwd"]).fails(126, "permission denied");
    holm.run(["--pull", "never", "no-such-image", "true"]).fails(125, "no-such-image");
}

#[test]
fn m40_the_guest_has_a_kernel_of_its_own() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let host = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_ne!(holm.run(["busybox", "uname", "-r"]).ok(), host.trim());
}

#[test]
fn nothing_is_left_behind() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let name = holm.name();
    holm.run(["--name", &name, "busybox", "true"]).ok();
    assert!(!holm.root().join("names").join(&name).exists());
    // A network of an earlier test may have that name.
    assert_eq!(holm.holm(["inspect", "--type", "container", &name]).outcome().code, 1);
}

#[test]
fn a_container_in_the_background_is_listed_and_removed() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let name = holm.name();
    let id = holm.holm(["run", "-d", "--name", &name, "busybox", "sleep", "1000"]).outcome().ok();
    assert_eq!(id.len(), 64);
    assert!(holm.holm(["ps"]).outcome().ok().contains(&name));
    holm.holm(["rm", &name]).outcome().fails(1, "container is running");
    assert_eq!(holm.holm(["rm", "-f", &name]).outcome().ok(), name);
    assert!(!holm.holm(["ps", "-a"]).outcome().ok().contains(&name));
    assert!(!holm.run_directory().join(&id).exists(), "sockets are gone");
    assert!(!holm.root().join("containers").join(&id).exists(), "files are gone");
}

#[test]
fn m24_names_are_unique_until_rm() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let name = holm.name();
    holm.holm(["run", "--name", &name, "busybox", "true"]).outcome().ok();
    holm.run(["--name", &name, "busybox", "true"]).fails(125, "is already in use by container");
    holm.holm(["rm", &name]).outcome().ok();
    holm.run(["--name", &name, "busybox", "true"]).ok();
}

#[test]
fn twenty_containers_run_at_once() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let children: Vec<_> = (0..20)
        .map(|number| {
            let word = number.to_string();
            let run = holm.holm(["run", "--rm", "-m", "32m", "busybox", "echo", &word]);
            (word, run.spawn())
        })
        .collect();
    for (word, child) in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{word}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), word);
    }
}

#[test]
fn the_vm_has_the_size_that_was_asked_for() {
    let holm = Holm::with(TestImage::Busybox).networked();
    assert_eq!(holm.run(["--cpus", "2", "busybox", "nproc"]).ok(), "2");
    let total =
        holm.run(["-m", "300m", "busybox", "sh", "-c", "awk '/MemTotal/ { print $2 }' /proc/meminfo"]).ok();
    let total_mib = total.parse::<u64>().unwrap() / 1024;
    assert!((300..384).contains(&total_mib), "{total_mib} MiB");
}

#[test]
fn killing_the_supervisor_ends_the_vm() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let name = holm.name();
    holm.holm(["run", "-d", "--name", &name, "busybox", "sleep", "1000"]).outcome().ok();
    let json = holm.holm(["inspect", &name]).outcome().ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let vmm = json[0]["State"]["Pid"].as_u64().unwrap();
    let parent = |pid: u64| -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("PPid:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let supervisor = parent(vmm).to_string();
    assert!(std::process::Command::new("kill").args(["-9", &supervisor]).status().unwrap().success());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while fs::metadata(format!("/proc/{vmm}/root/.")).is_ok() {
        assert!(std::time::Instant::now() < deadline, "the VMM outlived its supervisor");
        std::thread::yield_now();
    }
}
