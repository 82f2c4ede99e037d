//! Starts that go on from a template: the first one makes it, no two guests are twins, and one that is damaged is passed over.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use holm_e2e::{Holm, TestImage};

/// The only template of a test's own.
#[track_caller]
fn only_template(holm: &Holm) -> PathBuf {
    let entries =
        fs::read_dir(holm.templates()).expect("templates").map(|entry| entry.expect("entry").path());
    let found: Vec<_> = entries.filter(|path| path.join("about.json").exists()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[track_caller]
fn hello(holm: &Holm) {
    assert_eq!(holm.run(["--network", "none", "busybox", "echo", "hello"]).ok(), "hello");
}

#[test]
fn the_first_start_makes_a_template_and_a_damaged_one_is_made_anew() {
    let holm = Holm::with(TestImage::Busybox).with_own_templates();
    assert_eq!(holm.run(["--cold", "--network", "none", "busybox", "echo", "hello"]).ok(), "hello");
    assert!(!holm.templates().exists(), "a cold start leaves templates alone");
    hello(&holm);
    let template = only_template(&holm);
    assert!(!template.join("checked").exists(), "it is made, not used");
    // Long enough for the supervisor's note.
    assert_eq!(holm.run(["--network", "none", "busybox", "sleep", "1"]).ok(), "");
    assert!(template.join("checked").exists(), "the VM went on from it");
    let written = template.join("written.json");
    assert!(fs::read_to_string(&written).unwrap().starts_with("[["), "and told what it wrote to");
    // One that is wrong costs time, and nothing else.
    fs::write(written, "[[0,4000],[4503599627370495,96]]").unwrap();
    hello(&holm);

    let state = template.join("state");
    let mut bytes = fs::read(&state).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&state, bytes).unwrap();
    assert_eq!(holm.run(["--network", "none", "busybox", "sleep", "1"]).ok(), "");
    assert!(!template.exists(), "it was of no use");
    hello(&holm);

    let memory = only_template(&holm).join("memory");
    assert!(!holm.holm(["template", "prune", "-f"]).outcome().ok().contains("Deleted"), "it is of use");
    let file = fs::File::options().write(true).open(&memory).unwrap();
    file.set_len(fs::metadata(&memory).unwrap().len() - 4096).unwrap();
    assert_eq!(holm.run(["--network", "none", "busybox", "sleep", "1"]).ok(), "");
    assert!(!memory.exists(), "it was of no use");
}

#[test]
fn templates_are_built_ahead() {
    let holm = Holm::with(TestImage::Busybox).with_own_templates();
    let build = |options: &[&str]| holm.holm(["template", "build"]).args(options).outcome().ok();
    let name = build(&[]);
    assert_eq!(only_template(&holm).file_name().unwrap().to_str(), Some(name.as_str()));
    assert!(!only_template(&holm).join("vm").exists());
    assert_eq!(build(&[]), name, "there is one");
    let larger = build(&["--vm-memory", "1g", "--vm-cpus", "2"]);
    let shapes = holm.holm(["template", "ls", "--format", "{{.Name}} {{.VCPUs}} {{.Memory}}"]).outcome().ok();
    assert_eq!(shapes, format!("{name} 1 512MiB\n{larger} 2 640MiB"));
    // Long enough for the supervisor's note.
    assert_eq!(holm.run(["busybox", "sleep", "1"]).ok(), "");
    assert!(holm.templates().join(&name).join("checked").exists(), "the VM went on from it");
    holm.holm(["template", "build"])
        .env("HOLM_CONSOLE", "1")
        .args(["-m", "3g", "--cpus=3"])
        .outcome()
        .fails(125, "boot");
    assert_eq!(holm.holm(["template", "ls", "-q"]).outcome().ok().lines().count(), 2);
}

#[test]
fn entropy_and_the_balloon_come_when_the_container_runs() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let devices =
        "cat /sys/class/misc/hw_random/rng_current; ls /sys/bus/virtio/drivers/virtio_balloon | grep virtio";
    let script =
        format!("for i in $(seq 60); do sleep 1; found=$({devices}) && echo \"$found\" && exit; done");
    for start in [&["--cold"][..], &[]] {
        let found = holm.run(start.iter().chain(&["busybox", "sh", "-c", &script])).ok();
        assert!(found.starts_with("virtio_rng.") && found.lines().count() == 2, "{found}");
    }
}

/// What would be the same in twins, one in each line.
const WHO_AM_I: &str = "cat /proc/sys/kernel/random/boot_id /proc/sys/kernel/random/uuid
    head -c 16 /dev/urandom | md5sum
    grep stack /proc/self/maps | cut -d' ' -f1
    hostname
    date +%s";

/// A key of ssh's.
const KEY: &str = "ssh-keygen -q -t ed25519 -N '' -f /tmp/key && cut -d' ' -f2 /tmp/key.pub";

/// The timestamp and the sequence number with which a TCP connection begins. Both count time, in milliseconds and in 64 ns, from
/// where a secret of the kernel's and the addresses put them.
const TCP: &str = r#"use Socket;
    my ($here, $there) = map { pack_sockaddr_in($_, INADDR_LOOPBACK) } 7778, 7777;
    socket(S, PF_INET, SOCK_STREAM, 0) && bind(S, $there) && listen(S, 1) or die $!;
    socket(C, PF_INET, SOCK_STREAM, 0) && bind(C, $here) && connect(C, $there) or die $!;
    my $option = sub { unpack("L", getsockopt(C, 6, $_[0])) };
    print $option->(24), " "; # TCP_TIMESTAMP
    setsockopt(C, 6, 19, 1) && setsockopt(C, 6, 20, 2) or die $!; # TCP_REPAIR: the queue to be sent
    print $option->(21), "\n"; # TCP_QUEUE_SEQ"#;

