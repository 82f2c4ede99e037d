//! Files of a container from outside: what it changed, all of them, and copies in both directions.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

use holm_e2e::{Holm, Outcome, TestImage};

fn tool(program: &str, arguments: &[&str]) -> Outcome {
    Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}")).into()
}

/// A container that runs until it is killed, after this script.
fn running(holm: &Holm, script: &str) -> String {
    let name = holm.background(&[], &format!("{script}; touch /ready; sleep 1000"));
    let ready = "while ! [ -e /ready ]; do sleep 0.1; done; rm /ready";
    holm.holm(["exec", &name, "sh", "-c", ready]).outcome().ok();
    name
}

const CHANGES: &str = "mkdir -p /new/sub && echo hello >/new/sub/file && rm /etc/passwd && chmod 711 /home && echo x >>/etc/group";
const DIFF: &str = "C /etc\nC /etc/group\nD /etc/passwd\nC /home\nA /new\nA /new/sub\nA /new/sub/file";

#[test]
fn m12_diff_lists_what_changed_running_and_stopped() {
    let holm = Holm::with(TestImage::Busybox);
    let untouched = running(&holm, "true");
    assert_eq!(holm.holm(["diff", &untouched]).outcome().ok(), "");
    let name = running(&holm, CHANGES);
    assert_eq!(holm.holm(["diff", &name]).outcome().ok(), DIFF);
    holm.holm(["kill", &name]).outcome().ok();
    assert_eq!(holm.holm(["diff", &name]).outcome().ok(), DIFF);
    let state = holm.holm(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", &name]).outcome().ok();
    assert_eq!(state, "exited 137", "the VM that looked left the state alone");
    holm.holm(["start", &name]).outcome().ok();
}

#[test]
fn m12_export_gives_the_merged_tree() {
    let holm = Holm::with(TestImage::Busybox);
    let name = running(&holm, CHANGES);
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let tar = directory.path().join("out.tar");
    let tar = tar.to_str().unwrap();
    let listed = |arguments: &[&str]| {
        holm.holm(arguments).outcome().ok();
        tool("tar", &["-tf", tar]).ok()
    };
    let here = listed(&["export", "-o", tar, &name]);
    let has = |path: &str| here.lines().any(|line| line == path);
    assert!(has("new/sub/file") && has("bin/busybox") && has("etc/group"), "{here}");
    assert!(!has("etc/passwd") && !here.lines().any(|line| line.starts_with("proc/s")), "{here}");
    assert_eq!(tool("tar", &["-xOf", tar, "new/sub/file"]).ok(), "hello");
    holm.holm(["kill", &name]).outcome().ok();
    assert_eq!(listed(&["export", "-o", tar, &name]).lines().count(), here.lines().count());
}

#[test]
fn m12_ps_shows_sizes() {
    let holm = Holm::with(TestImage::Busybox);
    let name = running(&holm, "printf 12345 >/five");
    let size = || {
        let filter = format!("name={name}");
        holm.holm(["ps", "-a", "-s", "--filter", &filter, "--format", "{{.Size}}"]).outcome().ok()
    };
    let running = size();
    assert!(running.starts_with("5B (virtual ") && running.ends_with("B)"), "{running}");
    holm.holm(["kill", &name]).outcome().ok();
    assert_eq!(size(), running);
}

#[test]
fn m12_ps_shows_each_of_many_its_own_size() {
    let holm = Holm::empty();
    holm.holm(["load", "-q", "-i"]).arg(TestImage::Busybox.archive()).outcome().ok();
    // More than are looked at at once.
    for bytes in 1..=6 {
        let script = format!("printf %{bytes}s x >/own");
        holm.holm(["run", "--name", &format!("own{bytes}"), "busybox", "sh", "-c", &script]).outcome().ok();
    }
    let sizes = holm.holm(["ps", "-a", "-s", "--format", "{{.Names}} {{.Size}}"]).outcome().ok();
    assert_eq!(sizes.lines().count(), 6, "{sizes}");
    for (line, bytes) in sizes.lines().zip((1..=6).rev()) {
        assert!(line.starts_with(&format!("own{bytes} {bytes}B (virtual ")), "{sizes}");
    }
}

/// What is to survive a copy.
const SOURCE: &str =
    "mkdir -p /src/dir && echo x >/src/file && ln /src/file /src/hard && ln -s /etc/passwd /src/link &&
    truncate -s 64M /src/sparse && echo end >>/src/sparse && mkfifo /src/pipe && chown 1234:4321 /src/file &&
    chmod 4640 /src/file && chmod 2710 /src/dir && touch -d '2001-02-03 04:05:06' /src/file /src/dir";

/// Type, mode, owner, links, size and time of all in the directory that is its argument.
const LISTING: &str =
    "cd $1 && find . ! -path . | sort | xargs stat -c '%n %N %f %u:%g %h %Y' | sed 's/ 1[78][0-9]*$//' &&
    stat -c %s sparse && du -k sparse";

#[test]
fn m12_cp_keeps_owner_mode_times_links_and_holes() {
    let holm = Holm::with(TestImage::Busybox);
    let name = running(&holm, SOURCE);
    let list = |directory: &str| {
        let command = ["exec", &name, "sh", "-c", LISTING, "sh", directory];
        holm.holm(command).outcome().ok()
    };
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let out = directory.path().to_str().unwrap();
    holm.holm(["cp", "-a", &format!("{name}:/src"), out]).outcome().ok();
    let file = fs::metadata(directory.path().join("src/file")).unwrap();
    assert_eq!((file.mode() & 0o7777, file.uid(), file.gid(), file.nlink()), (0o4640, 1234, 4321, 2));
    assert!(fs::metadata(directory.path().join("src/sparse")).unwrap().blocks() < 100);
    holm.holm(["cp", &format!("{out}/src"), &format!("{name}:/back")]).outcome().ok();
    let source = list("/src");
    assert_eq!(list("/back"), source);
    // Without -a nothing that gives rights arrives; a stopped container gives the same.
    holm.holm(["kill", &name]).outcome().ok();
    holm.holm(["cp", &format!("{name}:/back/file"), &format!("{out}/mine")]).outcome().ok();
    let mine = fs::metadata(directory.path().join("mine")).unwrap();
    assert_eq!((mine.mode() & 0o7777, mine.uid(), mine.mtime()), (0o640, 0, file.mtime()));
    holm.holm(["cp", &format!("{out}/src/."), &format!("{name}:/again/")]).outcome().ok();
    holm.holm(["start", &name]).outcome().ok();
    // Its script, which changes /src, has run again.
    assert_eq!(list("/again"), source);
}

#[test]
fn m12_cp_takes_and_gives_tars() {
    let holm = Holm::with(TestImage::Busybox);
    let name = running(&holm, "mkdir /in /d && echo one >/d/one && ln -s /d /link");
    let tar = holm.holm(["cp", &format!("{name}:/d"), "-"]).outcome();
    tar.ok();
    let into = format!("{name}:/in");
    holm.holm(["cp", "-", &into]).outcome_with_input(&tar.stdout).ok();
    assert_eq!(holm.holm(["exec", &name, "cat", "/in/d/one"]).outcome().ok(), "one");
    let linked = holm.holm(["cp", "-L", &format!("{name}:/link"), "-"]).outcome();
    holm.holm(["cp", "-", &into]).outcome_with_input(&linked.stdout).ok();
    assert_eq!(holm.holm(["exec", &name, "cat", "/in/link/one"]).outcome().ok(), "one");
    holm.holm(["cp", "-", &format!("{name}:/d/one")]).outcome().fails(125, "must be a directory");
    holm.holm(["cp", &format!("{name}:/nope"), "/var/tmp"])
        .outcome()
        .fails(125, "Could not find the file /nope");
    holm.holm(["cp", "-", &into])
        .outcome_with_input(b"no tar at all".repeat(99).as_slice())
        .fails(125, "no tar header");
}

#[test]
fn cp_follows_no_link_of_a_container_out_of_it() {
    let holm = Holm::with(TestImage::Busybox);
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let host = directory.path().to_str().unwrap();
    fs::write(directory.path().join("secret"), "the host's").unwrap();
    let script = format!(
        "ln -s / /root-link; ln -s ../../../..{host} /out; mkdir -p /trap/evil /swap/d; echo bad >/trap/evil/file;
         (while :; do mv /swap/d /swap/x; ln -s {host} /swap/d; rm /swap/d; mv /swap/x /swap/d; done) &"
    );
    let name = running(&holm, &format!("{script} true"));
    let copy = |from: &str, to: &str| holm.holm(["cp", from, to]).outcome();
    copy(&format!("{name}:/out/secret"), host).fails(125, "Could not find");
    copy(&format!("{host}/secret"), &format!("{name}:/out/new")).fails(125, "Could not find");
    assert!(!directory.path().join("new").exists());
    let group = copy(&format!("{name}:/root-link/etc/group"), "-").ok();
    assert!(group.contains("root:x:0"), "the container's own: {group}");
    // A link of the user's, under a name that the container chose.
    let inner = directory.path().join("dest");
    fs::create_dir(&inner).unwrap();
    symlink(host, inner.join("evil")).unwrap();
    let into = inner.to_str().unwrap();
    copy(&format!("{name}:/trap/."), into).fails(125, "cannot overwrite non-directory");
    assert!(!directory.path().join("file").exists());
    for _ in 0..3 {
        // Whether it was there at that moment or not.
        copy(&format!("{host}/secret"), &format!("{name}:/swap/d/secret"));
        copy(&format!("{name}:/swap/d"), into);
    }
    let left: Vec<_> = fs::read_dir(host).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn m11_what_was_deleted_stays_hidden_in_a_commit() {
    let holm = Holm::with(TestImage::Busybox);
    let script = "rm /etc/passwd && rm -r /var && mkdir /var && touch /var/new";
    let name = running(&holm, script);
    let image = holm.holm(["commit", &name]).outcome().ok();
    let look = "ls /etc; ls -A /var";
    let seen = |image: &str| holm.run([image, "sh", "-c", look]).ok();
    assert!(seen("busybox").contains("passwd"));
    let committed = seen(&image);
    assert!(!committed.contains("passwd") && committed.ends_with("new"), "{committed}");
    // Once more, from the stopped container.
    holm.holm(["kill", &name]).outcome().ok();
    let again = holm.holm(["commit", &name]).outcome().ok();
    assert_eq!(seen(&again), committed);
    for image in [&image, &again] {
        holm.holm(["rmi", image]).outcome().ok();
    }
}

#[test]
fn m13_commit_makes_one_layer_of_exactly_the_changes() {
    let holm = Holm::with(TestImage::Busybox);
    let base = || {
        let json =
            holm.holm(["inspect", "--format", "{{json .RootFS.Layers}} {{.Id}}", "busybox"]).outcome().ok();
        let (layers, id) = json.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        (serde_json::from_str::<Vec<String>>(&layers).unwrap(), id)
    };
    let before = base();
    let name = holm.background(&["-e", "KEPT=1", "-w", "/srv"], "echo made >/srv/file; sleep 1000");
    holm.holm(["exec", &name, "sh", "-c", "while ! [ -s /srv/file ]; do sleep 0.1; done"]).outcome().ok();
    let tag = format!("localhost/{name}:v1");
    let arguments =
        ["commit", "-a", "A. Uthor", "-m", "a message", "-c", "CMD [\"cat\", \"file\"]", "-c", "ENV NEW=2"];
    let id = holm.holm(arguments).args([&name, &tag]).outcome().ok();
    assert!(id.starts_with("sha256:"), "{id}");
    let state = holm.holm(["inspect", "-f", "{{.State.Status}}", &name]).outcome().ok();
    assert_eq!(state, "running", "it goes on");
    assert_eq!(holm.run([&tag]).ok(), "made");
    let env = holm.run([&tag, "sh", "-c", "echo $KEPT $NEW; pwd"]).ok();
    assert_eq!(env, "1 2\n/srv");
    let json = holm.holm(["inspect", &tag]).outcome().ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let layers = json[0]["RootFS"]["Layers"].as_array().unwrap();
    assert_eq!(layers.len(), before.0.len() + 1);
    assert!(layers.iter().zip(&before.0).all(|(new, old)| new == old.as_str()), "{json}");
    assert_eq!(json[0]["Author"], "A. Uthor", "{json}");
    assert_eq!(base(), before, "M05: the image is what it was");
    holm.holm(["rmi", &tag]).outcome().ok();
}
