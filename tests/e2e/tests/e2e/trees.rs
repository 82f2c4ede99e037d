//! The tree that a container sees is the one that crun shows for the same image: every name, owner, mode, time, link,
//! device, xattr and byte.

use std::fs;
use std::path::Path;
use std::process::Command;

use holm_e2e::{Holm, Outcome, TestImage};
use serde_json::{Value, json};

fn tool(program: &str, arguments: &[&str]) -> Outcome {
    Command::new(program).args(arguments).output().expect(program).into()
}

/// A listing of the tree, with a checksum of what is in each regular file: nobody tries to deceive it, and an emulated host
/// takes its time for better ones. Of files with several names (without line breaks), which names are
/// the same file, and the content once: the busybox image is 269 names of one file.
///
/// What engines put in by themselves is left out: their mount points, the files they mount, and the times of the
/// directories that those are in; and what depends on the file system: size and link count of directories. (The root's mode
/// is left out, too: podman makes it 0555 whatever the image says.)
///
/// A file that is left out is the script's argument.
const LISTING: &str = r#"cd / && leave_out=$1 && names() {
        find . -xdev \( -path ./dev -o -path ./proc -o -path ./sys -o -path ./run -o -path ./etc/hosts \
            -o -path ./etc/hostname -o -path ./etc/resolv.conf -o -path ./etc/mtab -o -path $leave_out \) \
            -prune -o "$@" -print0 | LC_ALL=C sort -z
    }
    stat -c '%n %f %u:%g' etc
    names -type d ! -path . ! -path ./etc | xargs -0 stat -c '%N %f %u:%g %y'
    names ! -type d | xargs -0 stat -c '%N %f %u:%g %h %s %t:%T %y'
    names -type f -links 1 | xargs -0 md5sum
    links() { names -type f -links +1 | xargs -0 stat -c '%i %n'; }
    links | awk '{ file = $1; sub(/^[0-9]+ /, ""); if (!first[file]) first[file] = $0; print $0, "is", first[file] }'
    links | awk '!seen[$1]++ { sub(/^[0-9]+ /, ""); print }' | tr '\n' '\0' | xargs -0 md5sum"#;

/// Times before 1970 are the engines' own matter: tar keeps them.
const LEFT_OUT: &str = "./odd/before-1970";

/// The extended attributes of the tree, behind [`LISTING`], for images that have perl: 194 and 192 are llistxattr and
/// lgetxattr.
const XATTRS: &str = r#"
    find . -xdev -print0 | LC_ALL=C sort -z | perl -0ne '
    chomp; my $names = "\0" x 65536; my $n = syscall(194, $_, $names, 65536); next if $n <= 0;
    for my $name (split /\0/, substr($names, 0, $n)) {
        my $value = "\0" x 65536; my $size = syscall(192, $_, "$name\0", $value, 65536);
        printf "%s %s %s\n", $_, $name, unpack("H*", substr($value, 0, $size));
    }'"#;

/// What a script prints about a tree under crun, of an image that podman has.
fn under_podman(image: &str, script: &str) -> String {
    let crun = ["run", "--runtime", "crun", "--rm", "--network", "none"];
    tool("podman", &[&crun[..], &[image, "sh", "-c", script, "sh", LEFT_OUT]].concat()).ok()
}

/// The same of an OCI layout whose layers hide nothing of each other, unpacked by tar: podman takes an emulated host three
/// minutes for an image of Debian.
fn under_crun(layout: &Path, script: &str) -> String {
    let bundle = tempfile::tempdir_in("/var/tmp").unwrap();
    let (rootfs, config) = (bundle.path().join("rootfs"), bundle.path().join("config.json"));
    fs::create_dir(&rootfs).unwrap();
    let blob = |descriptor: &Value| {
        layout.join("blobs").join(descriptor["digest"].as_str().unwrap().replace(':', "/"))
    };
    let manifest = json(&blob(&json(&layout.join("index.json"))["manifests"][0]));
    for layer in manifest["layers"].as_array().unwrap() {
        let (rootfs, layer) = (rootfs.to_str().unwrap(), blob(layer));
        let exact = ["--numeric-owner", "--same-permissions", "--xattrs", "--xattrs-include=*"];
        let what = ["--directory", rootfs, "--extract", "--file", layer.to_str().unwrap()];
        tool("tar", &[&exact[..], &what].concat()).ok();
    }
    let bundle = bundle.path().to_str().unwrap();
    tool("crun", &["spec", "--bundle", bundle]).ok();
    let mut spec = json(&config);
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = json!(["sh", "-c", script, "sh", LEFT_OUT]);
    for set in ["bounding", "effective", "permitted"] {
        spec["process"]["capabilities"][set] = json!(["CAP_DAC_OVERRIDE"]);
    }
    fs::write(&config, spec.to_string()).unwrap();
    let name = format!("tree-{}", std::process::id());
    tool("crun", &["--cgroup-manager", "disabled", "run", "--bundle", bundle, &name]).ok()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Compares what a script prints about a tree under Holm with what it printed under crun, so many lines at least.
#[track_caller]
fn compare(holm: &Holm, image: &str, script: &str, theirs: &str, lines: usize) {
    let ours = holm.run([image, "sh", "-c", script, "sh", LEFT_OUT]).ok();
    assert!(theirs.lines().count() >= lines, "only {} lines", theirs.lines().count());
    for (theirs, ours) in theirs.lines().zip(ours.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
}

/// Debian's tree, and a layer of unusual files above it.
#[test]
fn m01_debian_and_unusual_files_look_as_under_crun() {
    let holm = Holm::with(TestImage::Debian);
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let layout = directory.path().to_str().unwrap();
    odd_image(TestImage::Debian, layout, 64);
    holm.holm(["load", "-i", layout]).outcome().ok();
    let script = [LISTING, XATTRS].concat();
    let theirs = under_crun(directory.path(), &script);
    compare(&holm, "localhost/odd", &script, &theirs, 6052);
    let time = holm.run(["localhost/odd", "stat", "-c", "%Y", "/odd/before-1970"]).ok();
    assert_eq!(time, "0", "as podman and Docker have it");
    holm.holm(["rmi", "-f", "localhost/odd"]).outcome().ok();
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
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["RootFS"]["Layers"].as_array().map(Vec::len), Some(13), "{json}");
    let theirs = under_podman("localhost/layers", LISTING);
    compare(&holm, "localhost/layers", LISTING, &theirs, 500);
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
fn m01_a_sparse_file_of_8_gib_arrives() {
    let holm = Holm::empty();
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let layout = directory.path().to_str().unwrap();
    odd_image(TestImage::Busybox, layout, 8 << 10);
    holm.holm(["load", "-i", layout]).outcome().ok();
    let script = "stat -c %s /odd/sparse; tail -c 1 /odd/sparse";
    assert_eq!(holm.run(["localhost/odd", "sh", "-c", script]).ok(), format!("{}\n!", 8_u64 << 30));
}
