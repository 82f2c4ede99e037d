//! Data: volumes, directories and files of the host, and memory (M33 to M36).

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use holm_e2e::{Holm, TestImage};
use tempfile::TempDir;

/// A directory of the host, seen by everybody.
fn host() -> TempDir {
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// `PATH/NAME:DESTINATION`.
fn at(directory: &TempDir, name: &str, rest: &str) -> String {
    format!("{}:{rest}", directory.path().join(name).display())
}

fn busybox() -> Holm {
    Holm::with(TestImage::Busybox)
}

/// A container that waits, once its script is done.
fn running(holm: &Holm, options: &[&str], script: &str) -> String {
    let name = holm.background(options, &format!("{script}; touch /ready; sleep 1000"));
    sh(holm, &name, "while ! [ -e /ready ]; do sleep 0.1; done");
    name
}

fn sh(holm: &Holm, name: &str, script: &str) -> String {
    holm.holm(["exec", name, "sh", "-c", script]).outcome().ok()
}

fn read(directory: &TempDir, name: &str) -> String {
    fs::read_to_string(directory.path().join(name)).unwrap()
}

fn unique(prefix: &str) -> String {
    format!("{prefix}-{}-{}", std::process::id(), fs::read_to_string("/proc/uptime").unwrap().len())
}

/// A volume that goes at the end.
struct Volume<'a>(&'a Holm, String);

impl<'a> Volume<'a> {
    fn new(holm: &'a Holm, prefix: &str) -> Self {
        Self(holm, unique(prefix))
    }

    fn on(&self, rest: &str) -> String {
        format!("{}:{rest}", self.1)
    }
}

impl Drop for Volume<'_> {
    fn drop(&mut self) {
        let _ = self.0.holm(["volume", "rm", "-f", &self.1]).outcome();
    }
}

#[test]
fn m33_a_volume_outlives_its_containers() {
    let (holm, script) = (busybox(), "echo kept >/data/file && sync");
    let volume = Volume::new(&holm, "outlives");
    holm.run(["-v", &volume.on("/data"), "busybox", "sh", "-c", script]).ok();
    assert_eq!(holm.run(["-v", &volume.on("/other:ro"), "busybox", "cat", "/other/file"]).ok(), "kept");
    let listed = holm.holm(["volume", "ls", "-q", "-f", &format!("name={}", volume.1)]).outcome().ok();
    assert_eq!(listed, volume.1);
    let data = holm.holm(["volume", "inspect", "-f", "{{.Mountpoint}}", &volume.1]).outcome().ok();
    assert_eq!(fs::read_to_string(Path::new(&data).join("file")).unwrap(), "kept\n");
}

#[test]
fn m33_a_volume_in_use_cannot_be_removed() {
    let holm = busybox();
    let volume = Volume::new(&holm, "used");
    let name = holm.name();
    holm.holm(["create", "--name", &name, "-v", &volume.on("/data"), "busybox"]).outcome().ok();
    let refused = holm.holm(["volume", "rm", &volume.1]).outcome();
    refused.fails(1, &format!("volume is in use - [{name}]"));
    let filter = format!("volume={}", volume.1);
    assert_eq!(holm.holm(["ps", "-a", "--format", "{{.Names}}", "-f", &filter]).outcome().ok(), name);
    holm.holm(["rm", "-v", &name]).outcome().ok();
    holm.holm(["volume", "rm", &volume.1]).outcome().ok();
    holm.holm(["volume", "inspect", &volume.1]).outcome();
    holm.holm(["volume", "rm", &volume.1]).outcome().fails(1, "no such volume");
}

#[test]
fn m33_a_new_volume_is_filled_from_the_images_directory() {
    let holm = busybox();
    let (volume, empty) = (Volume::new(&holm, "filled"), Volume::new(&holm, "nocopy"));
    let list = "ls -ld /etc | cut -c1-10; cat /etc/passwd | head -1";
    let there = holm.run(["busybox", "sh", "-c", list]).ok();
    assert_eq!(holm.run(["-v", &volume.on("/etc"), "busybox", "sh", "-c", list]).ok(), there);
    holm.run(["-v", &volume.on("/x"), "busybox", "sh", "-c", "rm /x/passwd; echo new >/x/group"]).ok();
    let again = holm.run(["-v", &volume.on("/etc"), "busybox", "sh", "-c", "ls /etc/passwd; cat /etc/group"]);
    assert_eq!(again.out(), "new", "it is filled once");
    assert_eq!(
        holm.run(["-v", &empty.on("/etc:nocopy"), "busybox", "ls", "/etc"]).ok(),
        "hostname\nhosts\nresolv.conf"
    );
}

