//! What a process gets (M27) and what surrounds it (M28).

use std::fs;

use holm_e2e::{Holm, TestImage};

#[test]
fn m27_environment_combines_image_file_and_flags() {
    let holm = Holm::with(TestImage::Busybox);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "# comment\nFROM_FILE=1\nBOTH=file\n").unwrap();
    let env = holm
        .holm(["run", "--rm", "-e", "BOTH=flag", "-e", "CALLER", "-e", "ABSENT", "--env-file"])
        .arg(file.path())
        .args(["--hostname", "box", "busybox", "env"])
        .env("CALLER", "mine")
        .outcome()
        .ok();
    for line in ["FROM_FILE=1", "BOTH=flag", "CALLER=mine", "HOSTNAME=box", "HOME=/root"] {
        assert!(env.lines().any(|l| l == line), "{line} is missing: {env}");
    }
    assert!(env.contains("PATH=/usr/local/sbin:") && !env.contains("ABSENT"), "{env}");
}

#[test]
fn m27_working_directory_and_entrypoint() {
    let holm = Holm::with(TestImage::Busybox);
    assert_eq!(holm.run(["-w", "/var/new", "busybox", "pwd"]).ok(), "/var/new");
    assert_eq!(holm.run(["--entrypoint", "echo", "busybox", "a", "b"]).ok(), "a b");
    holm.run(["-w", "relative", "busybox", "pwd"]).fails(125, "needs to be an absolute path");
}

#[test]
fn m27_users_and_groups() {
    let holm = Holm::with(TestImage::Busybox);
    let id = |user: &str| holm.run(["-u", user, "busybox", "id"]).ok();
    assert_eq!(id("www-data"), "uid=33(www-data) gid=33(www-data) groups=33(www-data),50(staff)");
    assert_eq!(id("1000"), "uid=1000 gid=0(root) groups=0(root)");
    assert_eq!(id("1000:2000"), "uid=1000 gid=2000 groups=2000");
    assert_eq!(id("www-data:staff"), "uid=33(www-data) gid=50(staff) groups=50(staff)");
    assert_eq!(holm.run(["-u", "nobody-here", "busybox", "id"]).code, 125);
}

#[test]
fn m27_groups_are_added_by_name_and_number() {
    let holm = Holm::with(TestImage::Busybox);
    let added = ["-u", "www-data", "--group-add", "4711", "--group-add", "root", "busybox", "id", "-G"];
    assert_eq!(holm.run(added).ok(), "33 0 50 4711");
    let name = holm.background(&["--group-add", "staff"], "sleep 1000");
    assert_eq!(holm.holm(["exec", &name, "sh", "-c", "id -G | grep -ow 50"]).outcome().ok(), "50");
    assert_eq!(holm.holm(["exec", "-u", "1000", &name, "id", "-G"]).outcome().ok(), "0 50");
    holm.run(["--group-add", "nobody-here", "busybox", "id"]).fails(125, "unable to find group nobody-here");
}

#[test]
fn m28_devices_of_the_guest_are_given_and_those_of_the_host_are_not() {
    let holm = Holm::with(TestImage::Busybox);
    let script = "ls /dev/fuse /dev/vpn; (: </dev/fuse) && echo fuse; (: >/dev/fuse) || echo not written; (: <>/dev/vpn) && echo tun";
    let devices = ["--device=/dev/fuse:r", "--device=/dev/net/tun:/dev/vpn"];
    let given = holm.run(devices.iter().copied().chain(["busybox", "sh", "-c", script]));
    assert_eq!(given.out(), "/dev/fuse\n/dev/vpn\nfuse\nnot written\ntun", "{}", given.err());
    assert_eq!(holm.run(["busybox", "ls", "/dev/fuse"]).code, 1);
    let script = "ls /dev/fuse /dev/net/tun >/dev/null && dd if=/dev/zero of=/disk bs=1M count=4 2>/dev/null && mke2fs -F /disk >/dev/null && mkdir -p /mnt && \
                  mount -t ext4 -o loop /disk /mnt && echo here >/mnt/file && umount /mnt && echo mounted";
    assert_eq!(holm.run(["--privileged", "busybox", "sh", "-c", script]).ok(), "mounted");
    let refused = holm.run(["--device", "/dev/sda", "busybox", "true"]);
    assert!(refused.code == 125 && refused.err().contains("none of the host's devices"), "{}", refused.err());
}

#[test]
fn m28_namespaces_and_hostname_are_the_containers_own() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let script = "echo $$; hostname; cat /etc/hostname; ls /sys/class/net; cat /proc/self/cgroup; ps >/tmp/ps; wc -l </tmp/ps";
    let out = holm.run(["--hostname", "box", "busybox", "sh", "-c", script]).ok();
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines, ["1", "box", "box", "eth0", "lo", "0::/", "3"], "{out}");
}

