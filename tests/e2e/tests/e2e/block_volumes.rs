//! Volumes that are disks of their own: the container model's M33 and M35.

use std::fs;

use holm_e2e::{Holm, TestImage, until};

/// A volume of the test's own; removed with it.
struct BlockVolume<'a> {
    holm: &'a Holm,
    name: String,
}

impl<'a> BlockVolume<'a> {
    #[track_caller]
    fn create(holm: &'a Holm) -> Self {
        let name = holm.name();
        holm.holm(["volume", "create", "-d", "block", "-o", "size=128m", &name]).outcome().ok();
        Self { holm, name }
    }

    fn at(&self, place: &str) -> String {
        format!("{}:{place}", self.name)
    }

    /// Runs a script in a container that has it on /data.
    #[track_caller]
    fn run(&self, script: &str) -> String {
        self.holm.run(["-v", &self.at("/data"), "busybox", "sh", "-c", script]).ok()
    }
}

impl Drop for BlockVolume<'_> {
    fn drop(&mut self) {
        // A test that failed may have left a container that has it.
        let _ = self.holm.holm(["volume", "rm", &self.name]).outcome();
    }
}

#[test]
fn m33_a_block_volume_outlives_containers_and_is_known_to_every_verb() {
    let holm = Holm::with(TestImage::Busybox);
    let volume = BlockVolume::create(&holm);
    let inspect = |fields: &str| holm.holm(["volume", "inspect", "-f", fields, &volume.name]).outcome().ok();
    assert_eq!(inspect("{{.Driver}} {{.Options.size}}"), "block 134217728");
    // It starts empty, and cannot hold more than it was made for.
    assert_eq!(
        volume.run("ls -A /data; echo kept > /data/x; grep ' /data ' /proc/mounts | cut -d ' ' -f 3"),
        "ext4"
    );
    assert_eq!(
        volume.run("cat /data/x; dd if=/dev/zero of=/data/y bs=1M count=256 2>&1 | grep -c 'No space'"),
        "kept\n1"
    );
    let listed =
        holm.holm(["volume", "ls", "-f", "driver=block", "--format", "{{.Driver}} {{.Name}}"]).outcome().ok();
    assert!(listed.lines().any(|line| line == format!("block {}", volume.name)), "{listed}");
    let user = holm.background(
        &["--mount", &format!("type=volume,source={},target=/m", volume.name)],
        "exec sleep 1000",
    );
    holm.holm(["volume", "rm", &volume.name]).outcome().fails(1, "volume is in use");
    assert_eq!(holm.holm(["exec", &user, "cat", "/m/x"]).outcome().ok(), "kept");
    holm.holm(["cp", &format!("{user}:/m/x"), "-"]).outcome().ok();
    holm.holm(["rm", "-f", &user]).outcome().ok();
    let disk = inspect("{{.Mountpoint}}");
    assert!(fs::exists(&disk).unwrap());
    holm.holm(["volume", "rm", &volume.name]).outcome().ok();
    assert!(!fs::exists(&disk).unwrap());
    holm.holm(["volume", "create", "-d", "block", "-o", "size=1m", &volume.name])
        .outcome()
        .fails(125, "64m to 16t");
}

#[test]
fn m33_a_new_block_volume_is_filled_from_the_images_directory() {
    let holm = Holm::with(TestImage::Busybox);
    let volume = BlockVolume::create(&holm);
    let list = [
        "busybox",
        "sh",
        "-c",
        "ls /etc | sort | head -n 3; rm -f /etc/passwd; ls /etc | grep -c passwd; true",
    ];
    let own = holm.run(list).ok();
    let first = holm.run(["-v", &volume.at("/etc")].into_iter().chain(list)).ok();
    assert_eq!(first, own);
    // What was removed does not come back: it is filled once.
    assert_eq!(volume.run("ls /data | grep -c '^passwd$'; true"), "0");
}

#[test]
fn m35_what_was_synced_to_a_block_volume_survives_the_vmms_death() {
    let holm = Holm::with(TestImage::Busybox);
    let volume = BlockVolume::create(&holm);
    // As a database's log: a record is acknowledged once it is on disk.
    let script = "n=0; while :; do n=$((n + 1)); echo record $n >> /data/log; sync /data/log; echo $n; done";
    let name = holm.background(&["-v", &volume.at("/data")], script);
    let acknowledged = || -> u64 {
        let logs = holm.holm(["logs", &name]).outcome().ok();
        logs.lines().last().map_or(0, |line| line.parse().unwrap())
    };
    until("some records are written", || acknowledged() > 20);
    let pid = holm.holm(["inspect", "-f", "{{.State.Pid}}", &name]).outcome().ok();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    until("the container has ended", || {
        holm.holm(["inspect", "-f", "{{.State.Status}}", &name]).outcome().ok() == "exited"
    });
    let last = acknowledged();
    holm.holm(["rm", &name]).outcome().ok();
    // Without a look at its journal nobody can say what is on it, and who only reads cannot write it back.
    let reader = holm.run(["-v", &format!("{}:ro", volume.at("/data")), "busybox", "true"]);
    reader.fails(125, "not unmounted in order");
    let records = volume.run("cat /data/log");
    for (index, line) in (1..=last).zip(records.lines()) {
        assert_eq!(line, format!("record {index}"));
    }
    assert!(records.lines().count() as u64 >= last, "{last} acknowledged: {records}");
}

#[test]
fn m33_a_block_volume_has_one_writer_or_several_readers_and_readers_cannot_write() {
    let holm = Holm::with(TestImage::Busybox);
    let volume = BlockVolume::create(&holm);
    volume.run("echo first > /data/x");
    let (rw, ro) = (volume.at("/data"), format!("{}:ro", volume.at("/data")));
    let writer = holm.background(&["-v", &rw], "exec sleep 1000");
    for mount in [&rw, &ro] {
        holm.run(["-v", mount, "busybox", "true"])
            .fails(125, "a block volume can be mounted by one running container");
    }
    // In order: a VM that is killed leaves a journal to be replayed.
    holm.holm(["stop", "-t", "0", &writer]).outcome().ok();
    let reader = holm.background(&["-v", &ro, "--privileged"], "exec sleep 1000");
    assert_eq!(holm.run(["-v", &ro, "busybox", "cat", "/data/x"]).ok(), "first");
    holm.run(["-v", &rw, "busybox", "true"])
        .fails(125, "a block volume can be mounted by one running container");
    // Not even who has the guest to itself: the VMM has the disk open for reading only.
    let attack = "mount -o remount,rw /data 2>/dev/null; echo second 2>/dev/null > /data/x;
        for d in /sys/block/vd*; do
            grep -q volume $d/serial || continue
            mknod /disk b $(tr : ' ' < $d/dev); blockdev --setrw /disk 2>/dev/null
            dd if=/dev/zero of=/disk bs=4k count=256 conv=fsync 2>&1 | tail -n 1
        done";
    holm.holm(["exec", &reader, "sh", "-c", attack]).outcome();
    holm.holm(["rm", "-f", &reader]).outcome().ok();
    assert_eq!(volume.run("cat /data/x"), "first");
}