/// Fails when guests have the same secrets of TCP: their connections began as far apart as the guests got there.
fn assert_no_tcp_twins(seen: &[[u32; 2]]) {
    let is_near = |one: u32, other: u32, units_per_s: u32| {
        let apart = one.wrapping_sub(other);
        apart.min(apart.wrapping_neg()) < units_per_s * 5
    };
    for (index, one) in seen.iter().enumerate() {
        let twins = |other: &&[u32; 2]| {
            is_near(one[0], other[0], 1_000) && is_near(one[1], other[1], 1_000_000_000 / 64)
        };
        assert_eq!(seen[..index].iter().find(twins), None, "{seen:?}");
    }
}

fn numbers(line: &str) -> [u32; 2] {
    let numbers: Vec<u32> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[test]
fn no_two_guests_of_a_template_have_the_secrets_of_tcp() {
    let holm = Holm::with(TestImage::Debian);
    let begun = || numbers(&holm.run(["--cap-add=NET_ADMIN", "debian", "perl", "-e", TCP]).ok());
    let seen: Vec<_> = std::iter::repeat_with(begun).take(4).collect();
    assert_no_tcp_twins(&seen);
}

/// Fails when the time in a guest is another than here, or it says anything that one before it has said.
fn assert_no_twin(said: &str, lines: usize, seen: &mut HashSet<String>) {
    let mut words: Vec<_> = said.lines().collect();
    let guests_s: u64 = words.pop().unwrap().parse().unwrap();
    let host_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(host_s.abs_diff(guests_s) < 30, "{guests_s} s, host: {host_s} s");
    assert_eq!(words.len(), lines, "{said}");
    for word in words {
        assert!(seen.insert(word.to_owned()), "a guest repeats {word}");
    }
}

#[test]
fn no_two_guests_of_a_template_are_twins() {
    let holm = Holm::with(TestImage::Busybox);
    let mut seen = HashSet::new();
    for _ in 0..6 {
        let said = holm.run(["busybox", "sh", "-c", WHO_AM_I]).ok();
        assert_no_twin(&said, 5, &mut seen);
    }
}

/// `make clones`.
#[test]
#[ignore = "takes ten minutes"]
fn two_hundred_guests_of_a_template_have_nothing_in_common() {
    const LANES: usize = 2;
    const GUESTS: usize = 200;
    let holm = Holm::with(TestImage::Debian);
    let (seen, begun) = (Mutex::new(HashSet::new()), Mutex::new(Vec::new()));
    let guest = || {
        let script = format!("perl -e '{TCP}'; {KEY}; {WHO_AM_I}");
        let said = holm.run(["--cap-add=NET_ADMIN", "debian", "sh", "-c", &script]).ok();
        let (tcp, said) = said.split_once('\n').unwrap();
        begun.lock().unwrap().push(numbers(tcp));
        said.to_owned()
    };
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                for _ in 0..GUESTS / LANES {
                    assert_no_twin(&guest(), 6, &mut seen.lock().unwrap());
                }
            });
        }
    });
    let begun = begun.into_inner().unwrap();
    assert_eq!(begun.len(), GUESTS);
    assert_no_tcp_twins(&begun);
}

/// What a kernel derives from the size of its memory.
const SIZED: &str = "awk '/MemTotal/ { print $2 }' /proc/meminfo; cd /proc/sys
    cat kernel/threads-max fs/file-max user/max_pid_namespaces fs/inotify/max_user_watches
    sed 's/.*\\[//; s/\\].*//' /sys/kernel/mm/transparent_hugepage/enabled";

#[test]
fn one_template_serves_vms_of_many_sizes() {
    let holm = Holm::with(TestImage::Busybox).with_own_templates();
    let numbers = |options: &[&str]| {
        let out = holm.run([options, &["--network", "none", "busybox", "sh", "-c", SIZED]].concat()).ok();
        let (numbers, huge_pages) = out.rsplit_once('\n').unwrap();
        let numbers = numbers.split_whitespace().map(|word| word.parse().unwrap()).collect::<Vec<u64>>();
        assert_eq!(numbers.len(), 5, "{out}");
        (numbers, huge_pages.to_owned())
    };
    // The first boots, and grows as those do that go on from the template.
    for size in ["--vm-memory=1g", "--vm-memory=1g", "--vm-memory=4g"] {
        let (cold, grown) = (numbers(&["--cold", size]), numbers(&[size]));
        assert_eq!(cold.1, grown.1);
        for (cold, grown) in cold.0.iter().zip(&grown.0) {
            assert!(cold.abs_diff(*grown) * 10 < *cold, "{size}: {cold} and {grown}");
        }
    }
    only_template(&holm);
    // Of 128 MiB the template has too few.
    let fill = "dd if=/dev/zero of=/dev/shm/x bs=1M count=200 && stat -c %s /dev/shm/x";
    let run = ["--memory=250m", "--shm-size=220m", "--network=none", "busybox", "sh", "-c", fill];
    for _ in 0..2 {
        assert_eq!(holm.run(run).ok(), (200 << 20).to_string());
    }
}
