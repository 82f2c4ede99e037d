//! The cases of the OCI runtime specification, in tables: what a container sees of its config.json, what is refused, and what the
//! verbs do. Each case runs from the same bundle under crun and under Holm, and both have to do what the table says: a row that
//! crun does not fulfil is a wrong row. docs/conformance.md lists what holds and what does not, with the reasons.

mod errors;
mod filesystem;
mod lifecycle;
mod linux;
mod process;

use std::collections::BTreeMap;

use holm_e2e::OciBundle;
use serde_json::{Value, json};

/// What Holm is compared with.
const REFERENCE: &str = "crun";
const HOLM: &str = "holm-runtime";

/// Something that a container can see of its configuration.
struct Case {
    /// What it is about, with its section of the specification.
    name: &'static str,
    /// What the container's shell is told.
    look: &'static str,
    expected: Expected,
}

/// What it is to see; lines are joined by spaces.
enum Expected {
    /// Under both.
    Is(&'static str),
    /// Under Holm; the other runtime has it otherwise, for a reason.
    Holm(&'static str, &'static str),
}

const fn case(name: &'static str, look: &'static str, expected: &'static str) -> Case {
    Case { name, look, expected: Expected::Is(expected) }
}

const fn holm(name: &'static str, look: &'static str, expected: &'static str, why: &'static str) -> Case {
    Case { name, look, expected: Expected::Holm(expected, why) }
}

/// Before what each case sees.
const MARK: &str = "@@";

/// Runs one container under each runtime that looks at all cases, and compares. It is named `cases` for the shell, and has three
/// arguments. `only_holm` is what the other runtime does not take at all.
#[track_caller]
fn compare(cases: &[Case], change: impl FnOnce(&OciBundle, &mut Value), only_holm: impl FnOnce(&mut Value)) {
    let script: String =
        cases.iter().map(|case| format!("echo '{MARK}{}'; {{ {}; }} 2>&1\n", case.name, case.look)).collect();
    // What the last case comes to is no failure.
    let mut bundle = OciBundle::new(&format!("{script}exit 0"));
    let mut config = bundle.config();
    let args = ["cases", "a b", "", "$x"].map(Value::from);
    config["process"]["args"].as_array_mut().unwrap().extend(args);
    change(&bundle, &mut config);
    bundle.change(|written| *written = config);
    bundle.switch_to(REFERENCE);
    let reference = seen(&bundle.run("box").ok());
    bundle.switch_to(HOLM);
    bundle.change(only_holm);
    let holm = seen(&bundle.run("box").ok());
    let mut wrong = Vec::new();
    for Case { name, expected, .. } in cases {
        let saw = |all: &BTreeMap<String, String>| all.get(*name).cloned().unwrap_or_default();
        let (theirs, ours) = (saw(&reference), saw(&holm));
        let is_right = match expected {
            Expected::Is(expected) => theirs == *expected && ours == *expected,
            // One that became equal is to be told apart no longer.
            Expected::Holm(expected, _) => theirs != *expected && ours == *expected,
        };
        if !is_right {
            let expected = match expected {
                Expected::Is(expected) => format!("{expected:?}"),
                Expected::Holm(expected, why) => format!("{expected:?} of Holm alone ({why})"),
            };
            wrong.push(format!("{name}\n  expected {expected}\n  {REFERENCE} {theirs:?}\n  holm {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What was seen, by case.
fn seen(output: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for part in output.split(MARK).skip(1) {
        let (name, lines) = part.split_once('\n').unwrap_or((part, ""));
        all.insert(name.to_owned(), lines.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    all
}

/// Replaces what the bundle mounts by what containers need, and these.
fn mounts(config: &mut Value, more: &[Value]) {
    let base = json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
    ]);
    config["mounts"] = base;
    config["mounts"].as_array_mut().unwrap().extend_from_slice(more);
}
