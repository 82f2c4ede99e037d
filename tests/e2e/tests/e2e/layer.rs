//! The writable layer.

use holm_e2e::{Holm, TestImage};

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
