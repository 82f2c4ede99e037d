//! `holm-runtime` itself, as engines call it: bundles, states, hooks, messages, exit codes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use holm_e2e::{Holm, Outcome, TestImage, until};
use serde_json::{Value, json};

/// A bundle of busybox, and a root of the runtime's.
struct Bundle {
    directory: tempfile::TempDir,
}

impl Bundle {
    /// That runs a script in busybox's shell.
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let bundle = Self { directory };
        let tar = bundle.path().join("rootfs.tar");
        let holm = Holm::with(TestImage::Busybox);
        let name = holm.name();
        holm.holm(["create", "--name", &name, "--network", "none", "busybox"]).outcome().ok();
        holm.holm(["export", "-o"]).arg(&tar).arg(&name).outcome().ok();
        fs::create_dir(bundle.path().join("rootfs")).unwrap();
        let unpacked =
            Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(bundle.path().join("rootfs")).status();
        assert!(unpacked.unwrap().success());
        bundle.runtime(&["spec", "-b", bundle.path().to_str().unwrap()]).ok();
        bundle.change(|config| {
            config["process"]["args"] = json!(["sh", "-c", script]);
            config["root"]["readonly"] = json!(false);
        });
        bundle
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let path = self.path().join("config.json");
        let mut config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut config);
        fs::write(path, config.to_string()).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("holm-runtime");
        command.arg("--root").arg(self.path().join("state")).args(words).stdin(Stdio::null());
        command
    }

    /// Files and not pipes for its streams: a container that goes on would keep a pipe open.
    fn runtime(&self, words: &[&str]) -> Outcome {
        let (out, err) = (self.file("out"), self.file("err"));
        let mut command = self.command(words);
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
        let code = command.status().unwrap().code().unwrap();
        Outcome { code, stdout: fs::read(out).unwrap(), stderr: fs::read(err).unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn state(&self, id: &str) -> Value {
        serde_json::from_str(&self.runtime(&["state", id]).ok()).unwrap()
    }

    fn create(&self, id: &str) -> Outcome {
        let pid_file = self.file("pid");
        let words = [
            "create",
            "--bundle",
            self.path().to_str().unwrap(),
            "--pid-file",
            pid_file.to_str().unwrap(),
            id,
        ];
        let mut command = self.command(&words);
        command.stdout(fs::File::create(self.file("workload")).unwrap());
        command.stderr(fs::File::create(self.file("err")).unwrap());
        let code = command.status().unwrap().code().unwrap();
        Outcome { code, stdout: Vec::new(), stderr: fs::read(self.file("err")).unwrap() }
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        for id in self.runtime(&["list", "-q"]).out().lines() {
            let _ = self.runtime(&["delete", "--force", id]);
        }
    }
}

#[test]
fn a_bundle_goes_through_the_states_of_the_specification() {
    let bundle = Bundle::new("echo hello; exec sleep 1000");
    bundle.create("box").ok();
    let state = bundle.state("box");
    assert_eq!((state["status"].as_str(), state["id"].as_str()), (Some("created"), Some("box")));
    assert_eq!(state["bundle"].as_str().map(Path::new), Some(bundle.path()));
    let pid = fs::read_to_string(bundle.file("pid")).unwrap();
    assert_eq!(state["pid"].to_string(), pid);
    let again = bundle.create("box");
    assert_eq!(again.code, 1);
    assert!(again.err().contains("container with given ID already exists"), "{}", again.err());
    assert_eq!(fs::read_to_string(bundle.file("workload")).unwrap(), "");

    bundle.runtime(&["start", "box"]).ok();
    assert_eq!(bundle.state("box")["status"], "running");
    bundle.runtime(&["start", "box"]).fails(1, "cannot start a container that is running");
    bundle.runtime(&["delete", "box"]).fails(1, "cannot delete container box that is not stopped: running");
    let listed: Value = serde_json::from_str(&bundle.runtime(&["list", "-f", "json"]).ok()).unwrap();
    assert_eq!((listed[0]["id"].as_str(), listed.as_array().unwrap().len()), (Some("box"), 1));

    bundle.runtime(&["kill", "box", "KILL"]).ok();
    until("it has stopped", || bundle.state("box")["status"] == "stopped");
    assert_eq!(bundle.state("box")["pid"], 0);
    bundle.runtime(&["kill", "box"]).fails(1, "container not running");
    bundle.runtime(&["delete", "box"]).ok();
    bundle.runtime(&["state", "box"]).fails(1, "container does not exist");
    bundle.runtime(&["delete", "box"]).fails(1, "container does not exist");
    bundle.runtime(&["delete", "--force", "box"]).ok();
    assert_eq!(bundle.runtime(&["list", "-q"]).ok(), "");
}

#[test]
fn a_killed_supervisor_leaves_nothing_that_delete_does_not_remove() {
    let bundle = Bundle::new("exec sleep 1000");
    bundle.create("box").ok();
    bundle.runtime(&["start", "box"]).ok();
    let pid = bundle.state("box")["pid"].to_string();
    let processes: Vec<u32> =
        serde_json::from_str(&bundle.runtime(&["ps", "-f", "json", "box"]).ok()).unwrap();
    assert!(processes.len() >= 2, "supervisor, VMM, and perhaps threads of the kernel's: {processes:?}");
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let cgroup = Path::new("/sys/fs/cgroup").join(cgroup.trim().trim_start_matches("0::/"));
    Command::new("kill").args(["-9", &pid]).status().unwrap();
    until("it has stopped", || bundle.state("box")["status"] == "stopped");
    bundle.runtime(&["delete", "box"]).ok();
    assert!(!cgroup.exists(), "{cgroup:?}");
    // The host's init takes notice of orphans that ended when it comes to that.
    let left = |pid: &u32| Path::new("/proc").join(pid.to_string()).exists();
    until("all of its processes are gone", || !processes.iter().any(left));
    assert_eq!(fs::read_dir(bundle.file("state")).unwrap().count(), 0);
    // The name is free.
    bundle.create("box").ok();
    bundle.runtime(&["delete", "box"]).ok();
}

#[test]
fn run_is_the_workload_to_its_caller() {
    let bundle = Bundle::new("echo out; echo err >&2; exit 9");
    let path = bundle.path().to_str().unwrap().to_owned();
    let ran = Outcome::from(bundle.command(&["run", "-b", &path, "box"]).output().unwrap());
    assert_eq!((ran.code, ran.out().as_str(), ran.err().as_str()), (9, "out", "err"));
    assert_eq!(bundle.runtime(&["list", "-q"]).ok(), "");
    bundle.change(|config| config["process"]["args"] = json!(["nosuch"]));
    bundle.runtime(&["run", "-b", &path, "box"]).fails(1, "executable file not found in $PATH");
    assert_eq!(bundle.runtime(&["list", "-q"]).ok(), "");
}

#[test]
fn failures_are_logged_as_engines_read_them() {
    let bundle = Bundle::new("true");
    let log = bundle.file("log.json");
    let words = ["--log", log.to_str().unwrap(), "--log-format", "json", "state", "gone"];
    assert_eq!(bundle.runtime(&words).code, 1);
    let line: Value = serde_json::from_slice(&fs::read(&log).unwrap()).unwrap();
    assert_eq!(
        (line["level"].as_str(), line["msg"].as_str()),
        (Some("error"), Some("container does not exist"))
    );
    let words = ["create", "--preserve-fds", "1", "-b", bundle.path().to_str().unwrap(), "box"];
    bundle.runtime(&words).fails(1, "open files of the host");
    let features: Value = serde_json::from_str(&bundle.runtime(&["features"]).ok()).unwrap();
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
}

#[test]
fn hooks_run_on_the_host_with_the_state() {
    let bundle = Bundle::new("exec sleep 1000");
    let seen = bundle.file("hooks");
    let hook = |name: &str| {
        let script = format!("(echo {name}; cat; echo) >>{}", seen.display());
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
    };
    bundle.change(|config| {
        config["hooks"] = json!({
            "prestart": hook("prestart"), "createRuntime": hook("createRuntime"),
            "poststart": hook("poststart"), "poststop": hook("poststop"),
        });
    });
    bundle.create("box").ok();
    bundle.runtime(&["start", "box"]).ok();
    let pid = bundle.state("box")["pid"].clone();
    bundle.runtime(&["delete", "--force", "box"]).ok();
    let text = fs::read_to_string(&seen).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 8, "{text}");
    let names: Vec<&str> = lines.iter().copied().step_by(2).collect();
    assert_eq!(names, ["prestart", "createRuntime", "poststart", "poststop"]);
    let state: Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!((&state["status"], &state["pid"]), (&json!("creating"), &pid));
    bundle.change(|config| config["hooks"] = json!({"createRuntime": [{"path": "/bin/false"}]}));
    let failed = bundle.create("box");
    assert!(failed.code == 1 && failed.err().contains("createRuntime hook /bin/false"), "{}", failed.err());
    assert_eq!(bundle.runtime(&["list", "-q"]).ok(), "");
}
