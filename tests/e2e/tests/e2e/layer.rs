//! The writable layer.

use std::process::Command;

use holm_e2e::{Holm, Outcome, TestImage};

#[test]
fn m07_copy_on_write_leaves_image_unchanged() {
    let holm = Holm::with(TestImage::Busybox);
    let change = "echo changed > /etc/passwd; rm /etc/group; touch /etc/new; cat /etc/passwd; ls /etc";
    let changed = holm.run(["busybox", "sh", "-c", change]).ok();
    assert!(changed.starts_with("changed\n") && changed.contains("new") && !changed.contains("group"));
    let after = holm.run(["busybox", "sh", "-c", "head -1 /etc/passwd; ls /etc"]).ok();
    assert!(after.starts_with("root:x:0:0") && after.contains("group") && !after.contains("new"), "{after}");
}

#[test]
fn m08_containers_do_not_see_each_others_files() {
    let holm = Holm::with(TestImage::Busybox);
    let (writer, reader) = (holm.name(), holm.name());
    let script = "touch /tmp/mine-$HOSTNAME; sleep 1000";
    holm.holm(["run", "-d", "--name", &writer, "busybox", "sh", "-c", script]).outcome().ok();
    assert_eq!(holm.run(["--name", &reader, "busybox", "ls", "/tmp"]).ok(), "");
}

#[test]
fn m14_a_full_layer_is_a_full_disk_for_its_workload_only() {
    let holm = Holm::with(TestImage::Busybox);
    let script = "dd if=/dev/zero of=/big bs=1M 2>&1 | grep -o 'No space left on device'; df -m / | grep -c 100%; \
                  rm /big; echo goes on > /small; cat /small";
    let options = ["--storage-opt", "size=64m"];
    let out = holm.run(options.iter().chain(&["busybox", "sh", "-c", script])).ok();
    assert_eq!(out, "No space left on device\n1\ngoes on");
}

#[test]
fn only_a_layer_that_stays_has_a_journal() {
    let holm = Holm::with(TestImage::Busybox);
    let journals = ["busybox", "sh", "-c", "ls /proc/fs/jbd2; grep -c ' /.*upperdir' /proc/mounts"];
    assert_eq!(holm.run(journals).ok(), "1");
    let name = holm.name();
    let kept = holm.holm(["run", "--name", &name]).args(journals).outcome().ok();
    assert!(kept.contains("-8\n"), "{kept}");
}

#[test]
fn m04_a_hundred_containers_share_the_layers_of_their_image() {
    let holm = Holm::empty();
    holm.holm(["load", "-q", "-i"]).arg(TestImage::Debian.archive()).outcome().ok();
    let used_mib = || {
        let used = Outcome::from(Command::new("du").arg("-sm").arg(holm.root()).output().unwrap()).ok();
        used.split_whitespace().next().unwrap().parse::<u32>().unwrap()
    };
    let before = used_mib();
    for number in 0..100 {
        holm.holm(["create", "--name", &format!("c{number}"), "debian"]).outcome().ok();
    }
    assert_eq!(holm.holm(["ps", "-aq"]).outcome().ok().lines().count(), 100);
    let grown = used_mib() - before;
    assert!(before > 50 && grown <= 5, "{before} MiB with the image, {grown} MiB more with 100 containers");
}
