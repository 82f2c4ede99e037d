//! OCI bundles, as engines write them: config.json of any kind.

use std::fs;

use holm_runtime::oci::Bundle;
use serde_json::{Value, json};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "oci_bundle",
    run,
    seeds,
    max_bytes: 8192,
    code: &["runtime/src/oci/bundle.rs", "runtime/src/oci/mounts.rs"],
    words: &[&[
        "\"ociVersion\":\"1.2.0\"",
        "\"process\":{",
        "\"root\":{\"path\":\"rootfs\"}",
        "\"mounts\":[",
        "\"linux\":{",
        "\"namespaces\":[",
        "{\"type\":\"network\"",
        "\"devices\":[",
        "\"hooks\":{",
        "\"resources\":{",
        "\"seccomp\":{",
        "\"cgroupsPath\":\"",
        "\"options\":[\"rbind\"",
        "\"annotations\":{",
    ]],
};

fn run(bytes: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("rootfs")).unwrap();
    fs::write(directory.path().join("config.json"), bytes).unwrap();
    let Ok(bundle) = Bundle::load(directory.path()) else { return };
    assert!(bundle.process().is_ok(), "a bundle without a process");
    let _ = bundle.has_terminal();
    let _ = holm_runtime::sandbox::VmShape::for_resources(
        bundle.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()),
    );
    assert!(serde_json::to_vec(&bundle.spec).is_ok());
}

fn seeds() -> Vec<Vec<u8>> {
    let config = json!({
        "ociVersion": "1.0.2-dev",
        "root": { "path": "rootfs", "readonly": true },
        "process": {
            "args": ["true"], "cwd": "/", "env": ["A=b"], "user": { "uid": 0, "gid": 0, "additionalGids": [5] },
            "terminal": true, "consoleSize": { "height": 24, "width": 80 }, "noNewPrivileges": true,
            "capabilities": { "bounding": ["CAP_KILL"], "ambient": ["CAP_KILL"] },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 10, "soft": 10 }], "oomScoreAdj": 5,
        },
        "hostname": "h",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/srv", "type": "bind", "source": "/srv", "options": ["rbind", "ro"] },
            { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"] },
        ],
        "hooks": { "prestart": [{ "path": "/bin/true", "timeout": 1 }] },
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "network", "path": "/run/netns/a" }, { "type": "ipc" },
                           { "type": "uts" }, { "type": "mount" }, { "type": "cgroup" }],
            "resources": {
                "cpu": { "cpus": "7", "quota": 200_000, "period": 100_000 }, "blockIO": { "weight": 10 },
                "memory": { "limit": 1_u64 << 40, "swap": -1 }, "pids": { "limit": 9 },
                "devices": [{ "allow": false, "access": "rwm" }],
            },
            "devices": [{ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229 }],
            "cgroupsPath": "/a/b", "maskedPaths": ["/proc/kcore"],
            "seccomp": { "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ALLOW" }] },
        },
        "annotations": { "a": "b" },
    });
    let with = |path: &str, value: Value| {
        let mut config = config.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value;
        config.to_string().into_bytes()
    };
    vec![
        config.to_string().into_bytes(),
        with("/root", Value::Null),
        with("/root/path", json!("../..")),
        with("/process", Value::Null),
        with("/linux", Value::Null),
        with("/linux/namespaces", json!([])),
        with("/linux/namespaces/0/path", json!("/proc/1/ns/pid")),
        with("/linux/devices/0/major", json!(-1)),
        with("/linux/resources/cpu/quota", json!(i64::MIN)),
        with("/linux/resources/cpu/period", json!(0)),
        with("/linux/resources/memory/limit", json!(-1)),
        with("/linux/cgroupsPath", json!("a:b:c:d")),
        with("/mounts/1/source", json!("")),
        with("/mounts", json!([])),
        with("/ociVersion", json!("9")),
        b"{}".to_vec(),
    ]
}
