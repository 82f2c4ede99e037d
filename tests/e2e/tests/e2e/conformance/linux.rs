//! config.md, "Hostname" and "Domainname"; config-linux.md, but for what filesystem.rs has.

use serde_json::json;

use super::{Case, case, compare, holm, mounts};

const LINUX: &[Case] = &[
    case("hostname", "hostname", "box"),
    case("domainname", "cat /proc/sys/kernel/domainname", "example.org"),
    case("namespaces: pid", "ls /proc | grep -c '^[0-9]*$' >/dev/null; echo $$", "1"),
    case("namespaces: network", "ls /sys/class/net", "lo"),
    case("namespaces: network, the loopback interface is up", "cat /sys/class/net/lo/flags", "0x9"),
    case("namespaces: cgroup", "cat /proc/self/cgroup", "0::/"),
    case("sysctl: net", "cat /proc/sys/net/ipv4/ip_forward", "1"),
    case("sysctl: kernel.msgmax", "cat /proc/sys/kernel/msgmax", "4096"),
    case("personality", "uname -m", "i686"),
    case("rootfsPropagation", "awk '$5 == \"/\" {print $7}' /proc/self/mountinfo", "-"),
    case("seccomp: mode", "sed -n s/^Seccomp://p /proc/$$/status", "2"),
    case(
        "seccomp: errnoRet",
        "chroot / true",
        "chroot: can't change root directory to '/': Input/output error",
    ),
    case(
        "seccomp: errno by default is EPERM",
        "mknod /tmp/fifo p",
        "mknod: /tmp/fifo: Operation not permitted",
    ),
    case(
        "seccomp: by an argument",
        "kill -0 1 && kill -WINCH 1",
        "sh: can't kill pid 1: Operation not permitted",
    ),
    case("seccomp: what is not named is allowed", "mkdir /tmp/d && rmdir /tmp/d && echo yes", "yes"),
    case("resources.memory.limit", "cat /sys/fs/cgroup/memory.max", "67108864"),
    case("resources.memory.reservation", "cat /sys/fs/cgroup/memory.low", "33554432"),
    case("resources.memory.swap", "cat /sys/fs/cgroup/memory.swap.max", "0"),
    case("resources.cpu.quota, period", "cat /sys/fs/cgroup/cpu.max", "180000 200000"),
    holm(
        "resources.cpu.shares",
        "cat /sys/fs/cgroup/cpu.weight",
        "174",
        "the formula that crun has since 1.23",
    ),
    case("resources.pids", "cat /sys/fs/cgroup/pids.max", "50"),
    case("resources.unified", "cat /sys/fs/cgroup/memory.high", "50331648"),
    case("resources.devices: denied", "head -c 1 /dev/kmsg", "head: /dev/kmsg: Operation not permitted"),
    case("resources.devices: allowed", "head -c 1 /dev/urandom | wc -c", "1"),
    holm(
        "timeOffsets",
        "awk '{print ($1 > 1000000)}' /proc/uptime",
        "1",
        "crun 1.8 fails with a time namespace",
    ),
];

#[test]
fn conformance_of_linux() {
    compare(
        LINUX,
        |_, config| {
            mounts(config, &[]);
            config["hostname"] = json!("box");
            config["domainname"] = json!("example.org");
            let linux = &mut config["linux"];
            linux["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "cgroup");
            linux["namespaces"].as_array_mut().unwrap().push(json!({"type": "cgroup"}));
            linux["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096"});
            linux["personality"] = json!({"domain": "LINUX32"});
            linux["rootfsPropagation"] = json!("private");
            linux["readonlyPaths"] = json!([]);
            linux["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [
                    {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
                    {"names": ["mknod", "mknodat"], "action": "SCMP_ACT_ERRNO"},
                    {"names": ["kill"], "action": "SCMP_ACT_ERRNO",
                     "args": [{"index": 1, "value": 28, "op": "SCMP_CMP_EQ"}]},
                ],
            });
            linux["devices"] = json!([{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]);
            linux["resources"] = json!({
                "memory": {"limit": 67_108_864, "reservation": 33_554_432, "swap": 67_108_864},
                "cpu": {"shares": 2048, "quota": 180_000, "period": 200_000},
                "pids": {"limit": 50},
                "unified": {"memory.high": "50331648"},
                "devices": [
                    {"allow": false, "access": "rwm"},
                    {"allow": true, "type": "c", "major": 1, "minor": 9, "access": "r"},
                    {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"},
                ],
            });
        },
        |config| {
            let linux = &mut config["linux"];
            linux["namespaces"].as_array_mut().unwrap().push(json!({"type": "time"}));
            linux["timeOffsets"] = json!({"boottime": {"secs": 2_000_000}});
        },
    );
}