#[test]
fn m33_anonymous_volumes_go_with_their_container() {
    let holm = busybox();
    let name = holm.name();
    let volume_of = || {
        let format = "{{range .Mounts}}{{.Name}}{{end}}";
        holm.holm(["inspect", "-f", format, &name]).outcome().ok()
    };
    let exists = |volume: &str| holm.holm(["volume", "inspect", volume]).outcome().code == 0;
    holm.holm(["create", "--name", &name, "-v", "/data", "busybox"]).outcome().ok();
    let volume = volume_of();
    assert!(volume.len() == 64 && exists(&volume), "{volume}");
    let from = holm.run(["--volumes-from", &name, "busybox", "sh", "-c", "echo x >/data/x; ls /data"]);
    assert_eq!(from.ok(), "x");
    assert!(exists(&volume), "another container has it");
    holm.holm(["rm", "-v", &name]).outcome().ok();
    assert!(!exists(&volume));
}

#[test]
fn m34_what_one_side_writes_the_other_sees_at_once() {
    let (holm, directory) = (busybox(), host());
    let name = running(&holm, &["-v", &at(&directory, "", "/data")], "echo guest >/data/file");
    assert_eq!(read(&directory, "file"), "guest\n");
    for round in 0..3 {
        fs::write(directory.path().join("file"), format!("host {round}")).unwrap();
        assert_eq!(sh(&holm, &name, "cat /data/file"), format!("host {round}"));
        sh(&holm, &name, &format!("echo guest {round} >/data/file"));
        assert_eq!(read(&directory, "file"), format!("guest {round}\n"));
    }
    fs::remove_file(directory.path().join("file")).unwrap();
    assert_eq!(sh(&holm, &name, "ls /data"), "");
}

#[test]
fn m34_files_belong_to_whom_they_belong_in_the_container() {
    let (holm, directory) = (busybox(), host());
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let script = "umask 027; echo x >/data/file; mkdir /data/dir; chmod 4755 /data/file; ln -s a /data/link";
    let mount = at(&directory, "", "/data");
    holm.run(["-u", "1234:5678", "-v", &mount, "busybox", "sh", "-c", script]).ok();
    let status = |name: &str| fs::symlink_metadata(directory.path().join(name)).unwrap();
    for name in ["file", "dir", "link"] {
        assert_eq!((status(name).uid(), status(name).gid()), (1234, 5678), "{name}");
    }
    assert_eq!((status("file").mode() & 0o7777, status("dir").mode() & 0o7777), (0o4755, 0o750));
    let script = "chown 7:8 /data/file; stat -c '%u %g' /data/file /data/dir";
    let seen = holm.run(["-v", &mount, "busybox", "sh", "-c", script]).ok();
    assert_eq!((seen.as_str(), status("file").uid()), ("7 8\n1234 5678", 7));
}

#[test]
fn m34_read_only_holds_against_the_guests_root() {
    let (holm, directory) = (busybox(), host());
    fs::write(directory.path().join("file"), "host").unwrap();
    let script = "mount -o remount,rw /data; mount -o remount,rw,bind /data; \
                  echo guest >/data/file; echo x >/data/new; rm -f /data/file; chmod 777 /data/file; echo end";
    let mount = at(&directory, "", "/data:ro");
    let outcome = holm.run(["--privileged", "-v", &mount, "busybox", "sh", "-c", script]);
    assert_eq!(outcome.ok(), "end");
    assert!(outcome.err().contains("Read-only file system"), "{}", outcome.err());
    assert_eq!(
        (read(&directory, "file").as_str(), fs::read_dir(directory.path()).unwrap().count()),
        ("host", 1)
    );
}

#[test]
fn m34_a_single_file_follows_its_name_and_nothing_else_is_there() {
    let (holm, directory) = (busybox(), host());
    fs::write(directory.path().join("file"), "first\n").unwrap();
    fs::write(directory.path().join("secret"), "secret").unwrap();
    let name = running(&holm, &["-v", &at(&directory, "file", "/etc/conf")], "cat /etc/conf");
    fs::write(directory.path().join("new"), "second\n").unwrap();
    fs::rename(directory.path().join("new"), directory.path().join("file")).unwrap();
    assert_eq!(sh(&holm, &name, "cat /etc/conf"), "second");
    sh(&holm, &name, "echo third >>/etc/conf; ls /etc/secret 2>/dev/null || true");
    assert_eq!(read(&directory, "file"), "second\nthird\n");
    assert_eq!(holm.holm(["exec", &name, "rm", "/etc/conf"]).outcome().code, 1);
}