#[test]
fn m28_capabilities_are_dockers_and_can_be_changed() {
    let holm = Holm::with(TestImage::Busybox);
    let effective = |flags: &[&str]| {
        let script = "awk '/CapEff/ { print $2 }' /proc/self/status";
        holm.holm(["run", "--rm"]).args(flags).args(["busybox", "sh", "-c", script]).outcome().ok()
    };
    assert_eq!(effective(&[]), "00000000a80425fb");
    assert_eq!(effective(&["--cap-drop", "ALL"]), "0000000000000000");
    assert_eq!(effective(&["--cap-drop", "ALL", "--cap-add", "NET_ADMIN"]), "0000000000001000");
    assert_eq!(effective(&["-u", "nobody"]), "0000000000000000");
    assert_eq!(effective(&["--privileged"]), "000001ffffffffff");
}

#[test]
fn m28_seccomp_refuses_what_dockers_profile_refuses() {
    let holm = Holm::with(TestImage::Busybox);
    let seccomp = "awk '/Seccomp:/ { print $2 }' /proc/self/status";
    assert_eq!(holm.run(["busybox", "sh", "-c", seccomp]).ok(), "2");
    assert_eq!(holm.run(["busybox", "unshare", "-m", "true"]).code, 1);
    holm.run(["--privileged", "busybox", "unshare", "-m", "true"]).ok();
    assert_eq!(holm.run(["--privileged", "busybox", "sh", "-c", seccomp]).ok(), "0");
}

#[test]
fn m28_masked_and_read_only_paths() {
    let holm = Holm::with(TestImage::Busybox);
    let script = "cat /proc/keys /proc/timer_list | wc -c; ls /proc/scsi /sys/firmware | grep -vc :; \
                  echo 1 > /proc/sys/kernel/panic; touch /sys/x; echo end";
    let out = holm.run(["busybox", "sh", "-c", script]);
    assert!(out.out().starts_with("0\n") && out.out().ends_with("end"), "{}", out.out());
    assert!(out.err().contains("/proc/sys/kernel/panic: Read-only file system"), "{}", out.err());
    assert!(out.err().contains("/sys/x: Read-only file system"), "{}", out.err());
}

#[test]
fn m28_read_only_root_and_tmpfs() {
    let holm = Holm::with(TestImage::Busybox);
    let out = holm.run([
        "--read-only",
        "--tmpfs",
        "/run:size=1m",
        "busybox",
        "sh",
        "-c",
        "touch /run/a && touch /a",
    ]);
    assert_eq!(out.code, 1);
    assert!(out.err().contains("/a: Read-only file system"), "{}", out.err());
    let size =
        holm.run(["--tmpfs", "/x:size=2m", "busybox", "sh", "-c", "df -k /x | awk 'END { print $2 }'"]);
    assert_eq!(size.ok(), "2048");
}

#[test]
fn m28_ulimits_sysctls_and_init() {
    let holm = Holm::with(TestImage::Busybox);
    let limits = holm.run(["--ulimit", "nofile=100:200", "busybox", "sh", "-c", "ulimit -Sn; ulimit -Hn"]);
    assert_eq!(limits.ok(), "100\n200");
    let sysctl = ["--sysctl", "net.core.somaxconn=77", "busybox", "cat", "/proc/sys/net/core/somaxconn"];
    assert_eq!(holm.run(sysctl).ok(), "77");
    let told = "cat /proc/self/oom_score_adj /proc/sys/kernel/domainname";
    let told = ["--oom-score-adj", "500", "--domainname", "example.org", "busybox", "sh", "-c", told];
    assert_eq!(holm.run(told).ok(), "500\nexample.org");
    assert_ne!(holm.run(["--init", "busybox", "sh", "-c", "echo $$"]).ok(), "1");
    assert_eq!(holm.run(["--init", "busybox", "sh", "-c", "exit 9"]).code, 9);
}

#[test]
fn m28_no_new_privileges() {
    let holm = Holm::with(TestImage::Busybox);
    let script = "awk '/NoNewPrivs/ { print $2 }' /proc/self/status";
    assert_eq!(holm.run(["busybox", "sh", "-c", script]).ok(), "0");
    assert_eq!(holm.run(["--security-opt", "no-new-privileges", "busybox", "sh", "-c", script]).ok(), "1");
}

#[test]
fn m31_memory_above_the_limit_kills_the_workload_only() {
    let holm = Holm::with(TestImage::Busybox);
    let hog = ["-m", "32m", "busybox", "sh", "-c", "tail /dev/zero; echo $?"];
    let out = holm.run(hog);
    assert!(out.out().contains("137") || out.code == 137, "{}: {} {}", out.code, out.out(), out.err());
}

#[test]
fn debian_programs_run() {
    let holm = Holm::with(TestImage::Debian);
    let script = "perl -e 'print 6*7, qq(\\n)'; apt-get --version | head -1; dpkg -l bash | tail -1; . /etc/os-release; echo $ID";
    let out = holm.run(["debian", "bash", "-c", script]).ok();
    assert!(out.starts_with("42\napt ") && out.ends_with("debian"), "{out}");
}
