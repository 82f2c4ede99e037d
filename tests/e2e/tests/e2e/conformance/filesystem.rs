//! config.md, "Root" and "Mounts"; config-linux.md, "Default Filesystems", "Devices", "Masked Paths", "Readonly Paths".

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;

use super::{Case, case, compare, holm, mounts};

/// Options of a mount, without the numbers of propagation and without what a bind mount has of its source: access times, and on virtio-fs
/// nodev.
macro_rules! options {
    ($path:literal) => {
        concat!(
            "awk '$5 == \"",
            $path,
            "\" {print $6, $7}' /proc/self/mountinfo | sed -E 's/:[0-9]*//; s/,(rel|no)atime//; s/,nodev//'"
        )
    };
}

const PRIVATE: &str = "crun 1.8 makes all mounts private at last";

const FILES: &[Case] = &[
    case("root.readonly", "touch /x", "touch: /x: Read-only file system"),
    case("root.readonly: the mount", options!("/"), "ro -"),
    case("mounts: bind", "cat /bound/file; echo new >/bound/new; cat /bound/new", "content new"),
    case("mounts: ro", "touch /ro/file", "touch: /ro/file: Read-only file system"),
    case("mounts: ro, the mount", options!("/ro"), "ro -"),
    case("mounts: noexec", "/noexec/program 2>&1 | sed 's/.*: //'", "Permission denied"),
    case(
        "mounts: nosuid, nodev, noexec",
        "awk '$5 == \"/noexec\" {print $6}' /proc/self/mountinfo | cut -d, -f1-4",
        "rw,nosuid,nodev,noexec",
    ),
    case("mounts: noatime", "awk '$5 == \"/noatime\" {print $6}' /proc/self/mountinfo", "rw,noatime"),
    case(
        "mounts: of a file",
        "cat /etc/one; (echo two >/etc/one) 2>&1 | sed 's/.*: //'",
        "content Read-only file system",
    ),
    case("mounts: what is mounted on is made", "stat -c %F /made/by/mount", "directory"),
    case("mounts: in their order", "cat /order/file; ls -d /order/below", "content /order/below"),
    case("mounts: one below another", "cat /order/below/program", "#!/bin/sh"),
    case("mounts: links stay in the root", "cat /inside/file", "content"),
    case(
        "mounts: tmpfs, size and mode",
        "stat -c '%a' /tmpfs; df -k /tmpfs | awk 'NR == 2 {print $2}'",
        "1750 128",
    ),
    case("mounts: a propagation that is not named is private", options!("/bound"), "rw -"),
    holm("mounts: shared", options!("/shared"), "rw shared", PRIVATE),
    holm("mounts: unbindable", options!("/unbindable"), "rw unbindable", PRIVATE),
    case("default file systems: /proc", "awk '$2 == \"/proc\" {print $3}' /proc/mounts", "proc"),
    case(
        "default file systems: /sys",
        "awk '$2 == \"/sys\" {print $3}' /proc/mounts; mkdir /sys/x",
        "sysfs mkdir: can't create directory '/sys/x': Read-only file system",
    ),
    case("default file systems: /dev/pts", "awk '$2 == \"/dev/pts\" {print $3}' /proc/mounts", "devpts"),
    case("mounts: mqueue", "awk '$2 == \"/dev/mqueue\" {print $3}' /proc/mounts", "mqueue"),
    case(
        "default devices",
        "stat -c '%n %F %t:%T %a' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty | sed 's/character special file/c/'",
        "/dev/null c 1:3 666 /dev/zero c 1:5 666 /dev/full c 1:7 666 /dev/random c 1:8 666 /dev/urandom c 1:9 666 /dev/tty c 5:0 666",
    ),
    case(
        "dev symbolic links",
        "for name in fd stdin stdout stderr; do readlink /dev/$name; done",
        "/proc/self/fd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2",
    ),
    case("dev symbolic links: ptmx", "readlink -f /dev/ptmx", "/dev/pts/ptmx"),
    case("devices: c", "stat -c '%F %t:%T %a %u:%g' /dev/own", "character special file 1:5 640 0:5"),
    case("devices: p", "stat -c '%F %a' /dev/fifo", "fifo 600"),
    case("devices: they work", "head -c 3 /dev/own | od -An -tx1", "00 00 00"),
    case("maskedPaths: a file", "cat /etc/passwd | wc -c", "0"),
    case(
        "maskedPaths: a directory",
        "ls /var/spool; touch /var/spool/x",
        "touch: /var/spool/x: Read-only file system",
    ),
    case(
        "readonlyPaths: a file",
        "(echo x >/proc/sys/kernel/domainname) 2>&1 | sed 's/.*: //'",
        "Read-only file system",
    ),
    case("readonlyPaths: a directory", "touch /tmpfs/ro/x", "touch: /tmpfs/ro/x: Read-only file system"),
];

#[test]
fn conformance_of_the_file_system() {
    compare(
        FILES,
        |bundle, config| {
            let data = bundle.file("data");
            fs::create_dir_all(data.join("below")).unwrap();
            fs::write(data.join("file"), "content\n").unwrap();
            fs::write(data.join("program"), "#!/bin/sh\n").unwrap();
            fs::set_permissions(data.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
            fs::create_dir(bundle.file("data/ro")).unwrap();
            fs::create_dir(bundle.file("rootfs/inside")).unwrap();
            symlink("../../../../../inside", bundle.file("rootfs/out")).unwrap();
            fs::create_dir_all(bundle.file("rootfs/var/spool/secret")).unwrap();
            let bind = |destination: &str, source: &str, options: &[&str]| {
                let options: Vec<&str> = ["bind"].iter().chain(options).copied().collect();
                json!({"destination": destination, "type": "bind", "source": data.join(source), "options": options})
            };
            mounts(
                config,
                &[
                    json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
                   "options": ["nosuid", "noexec", "nodev"]}),
                    bind("/bound", "", &[]),
                    bind("/ro", "", &["ro"]),
                    bind("/noexec", "", &["nosuid", "nodev", "noexec"]),
                    json!({"destination": "/noatime", "type": "tmpfs", "source": "tmpfs", "options": ["noatime"]}),
                    bind("/etc/one", "file", &["ro"]),
                    json!({"destination": "/made/by/mount", "type": "tmpfs", "source": "tmpfs"}),
                    json!({"destination": "/order", "type": "tmpfs", "source": "tmpfs"}),
                    bind("/order", "", &["ro"]),
                    bind("/order/below", "", &["ro"]),
                    bind("/out", "", &[]),
                    json!({"destination": "/tmpfs", "type": "tmpfs", "source": "tmpfs",
                   "options": ["size=128k", "mode=1750"]}),
                    bind("/tmpfs/ro", "", &[]),
                    bind("/shared", "", &["shared"]),
                    bind("/unbindable", "", &["unbindable"]),
                ],
            );
            config["root"]["readonly"] = json!(true);
            let linux = &mut config["linux"];
            linux["maskedPaths"] = json!(["/etc/passwd", "/var/spool", "/is/not/there"]);
            linux["readonlyPaths"] = json!(["/proc/sys", "/tmpfs/ro", "/is/not/there"]);
            linux["devices"] = json!([
                {"path": "/dev/own", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 0, "gid": 5},
                {"path": "/dev/fifo", "type": "p", "fileMode": 0o600},
            ]);
        },
        |_| (),
    );
}
