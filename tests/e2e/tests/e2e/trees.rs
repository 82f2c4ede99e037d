//! The tree that a container sees is the one that crun shows for the same image: every name, owner, mode, time, link,
//! device, xattr and byte.

use std::fs;
use std::process::Command;

use holm_e2e::{Holm, Outcome, TestImage};

fn tool(program: &str, arguments: &[&str]) -> Outcome {
    Command::new(program).args(arguments).output().expect(program).into()
}

/// A listing of the tree that is its argument, with a hash of each regular file.
/// What engines put in by themselves is left out: their mount points, the files they mount, and the times of the
/// directories that those are in; and what depends on the file system: size and link count of directories. (The root's mode
/// is left out, too: podman makes it 0555 whatever the image says.)
const LISTING: &str = r#"cd / && tree=$1 && names() {
        find $tree -xdev \( -path ./dev -o -path ./proc -o -path ./sys -o -path ./run -o -path ./etc/hosts \
            -o -path ./etc/hostname -o -path ./etc/resolv.conf -o -path ./etc/mtab \) -prune -o "$@" -print0 |
            LC_ALL=C sort -z
    }
    stat -c '%n %f %u:%g' etc
    names -type d ! -path . ! -path ./etc | xargs -0 stat -c '%N %f %u:%g %y'
    names ! -type d | xargs -0 stat -c '%N %f %u:%g %h %s %t:%T %y'
    names -type f | xargs -0 sha256sum"#;

/// The extended attributes of the tree that is its argument, for images that have perl: 194 and 192 are llistxattr and lgetxattr.
const XATTRS: &str = r#"cd / && find $1 -xdev -print0 | LC_ALL=C sort -z | perl -0ne '
    chomp; my $names = "\0" x 65536; my $n = syscall(194, $_, $names, 65536); next if $n <= 0;
    for my $name (split /\0/, substr($names, 0, $n)) {
        my $value = "\0" x 65536; my $size = syscall(192, $_, "$name\0", $value, 65536);
        printf "%s %s %s\n", $_, $name, unpack("H*", substr($value, 0, $size));
    }'"#;

/// Compares what a script prints about a tree of an image under Holm and under crun; the image is in both stores, and the
/// script prints so many lines at least.
#[track_caller]
fn compare(holm: &Holm, image: &str, script: &str, tree: &str, lines: usize) {
    let command = [image, "sh", "-c", script, "sh", tree];
    let crun = ["run", "--runtime", "crun", "--rm", "--network", "none"];
    let theirs = tool("podman", &[&crun[..], &command].concat()).ok();
    let ours = holm.run(command).ok();
    assert!(theirs.lines().count() >= lines, "only {} lines", theirs.lines().count());
    for (theirs, ours) in theirs.lines().zip(ours.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
}

#[test]
fn m01_the_debian_tree_is_the_one_that_crun_shows() {
    let holm = Holm::with(TestImage::Debian);
    tool("podman", &["load", "-q", "-i", TestImage::Debian.archive().to_str().unwrap()]).ok();
    compare(&holm, "debian", LISTING, ".", 6000);
}

/// Each line is a layer. (No layer changes one of two hard links: overlayfs then goes on to count the name that it hides.)
const LAYERS: &str = "
    RUN mkdir -p /a/b /gone && echo one >/a/b/one && echo file >/gone/file && ln /a/b/one /a/hard && ln -s b/one /a/soft
    RUN rm -r /gone
    RUN mkdir /gone && echo other >/gone/other
    RUN rm /a/b/one
    RUN mkfifo -m 622 /a/fifo && touch '/a/a name with blanks' && mkdir -m 1777 /a/sticky
    RUN rm -r /a/b && mkdir /a/b && echo two >/a/b/two
    RUN echo more >>/a/hard && ln /a/hard /a/b/again
    RUN chown 1000:100 /a/hard /a/b/again && chmod 6755 /a/hard
    RUN mv /gone /moved
    RUN truncate -s 3M /a/sparse && echo end >>/a/sparse
    RUN touch -d '2001-02-03 04:05:06' /a/b/two && rm /a/soft && mkdir /a/soft
    RUN rm -rf '/a/a name with blanks' /moved/other && touch /moved/.wh-looks-like-one
";

#[test]
fn m01_twelve_layers_with_whiteouts_look_as_under_crun() {
    let holm = Holm::with(TestImage::Busybox);
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let archive = TestImage::Busybox.archive();
    fs::write(
        directory.path().join("Containerfile"),
        format!("FROM oci-archive:{}\n{LAYERS}", archive.display()),
    )
    .unwrap();
    let context = directory.path().to_str().unwrap();
    let isolation = ["build", "-q", "--isolation", "chroot", "--network", "host", "--layers"];
    tool("buildah", &[&isolation[..], &["-t", "localhost/layers", context]].concat()).ok();
    let saved = format!("{context}/layers.tar");
    tool(
        "buildah",
        &["push", "-q", "localhost/layers", &format!("oci-archive:{saved}:localhost/layers:latest")],
    )
    .ok();
    holm.holm(["load", "-i", &saved]).outcome().ok();
    let json = holm.holm(["inspect", "localhost/layers"]).outcome().ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["RootFS"]["Layers"].as_array().map(Vec::len), Some(13), "{json}");
    compare(&holm, "localhost/layers", LISTING, ".", 500);
    // By force: a run of this test that was cut off may have left a container.
    holm.holm(["rmi", "-f", "localhost/layers"]).outcome().ok();
}

/// Makes an image with unusual files, among them a sparse one of so many MiB, in `directory`, which is empty.
fn odd_image(base: TestImage, directory: &str, sparse_mib: u64) {
    let size = (sparse_mib << 20).to_string();
    tool(
        "python3",
        &["-c", include_str!("odd_image.py"), base.archive().to_str().unwrap(), directory, &size],
    )
    .ok();
}

#[test]
fn m01_unusual_files_look_as_under_crun() {
    let holm = Holm::empty();
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let layout = directory.path().to_str().unwrap();
    odd_image(TestImage::Debian, layout, 64);
    tool("skopeo", &["copy", "-q", &format!("oci:{layout}"), "containers-storage:localhost/odd:latest"]).ok();
    holm.holm(["load", "-i", layout]).outcome().ok();
    compare(&holm, "localhost/odd", LISTING, "./odd", 50);
    compare(&holm, "localhost/odd", XATTRS, "./odd", 2);
}

#[test]
fn m01_a_sparse_file_of_8_gib_arrives() {
    let holm = Holm::empty();
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let layout = directory.path().to_str().unwrap();
    odd_image(TestImage::Busybox, layout, 8 << 10);
    holm.holm(["load", "-i", layout]).outcome().ok();
    let script = "stat -c %s /odd/sparse; tail -c 1 /odd/sparse";
    assert_eq!(holm.run(["localhost/odd", "sh", "-c", script]).ok(), format!("{}\n!", 8_u64 << 30));
}
