//! Shares answer as the host's own file systems do (M34): the same program on both, and the same output.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use holm_e2e::{Holm, Outcome, TestImage, until};
use tempfile::TempDir;

const POSIX_TABLE: &str = include_str!("posix_table.py");
const RANDOM_TREE: &str = include_str!("random_tree.py");
const WATCHER: &str = include_str!("watcher.py");

/// A directory of the host with a program in it.
fn host(program: &str) -> TempDir {
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["guest", "host"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    fs::write(directory.path().join("program"), program).unwrap();
    directory
}

/// Runs it on a share and on the host; what both print.
#[track_caller]
fn on_both(program: &str, arguments: &[&str]) -> String {
    let (holm, directory) = (Holm::with(TestImage::Databases), host(program));
    let at = |name: &str| directory.path().join(name).display().to_string();
    let mounts = [format!("{}:/share", at("guest")), format!("{}:/program:ro", at("program"))];
    let words = ["-v", &mounts[0], "-v", &mounts[1], "databases", "python3", "/program", "/share"];
    let guest = holm.run(words.iter().chain(arguments)).ok();
    let mut python = Command::new("python3");
    python.args([at("program"), at("host")]).args(arguments);
    let native = Outcome::from(python.output().unwrap()).ok();
    let differ: Vec<_> =
        guest.lines().zip(native.lines()).filter(|(guest, native)| guest != native).collect();
    assert!(guest == native, "on the share, and on the host: {differ:#?}");
    guest
}

#[test]
fn m34_a_share_answers_as_the_hosts_file_system() {
    let table = on_both(POSIX_TABLE, &[]);
    assert!(table.lines().count() > 180, "{table}");
    assert!(table.contains("gets a name: (b'unnam', '-rw----r-- 0 0 1 5', b'v')"), "O_TMPFILE: {table}");
}

#[test]
fn m34_random_operations_leave_the_same_tree() {
    let seed = std::process::id().to_string();
    let tree = on_both(RANDOM_TREE, &[&seed, "700"]);
    assert!(tree.lines().count() > 700, "seed {seed}: {tree}");
}

#[test]
fn m34_locks_hold_between_containers_and_the_host() {
    let (holm, directory) = (Holm::with(TestImage::Databases), host(""));
    let path = directory.path().join("guest/lock");
    let mount = format!("{}:/share", directory.path().join("guest").display());
    let start = |script: &str| {
        let name = holm.name();
        let words = ["run", "-d", "--name", &name, "-v", &mount, "databases", "python3", "-u", "-c", script];
        holm.holm(words).outcome().ok();
        name
    };
    let says = |name: &str, words: &str| {
        until(words, || holm.holm(["logs", name]).outcome().out().lines().any(|line| line == words));
    };
    let prelude = "import fcntl, os, signal, time\nfile = os.open('/share/lock', os.O_CREAT | os.O_RDWR)\n";
    let holder = start(&format!(
        "{prelude}fcntl.flock(file, fcntl.LOCK_EX); fcntl.lockf(file, fcntl.LOCK_EX, 10, 5); print('has it'); time.sleep(1000)"
    ));
    says(&holder, "has it");
    let native = |how: &str| {
        let mut python = Command::new("python3");
        python
            .args(["-c", &format!("import fcntl, os; f = os.open('{}', os.O_RDWR); {how}", path.display())]);
        python.output().unwrap().status.success()
    };
    assert!(!native("fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)"));
    assert!(!native("fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"));
    assert!(native("fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 0)"), "beside it");
    // Another container waits, hears signals meanwhile, and has it when the first VM is gone.
    let waiter = start(&format!(
        "{prelude}signal.signal(signal.SIGALRM, lambda *_: print('interrupted'))\nsignal.setitimer(signal.ITIMER_REAL, 0.5)
print('waits'); fcntl.flock(file, fcntl.LOCK_EX); print('has the file'); fcntl.lockf(file, fcntl.LOCK_EX); print('has all'); time.sleep(1000)"
    ));
    says(&waiter, "waits");
    says(&waiter, "interrupted");
    let stuck = start(&format!("{prelude}print('waits'); fcntl.lockf(file, fcntl.LOCK_SH)"));
    says(&stuck, "waits");
    holm.holm(["kill", &stuck]).outcome().ok();
    assert_eq!(holm.holm(["wait", &stuck]).outcome().ok(), "137", "who waits can be killed");
    assert!(!holm.holm(["logs", &waiter]).outcome().out().contains("has"));
    let pid = holm.holm(["inspect", "-f", "{{.State.Pid}}", &holder]).outcome().ok();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    says(&waiter, "has all");
    assert!(!native("fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)"));
    holm.holm(["rm", "-f", &waiter]).outcome().ok();
    assert!(native("fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"));
}

/// By a VMM that is not given many descriptors, of which each inode that a guest knows takes one. (With 50,000 files it takes two minutes
/// in the lab, most of them to make and remove those on the host.)
#[test]
fn m34_a_tree_larger_than_the_limit_of_open_files() {
    const LOOK: &str = "
import os
os.chdir('/data')
print(sum(len(os.listdir(name)) for name in os.listdir('.')))
for name in ['10', '11']:
    os.chdir('/data/' + name)
    print({os.stat(file).st_size for file in os.listdir('.')})
for number in range(5500, 5600):
    os.unlink(str(number))
";
    let (holm, directory) = (Holm::with(TestImage::Databases), tempfile::tempdir_in("/var/tmp").unwrap());
    for number in 0..10_000 {
        let place = directory.path().join(format!("{:02}", number / 500));
        if number % 500 == 0 {
            fs::create_dir(&place).unwrap();
        }
        fs::write(place.join(number.to_string()), "small").unwrap();
    }
    let mount = format!("{}:/data", directory.path().display());
    let run = holm.holm(["run", "--rm", "-v", &mount, "databases", "python3", "-c", LOOK]).command();
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=1024:1024").arg(run.get_program()).args(run.get_args());
    limited.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let outcome = Outcome::from(limited.output().unwrap());
    assert_eq!(outcome.ok(), "10000\n{5}\n{5}");
    assert_eq!(fs::read_dir(directory.path().join("11")).unwrap().count(), 400);
}

/// What the host does shows as what the container does itself, which shows once.
#[test]
fn m34_changes_on_the_host_reach_inotify() {
    let (holm, directory) = (Holm::with(TestImage::Databases), host(WATCHER));
    let at = |name: &str| directory.path().join(name);
    fs::write(at("host/file"), "first").unwrap();
    fs::write(at("guest/file"), "first").unwrap();
    let mount = |name: &str, rest: &str| format!("{}:{rest}", at(name).display());
    let mounts =
        [mount("guest", "/data"), mount("program", "/program:ro"), mount("host/file", "/etc/single:ro")];
    let name = holm.name();
    let volumes = ["-v", &mounts[0], "-v", &mounts[1], "-v", &mounts[2], "-v", "/volume"];
    let program = ["databases", "python3", "/program", "/data", "/data/file", "/etc/single", "/volume"];
    holm.holm(["run", "-d", "--name", &name].iter().chain(&volumes).chain(&program)).outcome().ok();
    let lines = || holm.holm(["logs", &name]).outcome().out().lines().map(str::to_owned).collect::<Vec<_>>();
    let shows = |line: &str| until(line, || lines().iter().any(|shown| shown.trim_end() == line));
    shows("watching 4");
    fs::write(at("guest/new"), "text").unwrap();
    fs::rename(at("guest/new"), at("guest/newer")).unwrap();
    fs::remove_file(at("guest/newer")).unwrap();
    shows("/data DELETE newer");
    holm.holm(["exec", &name, "sh", "-c", "echo text >/data/inside"]).outcome().ok();
    fs::write(at("host/new"), "second").unwrap();
    fs::rename(at("host/new"), at("host/file")).unwrap();
    shows("/etc/single CLOSE_WRITE");
    fs::remove_file(at("guest/file")).unwrap();
    shows("/data DELETE file");
    // In a volume, while nothing of the VM runs.
    let place = "{{range .Mounts}}{{if eq .Destination \"/volume\"}}{{.Source}}{{end}}{{end}}";
    let volume = holm.holm(["inspect", "-f", place, &name]).outcome().ok();
    holm.holm(["pause", &name]).outcome().ok();
    fs::create_dir(Path::new(&volume).join("directory")).unwrap();
    holm.holm(["unpause", &name]).outcome().ok();
    shows("/volume CREATE directory");
    let expected = [
        "/data CREATE new",
        "/data MODIFY new",
        "/data CLOSE_WRITE new",
        "/data MOVED_FROM new",
        "/data MOVED_TO newer",
        "/data DELETE newer",
        "/data CREATE inside",
        "/data MODIFY inside",
        "/data CLOSE_WRITE inside",
        "/etc/single MODIFY",
        "/etc/single CLOSE_WRITE",
        "/data/file ATTRIB",
        "/data/file DELETE_SELF",
        "/data/file 0x8000",
        "/data DELETE file",
        "/volume CREATE directory",
    ];
    let shown: Vec<_> = lines()[1..].iter().map(|line| line.trim_end().to_owned()).collect();
    assert_eq!(shown, expected);
}
