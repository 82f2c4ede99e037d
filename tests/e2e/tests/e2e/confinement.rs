//! What a hostile workload cannot do to its own agent and VM (threats.md).

use holm_e2e::{Holm, TestImage};

#[test]
fn t14_the_agent_is_out_of_reach() {
    let holm = Holm::with(TestImage::Busybox);
    let script =
        "ls -l /proc/*/exe 2>/dev/null | grep -c holm; ls /proc/self/fd | wc -l; cat /proc/1/comm; true";
    let out = holm.run(["busybox", "sh", "-c", script]).ok();
    // 0, 1, 2 and the directory that ls reads.
    assert_eq!(out, "0\n4\nsh");
}

#[test]
fn t15_device_nodes_of_the_guests_disks_cannot_be_opened() {
    let holm = Holm::with(TestImage::Busybox);
    let script = "mknod /tmp/vda b 254 0 && head -c 1 /tmp/vda; mknod /tmp/port c 1 4 && head -c 1 /tmp/port; echo end";
    let out = holm.run(["busybox", "sh", "-c", script]);
    assert_eq!(out.ok(), "end");
    assert_eq!(out.err().matches("Operation not permitted").count(), 2, "{}", out.err());
}

#[test]
fn m22_a_kernel_panic_has_its_own_reason() {
    let holm = Holm::with(TestImage::Busybox);
    let script = "mount -t proc proc /mnt 2>/dev/null; echo c > /proc/sysrq-trigger; sleep 60";
    let out = holm.run(["--privileged", "busybox", "sh", "-c", script]);
    assert_eq!(out.code, 125, "{}", out.err());
    assert!(out.err().contains("guest kernel panic: "), "{}", out.err());
}

#[test]
fn t8_the_guest_sees_no_virtualization_of_its_own() {
    let holm = Holm::with(TestImage::Busybox);
    let out = holm.run([
        "busybox",
        "sh",
        "-c",
        "grep -cwE 'vmx|svm' /proc/cpuinfo; grep -c hypervisor /proc/cpuinfo",
    ]);
    assert_eq!(out.out(), "0\n1");
}
