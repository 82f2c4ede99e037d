//! runtime.md: states, and what the operations do in each.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use holm_e2e::{OciBundle, until};
use serde_json::{Value, json};

use super::{HOLM, REFERENCE, mounts};

/// What one runtime did, in words that are the same for all.
#[derive(Default)]
struct Story(Vec<String>);

impl Story {
    fn tell(&mut self, what: &str, how: impl ToString) {
        self.0.push(format!("{what}: {}", how.to_string()));
    }

    /// Whether a verb succeeded.
    fn verb(&mut self, bundle: &OciBundle, words: &[&str]) {
        let done = bundle.runtime(words).code == 0;
        self.tell(&words.join(" "), if done { "done" } else { "error" });
    }

    /// What a container's state says.
    fn state(&mut self, bundle: &OciBundle) {
        let shown = bundle.runtime(&["state", "box"]);
        let Ok(state) = serde_json::from_str::<Value>(&shown.out()) else {
            return self.tell("state", "none");
        };
        assert_eq!(
            (state["id"].as_str(), &state["annotations"]["org.example.key"]),
            (Some("box"), &json!("value"))
        );
        assert_eq!(state["bundle"].as_str().map(Path::new), Some(bundle.path()));
        let is_alive = state["pid"].as_u64().is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists());
        let text = format!("{}{}", state["status"].as_str().unwrap(), if is_alive { "" } else { " ended" });
        self.tell("state", text);
    }
}

/// What both are to do.
const EXPECTED: &[&str] = &[
    "state box: error",
    "start box: error",
    "kill box: error",
    "delete box: error",
    "create \"\": false",
    "create \"a/b\": false",
    "create \"..\": false",
    "create \"../box\": false",
    "create: 0",
    "state: created",
    "the pid file has the state's pid: true",
    "cgroupsPath: true",
    "create runs nothing: ",
    "create again: false",
    "state: created",
    "start box: done",
    "state: running",
    "start box: error",
    "delete box: error",
    "state: running",
    "kill box USR1: done",
    "pause box: done",
    "state: paused",
    "start box: error",
    "resume box: done",
    "state: running",
    "kill box: done",
    "output: it runs usr1 term",
    "state: stopped ended",
    "kill box KILL: error",
    "start box: error",
    "pause box: error",
    "delete box: done",
    "state: none",
    "the cgroup is left: false",
    "delete box: error",
    "create: 0",
    "delete --force box: done",
    "state: none",
    "start without a process: false",
];

fn live(runtime: &'static str) -> Vec<String> {
    let script =
        "echo it runs; trap 'echo usr1' USR1; trap 'echo term; exit 7' TERM; while :; do sleep 0.1; done";
    let bundle = OciBundle::under(runtime, script);
    bundle.change(|config| {
        mounts(config, &[]);
        config["annotations"] = json!({"org.example.key": "value"});
        config["linux"]["cgroupsPath"] = json!(format!("/holm-tests-{runtime}/below"));
    });
    let mut story = Story::default();
    let output = || fs::read_to_string(bundle.file("workload")).unwrap_or_default().trim().replace('\n', " ");
    for verb in ["state", "start", "kill", "delete"] {
        story.verb(&bundle, &[verb, "box"]);
    }
    for id in ["", "a/b", "..", "../box"] {
        story.tell(&format!("create {id:?}"), bundle.create(id).code == 0);
    }
    story.tell("create", bundle.create("box").code);
    story.state(&bundle);
    let pid = fs::read_to_string(bundle.file("pid")).unwrap();
    story.tell(
        "the pid file has the state's pid",
        bundle.state("box")["pid"].as_u64() == pid.trim().parse().ok(),
    );
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", pid.trim())).unwrap();
    story.tell("cgroupsPath", cgroup.trim() == format!("0::/holm-tests-{runtime}/below"));
    sleep(Duration::from_millis(300));
    story.tell("create runs nothing", output());
    story.tell("create again", bundle.create("box").code == 0);
    story.state(&bundle);
    // What is changed after create has no effect.
    bundle.change(|config| config["process"]["args"] = json!(["false"]));
    story.verb(&bundle, &["start", "box"]);
    until("it runs", || output() == "it runs");
    story.state(&bundle);
    story.verb(&bundle, &["start", "box"]);
    story.verb(&bundle, &["delete", "box"]);
    story.state(&bundle);
    story.verb(&bundle, &["kill", "box", "USR1"]);
    until("it hears of it", || output().ends_with("usr1"));
    story.verb(&bundle, &["pause", "box"]);
    story.state(&bundle);
    story.verb(&bundle, &["start", "box"]);
    story.verb(&bundle, &["resume", "box"]);
    story.state(&bundle);
    story.verb(&bundle, &["kill", "box"]);
    until("it has stopped", || bundle.state("box")["status"] == "stopped");
    story.tell("output", output());
    story.state(&bundle);
    for words in [&["kill", "box", "KILL"][..], &["start", "box"], &["pause", "box"], &["delete", "box"]] {
        story.verb(&bundle, words);
    }
    story.state(&bundle);
    story.tell(
        "the cgroup is left",
        Path::new(&format!("/sys/fs/cgroup/holm-tests-{runtime}/below")).exists(),
    );
    story.verb(&bundle, &["delete", "box"]);
    // The name is free again, and what was created can be deleted without a start.
    bundle.change(|config| config["process"]["args"] = json!(["sleep", "1000"]));
    story.tell("create", bundle.create("box").code);
    story.verb(&bundle, &["delete", "--force", "box"]);
    story.state(&bundle);
    bundle.change(|config| drop(config.as_object_mut().unwrap().remove("process")));
    story.tell(
        "start without a process",
        bundle.create("box").code == 0 && bundle.runtime(&["start", "box"]).code == 0,
    );
    story.0
}

#[test]
fn conformance_of_the_lifecycle() {
    let (reference, holm) = (live(REFERENCE), live(HOLM));
    let differing: Vec<_> = reference.iter().zip(&holm).filter(|(theirs, ours)| theirs != ours).collect();
    assert!(differing.is_empty() && reference.len() == holm.len(), "{differing:#?}");
    assert_eq!(holm, EXPECTED);
}
