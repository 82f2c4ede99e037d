//! What of a config.json is refused, and what is ignored: "If the runtime cannot apply a property as specified in the
//! configuration, it MUST generate an error and a new container MUST NOT be created" (runtime.md, "Create").
//!
//! What the agent refuses when it reads the configuration has unit tests; one of these cases stands for them.

use std::fs;

use holm_e2e::OciBundle;
use serde_json::{Value, json};

use super::{HOLM, REFERENCE, mounts};

/// What becomes of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// A container.
    Made,
    /// An error, and no container.
    Refused,
    /// Something else.
    Odd,
}
use Fate::{Made, Odd, Refused};

/// One configuration.
struct Row {
    /// What is wrong with it, if anything.
    name: &'static str,
    change: fn(&mut Value),
    /// Under Holm.
    fate: Fate,
    /// Why the other runtime does something else, if it does.
    differs: Option<&'static str>,
}

const fn row(name: &'static str, fate: Fate, change: fn(&mut Value)) -> Row {
    Row { name, change, fate, differs: None }
}

const NOT_CHECKED: Option<&str> = Some("crun 1.8 does not look at it");

fn mount(config: &mut Value, mount: Value) {
    config["mounts"].as_array_mut().unwrap().push(mount);
}

const ROWS: &[Row] = &[
    row("ociVersion: another major one", Refused, |c| c["ociVersion"] = json!("2.0.0")),
    row("root: missing", Refused, |c| drop(c.as_object_mut().unwrap().remove("root"))),
    row("root.path: not there", Refused, |c| c["root"]["path"] = json!("gone")),
    Row {
        differs: NOT_CHECKED,
        ..row("process.cwd: relative", Refused, |c| c["process"]["cwd"] = json!("tmp"))
    },
    row("process.args: not there", Refused, |c| c["process"]["args"] = json!(["nosuch"])),
    row("process.oomScoreAdj: out of range", Refused, |c| c["process"]["oomScoreAdj"] = json!(2000)),
    row("mounts: unknown type", Refused, |c| {
        mount(c, json!({"destination": "/x", "type": "nosuch", "source": "x"}));
    }),
    row("mounts: unknown option of a file system", Refused, |c| {
        mount(c, json!({"destination": "/x", "type": "tmpfs", "source": "x", "options": ["hope=1"]}));
    }),
    row("mounts: a source that is not there", Refused, |c| {
        mount(c, json!({"destination": "/x", "type": "bind", "source": "/gone", "options": ["bind"]}));
    }),
    row("namespaces: unknown", Refused, |c| c["linux"]["namespaces"][0]["type"] = json!("hope")),
    Row {
        differs: NOT_CHECKED,
        ..row("namespaces: twice", Refused, |c| {
            c["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "pid"}));
        })
    },
    row("namespaces: a path that is none", Refused, |c| {
        c["linux"]["namespaces"][1] = json!({"type": "network", "path": "/etc/passwd"});
    }),
    row("namespaces: of another type", Refused, |c| {
        c["linux"]["namespaces"][1] = json!({"type": "network", "path": "/proc/self/ns/uts"});
    }),
    Row {
        differs: NOT_CHECKED,
        ..row("devices: unknown type", Refused, |c| {
            c["linux"]["devices"] = json!([{"path": "/dev/x", "type": "q", "major": 1, "minor": 3}]);
        })
    },
    row("sysctl: unknown", Refused, |c| c["linux"]["sysctl"] = json!({"net.hope": "1"})),
    row("seccomp: unknown action", Refused, |c| {
        c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_HOPE"});
    }),
    row("personality: unknown", Refused, |c| c["linux"]["personality"] = json!({"domain": "HOPE"})),
    row("hooks: one that fails", Refused, |c| {
        c["hooks"] = json!({"createRuntime": [{"path": "/bin/false"}]});
    }),
    row("hooks: a program that is not there", Refused, |c| {
        c["hooks"] = json!({"prestart": [{"path": "/gone"}]});
    }),
    row("hooks: a relative path", Refused, |c| {
        c["hooks"] = json!({"createRuntime": [{"path": "bin/true"}]});
    }),
    row(
        "what is unknown and ignored: properties, annotations, capabilities, system calls, paths",
        Made,
        |c| {
            c["hope"] = json!(1);
            c["linux"]["hope"] = json!({"a": []});
            c["process"]["hope"] = json!("x");
            c["annotations"] = json!({"org.example": "1", "empty": ""});
            c["process"]["capabilities"]["bounding"].as_array_mut().unwrap().push(json!("CAP_HOPE"));
            c["linux"]["maskedPaths"] = json!(["/is/not/there"]);
            c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
                                       "syscalls": [{"names": ["hope"], "action": "SCMP_ACT_ERRNO"}]});
        },
    ),
];

/// What a runtime makes of the bundle, and what it says.
fn fate(bundle: &OciBundle) -> (Fate, String) {
    let created = bundle.create("box");
    let is_left = bundle.runtime(&["state", "box"]).code == 0;
    bundle.runtime(&["delete", "--force", "box"]);
    let fate = match (created.code == 0, is_left) {
        (true, true) => Made,
        (false, false) => Refused,
        _ => Odd,
    };
    (fate, created.err())
}

#[test]
fn conformance_of_what_is_refused() {
    let mut bundle = OciBundle::new("true");
    bundle.change(|config| mounts(config, &[]));
    let sound = bundle.config();
    let mut wrong = Vec::new();
    for Row { name, change, fate: expected, differs } in ROWS {
        let mut config = sound.clone();
        change(&mut config);
        bundle.change(|written| *written = config);
        let [theirs, ours] = [REFERENCE, HOLM].map(|runtime| {
            bundle.switch_to(runtime);
            fate(&bundle)
        });
        if ours.0 != *expected || (theirs.0 == *expected) == differs.is_some() {
            wrong.push(format!("{name} {differs:?}\n  {REFERENCE}: {theirs:?}\n  holm: {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ROWS.len(), wrong.join("\n"));
    for text in ["", "{", "[]", "{\"ociVersion\": 1}"] {
        fs::write(bundle.file("config.json"), text).unwrap();
        for runtime in [REFERENCE, HOLM] {
            bundle.switch_to(runtime);
            assert_ne!(bundle.create("box").code, 0, "{runtime} took {text:?}");
        }
    }
}