#[test]
fn m34_links_in_a_share_lead_through_the_container() {
    let (holm, directory) = (busybox(), host());
    symlink("/", directory.path().join("root")).unwrap();
    symlink("../../../../etc/hostname", directory.path().join("up")).unwrap();
    let script = "cat /data/root/etc/hostname /data/up; ls /data/root/data/root/bin/busybox";
    let mount = at(&directory, "", "/data");
    let seen = holm.run(["-h", "inside", "-v", &mount, "busybox", "sh", "-c", script]).ok();
    assert_eq!(seen, "inside\ninside\n/data/root/data/root/bin/busybox");
}

#[test]
fn m34_special_files_of_the_host_are_not_opened() {
    let (holm, directory) = (busybox(), host());
    let made = |arguments: &[&str], name: &str| {
        let path = directory.path().join(name);
        assert!(Command::new("mknod").arg(&path).args(arguments).status().unwrap().success());
    };
    made(&["p"], "fifo");
    made(&["c", "1", "5"], "zero");
    let script =
        "timeout 5 sh -c 'echo x <>/data/fifo >&0'; echo $?; head -c 1 /data/zero; mknod /data/disk b 8 0";
    let outcome = holm.run(["-v", &at(&directory, "", "/data"), "busybox", "sh", "-c", script]);
    assert!(outcome.out().starts_with('0'), "the guest's own FIFO: {outcome:?}");
    assert!(!directory.path().join("disk").exists());
}

/// The VMM has left the host's mounts by then.
#[test]
fn m34_what_is_mounted_below_a_directory_comes_with_it() {
    let (holm, directory) = (busybox(), host());
    let below = directory.path().join("below");
    fs::create_dir(&below).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        assert!(Command::new(program).args(arguments).arg(&below).status().unwrap().success());
    };
    run("mount", &["-t", "tmpfs", "none"]);
    fs::write(below.join("file"), "on another file system").unwrap();
    let script = "cat /data/below/file; echo new > /data/below/new";
    let outcome = holm.run(["-v", &at(&directory, "", "/data"), "busybox", "sh", "-c", script]);
    let written = fs::read_to_string(below.join("new"));
    run("umount", &[]);
    assert_eq!(outcome.ok(), "on another file system");
    assert_eq!(written.unwrap(), "new\n");
}

#[test]
fn m34_both_forms_and_their_refusals() {
    let (holm, directory) = (busybox(), host());
    let path = directory.path().display();
    let mount = format!("type=bind,source={path},target=/data,readonly");
    assert_eq!(holm.run(["--mount", &mount, "busybox", "sh", "-c", "touch /data/x || echo ro"]).out(), "ro");
    holm.run(["-v", &format!("{path}/made/here:/data"), "busybox", "true"]).ok();
    assert!(directory.path().join("made/here").is_dir());
    let missing = format!("type=bind,source={path}/gone,target=/data");
    holm.run(["--mount", &missing, "busybox", "true"]).fails(125, "bind source path does not exist");
    let twice = ["-v", "/var/tmp:/data", "-v", "/var:/data", "busybox", "true"];
    holm.run(twice).fails(125, "duplicate mount point: /data");
    for wrong in ["/srv:data", "a/b:/data", "/srv:/data:bogus", "/srv:/", "a:b:c:d"] {
        assert_eq!(holm.run(["-v", wrong, "busybox", "true"]).code, 125, "{wrong}");
    }
    let nested = ["-v", &format!("{path}:/a"), "--tmpfs", "/a/made", "busybox", "sh", "-c", "ls /a/made"];
    assert_eq!(holm.run(nested).ok(), "");
}

#[test]
fn m34_a_socket_of_the_host_is_reachable() {
    let (holm, directory) = (Holm::with(TestImage::Debian), host());
    let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
    let server = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut client, _) = listener.accept().unwrap();
            let mut heard = String::new();
            client.read_to_string(&mut heard).unwrap();
            client.write_all(format!("host heard {heard}").as_bytes()).unwrap();
        }
    });
    let client = "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0) or die; connect(S, pack_sockaddr_un(\"/run/host\")) or die $!; \
                  syswrite(S, \"guest\"); shutdown(S, 1); print <S>, \"\\n\"";
    let script = format!("perl -e '{client}'; perl -e '{client}'");
    let mount = at(&directory, "socket", "/run/host");
    let seen = holm.run(["-v", &mount, "debian", "sh", "-c", &script]).ok();
    assert_eq!(seen, "host heard guest\nhost heard guest");
    server.join().unwrap();
}

