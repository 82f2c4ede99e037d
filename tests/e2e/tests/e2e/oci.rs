//! `holm-runtime` itself, as engines call it: bundles, states, hooks, messages, exit codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use holm_e2e::{OciBundle, Outcome, until};
use serde_json::{Value, json};

#[test]
fn a_bundle_goes_through_the_states_of_the_specification() {
    let bundle = OciBundle::new("echo hello; exec sleep 1000");
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
    let bundle = OciBundle::new("exec sleep 1000");
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
    assert_eq!(fs::read_dir(bundle.file("state-holm-runtime")).unwrap().count(), 0);
    // The name is free.
    bundle.create("box").ok();
    bundle.runtime(&["delete", "box"]).ok();
}

#[test]
fn run_is_the_workload_to_its_caller() {
    let bundle = OciBundle::new("echo out; echo err >&2; exit 9");
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
    let bundle = OciBundle::new("true");
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

/// A hook that writes its name and the state that it reads into a file.
fn hook(name: &str, file: &Path) -> Value {
    let script = format!("(echo {name}; cat; echo) >>{}", file.display());
    json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
}

#[test]
fn hooks_run_where_the_specification_says() {
    let bundle = OciBundle::new("echo program >>/log/hooks; exec sleep 1000");
    let log = bundle.file("log");
    fs::create_dir(&log).unwrap();
    let (outside, inside) = (log.join("hooks"), Path::new("/log/hooks"));
    bundle.change(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.push(json!({"destination": "/log", "type": "bind", "source": log, "options": ["bind"]}));
        config["hooks"] = json!({
            "prestart": hook("prestart", &outside), "createRuntime": hook("createRuntime", &outside),
            "startContainer": hook("startContainer", inside),
            "poststart": hook("poststart", &outside), "poststop": hook("poststop", &outside),
        });
    });
    bundle.create("box").ok();
    bundle.runtime(&["start", "box"]).ok();
    let pid = bundle.state("box")["pid"].clone();
    until("the program runs", || fs::read_to_string(&outside).unwrap().contains("program"));
    bundle.runtime(&["delete", "--force", "box"]).ok();
    let text = fs::read_to_string(&outside).unwrap();
    let (states, names): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('{'));
    let without_program: Vec<&str> = names.iter().copied().filter(|name| *name != "program").collect();
    assert_eq!(without_program, ["prestart", "createRuntime", "startContainer", "poststart", "poststop"]);
    // The hook after the start and the program itself do not wait for each other.
    let place = |name| names.iter().position(|known| *known == name).unwrap();
    assert!(place("program") > place("startContainer"), "{names:?}");
    let told: Vec<(Value, Value)> = states
        .iter()
        .map(|state| serde_json::from_str::<Value>(state).unwrap())
        .inspect(|state| assert_eq!(state["bundle"].as_str().map(Path::new), Some(bundle.path())))
        .map(|state| (state["status"].clone(), state["pid"].clone()))
        .collect();
    let expected = [
        (json!("creating"), pid.clone()),
        (json!("creating"), pid.clone()),
        // As the container sees it.
        (json!("created"), json!(1)),
        (json!("running"), pid),
        (json!("stopped"), json!(0)),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_container_whose_hook_fails_is_stopped() {
    let bundle = OciBundle::new("echo it runs; exec sleep 1000");
    let log = bundle.file("log");
    let hooks = |hooks: Value| {
        bundle.change(|config| {
            config["hooks"] = hooks;
            // One that fails keeps nobody from anything.
            let stop = hook("poststop", &log)[0].take();
            config["hooks"]["poststop"] = json!([{"path": "/bin/false"}, stop]);
        });
    };
    let stops = || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter(|line| *line == "poststop").count()
    };
    hooks(json!({"createRuntime": [{"path": "/bin/false"}]}));
    let failed = bundle.create("box");
    assert!(failed.code == 1 && failed.err().contains("createRuntime hook /bin/false"), "{}", failed.err());
    assert_eq!((bundle.runtime(&["list", "-q"]).ok().as_str(), stops()), ("", 1));

    let script = "id -u; echo $A; echo no >&2; exit 3";
    let mut failing = json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["A=b c"]}]);
    hooks(json!({"startContainer": failing}));
    bundle.change(|config| config["process"]["user"] = json!({"uid": 1000, "gid": 1000}));
    bundle.create("box").ok();
    let failed = bundle.runtime(&["start", "box"]);
    let words = "error running startContainer hook /bin/sh: exit status: 3: 1000";
    assert!(failed.code == 1 && failed.err().contains(words), "{}", failed.err());
    assert!(failed.err().contains("b c") && failed.err().contains("no"), "{}", failed.err());
    until("it has stopped", || bundle.state("box")["status"] == "stopped");
    assert_eq!(fs::read_to_string(bundle.file("workload")).unwrap(), "");
    bundle.runtime(&["delete", "box"]).ok();
    assert_eq!(stops(), 2);

    failing[0]["args"] = json!(["sh", "-c", "sleep 1000"]);
    failing[0]["timeout"] = json!(1);
    hooks(json!({"startContainer": failing}));
    bundle.create("box").ok();
    bundle.runtime(&["start", "box"]).fails(1, "startContainer hook /bin/sh: it took longer than 1 s");
    until("it has stopped", || bundle.state("box")["status"] == "stopped");
    bundle.runtime(&["delete", "box"]).ok();

    // One that hangs keeps nobody from ending the container.
    failing[0].as_object_mut().unwrap().remove("timeout");
    hooks(json!({"startContainer": failing}));
    bundle.create("box").ok();
    let mut start = bundle.command(&["start", "box"]).stderr(Stdio::null()).spawn().unwrap();
    sleep(Duration::from_millis(500));
    assert_eq!(bundle.state("box")["status"], "created");
    bundle.runtime(&["kill", "box", "KILL"]).ok();
    until("it has stopped", || bundle.state("box")["status"] == "stopped");
    start.wait().unwrap();
    bundle.runtime(&["delete", "box"]).ok();

    hooks(json!({"poststart": [{"path": "/bin/false"}]}));
    bundle.create("box").ok();
    bundle.runtime(&["start", "box"]).fails(1, "error running poststart hook /bin/false");
    until("it has stopped", || bundle.state("box")["status"] == "stopped");
}

#[test]
fn the_hosts_kernel_counts_what_ran_out_of_memory() {
    let bundle = OciBundle::new("tail /dev/zero; exit 3");
    let limit = 64 << 20;
    bundle.change(|config| {
        config["linux"]["resources"]["memory"] = json!({"limit": limit, "swap": limit});
    });
    let cgroup = Path::new("/sys/fs/cgroup").join(bundle.cgroup());
    let read = |name: &str| fs::read_to_string(cgroup.join(name)).unwrap();
    bundle.create("box").ok();
    let before = read("memory.max");
    bundle.runtime(&["start", "box"]).ok();
    until("it has stopped", || bundle.state("box")["status"] == "stopped");
    let events = read("memory.events");
    assert!(events.contains("\noom 1\n") && events.contains("\noom_kill 1\n"), "{events}");
    assert_eq!(read("memory.max"), before);
    bundle.runtime(&["delete", "box"]).ok();
    assert!(!cgroup.exists());
}
