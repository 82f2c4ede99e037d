//! What the VMM is told (its configuration, requests while it runs), and what it tells the runtime, which has to expect one that
//! was taken over: JSON documents of any kind.

use holm_protocol::kvm_probe::KvmProbe;
use holm_protocol::vm_config::VmConfig;
use holm_protocol::vm_control::{ControlReply, ControlRequest, SaveScope};
use serde_json::json;

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "vm_config",
    run,
    seeds,
    max_bytes: 4096,
    code: &["protocol/src/vm_config.rs", "protocol/src/vm_control.rs"],
    words: &[&[
        "vcpus",
        "memory_mib",
        "boot",
        "cmdline",
        "disks",
        "segments",
        "offset_bytes",
        "length_bytes",
        "read_only",
        "rates",
        "shares",
        "directory",
        "only",
        "networks",
        "link",
        "tap",
        "stream",
        "mac",
        "mtu_bytes",
        "vsock",
        "guest_cid",
        "host_ports",
        "dial_fd",
        "control_fd",
        "console",
        "template",
        "check_memory",
        "add_network",
        "remove_device",
        "set_rates",
    ]],
};

fn run(bytes: &[u8]) {
    if let Ok(config) = serde_json::from_slice::<VmConfig>(bytes) {
        let text = serde_json::to_vec(&config).unwrap();
        assert_eq!(serde_json::from_slice::<VmConfig>(&text).unwrap(), config, "it is not what was said");
        match config.check() {
            Ok(()) => {
                // Whoever is admitted fits.
                assert!(config.told_places().len() <= 16, "{} devices", config.told_places().len());
                let lengths = config.disks.iter().map(|disk| disk.length_bytes());
                assert!(lengths.into_iter().all(|length| length.is_some()), "a disk without a length");
            }
            Err(error) => drop(error.to_string()),
        }
    }
    if let Ok(request) = serde_json::from_slice::<ControlRequest>(bytes) {
        serde_json::to_vec(&request).unwrap();
    }
    if let Ok(reply) = serde_json::from_slice::<ControlReply>(bytes) {
        serde_json::to_vec(&reply).unwrap();
    }
    let _ = serde_json::from_slice::<KvmProbe>(bytes);
}

fn seeds() -> Vec<Vec<u8>> {
    let segment = |length: u64| json!({ "path": "/a", "offset_bytes": 512, "length_bytes": length });
    let config = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut config = json!({
            "vcpus": 2, "memory_mib": 256,
            "boot": { "kernel": "/k", "initramfs": "/i", "cmdline": ["quiet"] },
            "disks": [{ "id": "root", "read_only": true, "segments": [segment(4096), segment(512)] }],
            "shares": [{ "directory": "/srv", "only": "file", "read_only": false }],
            "networks": [{
                "link": { "stream": { "fd": 7, "host": "10.0.2.2" } },
                "device": { "mac": [2, 0, 0, 0, 0, 9], "mtu_bytes": 1500, "rates": { "in_bytes_per_s": 1 } },
            }],
            "vsock": { "guest_cid": 3, "socket": "/v", "host_ports": [1024], "dial_fd": 8 },
            "console": { "file": "/c" }, "control_fd": 9,
        });
        change(&mut config);
        config.to_string().into_bytes()
    };
    let mut seeds = vec![
        config(&|_| {}),
        config(&|config| config["console"] = json!("off")),
        config(&|config| config["networks"][0]["link"] = json!({ "tap": 5 })),
        config(&|config| config["disks"] = json!(vec![config["disks"][0].clone(); 20])),
        config(&|config| config["disks"][0]["segments"] = json!([segment(u64::MAX - 511), segment(1 << 63)])),
        config(&|config| config["networks"] = json!(vec![config["networks"][0].clone(); 9])),
        config(&|config| {
            config["shares"] = json!([{ "directory": "relative", "only": "../x", "read_only": true }])
        }),
        config(&|config| config["boot"]["cmdline"] = json!(["a b", "\u{0}"])),
        config(&|config| drop(config.as_object_mut().unwrap().remove("vsock"))),
        config(&|config| config["template"] = json!({ "state": "/s", "memory": "/m", "check_memory": true })),
        b"{}".to_vec(),
        b"[[[[[[[[[[[[[[[[".to_vec(),
    ];
    let requests = [
        ControlRequest::Save(SaveScope::Everything),
        ControlRequest::Origin,
        ControlRequest::RemoveDevice { slot: 3 },
    ];
    seeds.extend(requests.iter().map(|request| serde_json::to_vec(request).unwrap()));
    seeds
}