#[test]
fn m34_maps_attributes_and_unnamed_files() {
    let (holm, directory) = (Holm::with(TestImage::Debian), host());
    fs::write(directory.path().join("map"), "hello").unwrap();
    let script = "perl -e 'use Fcntl; sysopen(F, \"/data/lock\", O_RDWR|O_CREAT) or die; \
                  my $lock = pack(\"s s l! l! i\", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $lock) or die; print \"locked\\n\"' && \
                  cp /bin/true /data/true && /data/true && echo mapped && \
                  ln /data/map /data/hard && stat -c %h /data/map && \
                  truncate -s 1M /data/sparse && stat -c %s /data/sparse && mkfifo /data/pipe && mv /data/map /data/moved";
    let mount = at(&directory, "", "/data");
    let seen = holm.run(["-v", &mount, "debian", "bash", "-c", script]).ok();
    assert_eq!(seen, "locked\nmapped\n2\n1048576");
    assert_eq!(read(&directory, "moved"), "hello");
}

#[test]
fn m34_a_tree_of_small_files() {
    let (holm, directory) = (busybox(), host());
    // Directories that are listed by one answer of the host, and one that takes several.
    let script = "cd /data && for d in $(seq 20); do mkdir d$d; for f in $(seq 10); do echo $d.$f >d$d/$f; done; done; \
                  for f in $(seq 11 300); do echo 20.$f >d20/$f; done; find . -type f | wc -l; rm -r d1; sync";
    let seen = holm.run(["-v", &at(&directory, "", "/data"), "busybox", "sh", "-c", script]).ok();
    assert_eq!(seen, "490");
    assert_eq!(read(&directory, "d20/300"), "20.300\n");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 19);
}

#[test]
fn m35_what_was_synced_is_on_the_host_when_the_vm_is_killed() {
    let holm = busybox();
    let volume = Volume::new(&holm, "fsync");
    let name = running(
        &holm,
        &["-v", &volume.on("/data")],
        "dd if=/dev/zero of=/data/file bs=64k count=16 conv=fsync 2>/dev/null",
    );
    let data = holm.holm(["volume", "inspect", "-f", "{{.Mountpoint}}", &volume.1]).outcome().ok();
    let pid = holm.holm(["inspect", "-f", "{{.State.Pid}}", &name]).outcome().ok();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    assert_eq!(fs::metadata(Path::new(&data).join("file")).unwrap().len(), 1 << 20);
    holm.holm(["wait", &name]).outcome().ok();
    holm.holm(["rm", "-f", &name]).outcome().ok();
    assert_eq!(
        holm.run(["-v", &volume.on("/data"), "busybox", "stat", "-c", "%s", "/data/file"]).ok(),
        "1048576"
    );
}

#[test]
fn m35_volumes_are_no_part_of_the_layer() {
    let (holm, directory) = (busybox(), host());
    let mount = at(&directory, "", "/mnt/data");
    let name = running(&holm, &["-v", &mount], "dd if=/dev/zero of=/mnt/data/big bs=1M count=4 2>/dev/null");
    assert_eq!(holm.holm(["diff", &name]).outcome().ok(), "A /ready");
    let copied = directory.path().join("copy");
    holm.holm(["cp", &format!("{name}:/mnt/data/big"), copied.to_str().unwrap()]).outcome().ok();
    assert_eq!(fs::metadata(&copied).unwrap().len(), 4 << 20, "cp sees what is mounted");
    holm.holm(["cp", copied.to_str().unwrap(), &format!("{name}:/mnt/data/back")]).outcome().ok();
    assert!(directory.path().join("back").exists());
    let exported = directory.path().join("tar");
    holm.holm(["export", "-o", exported.to_str().unwrap(), &name]).outcome().ok();
    assert!(fs::metadata(&exported).unwrap().len() < 4 << 20, "export does not");
}

#[test]
fn m36_a_tmpfs_is_memory_and_gone_at_the_stop() {
    let holm = busybox();
    let name = holm.name();
    let mount = "type=tmpfs,target=/fast,tmpfs-size=1m,tmpfs-mode=1770";
    let script = "ls /fast; stat -c %a /fast; echo x >/fast/file; dd if=/dev/zero of=/fast/big bs=2M count=1 2>/dev/null || echo full";
    holm.holm(["create", "--name", &name, "--mount", mount, "busybox", "sh", "-c", script]).outcome().ok();
    for _ in 0..2 {
        assert_eq!(holm.holm(["start", "-a", &name]).outcome().ok(), "1770\nfull");
    }
}
