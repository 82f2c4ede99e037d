//! What there is of the host that a crash could leave behind: the kinds of leaks that threats.md lists.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A process that has to do with a root.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its words.
    pub words: String,
    /// Whether it stands still.
    pub is_stopped: bool,
}

/// Processes of which the environment, the words or an open file name `root`: all of Holm's, whoever started them.
#[must_use]
pub fn processes_of(root: &Path) -> Vec<Process> {
    let needle = root.as_os_str().as_encoded_bytes();
    let has = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let path = entry.path();
        let files = || fs::read_dir(path.join("fd")).into_iter().flatten().flatten();
        let words = fs::read(path.join("cmdline")).unwrap_or_default();
        let is_one = pid != i32::try_from(std::process::id()).unwrap_or(0)
            && (has(&words)
                || fs::read(path.join("environ")).is_ok_and(|environment| has(&environment))
                || files().any(|file| fs::read_link(file.path()).is_ok_and(|file| file.starts_with(root))));
        let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        // One that is dead and not reaped is its parent's to take away.
        if is_one && state.is_some_and(|state| state != 'Z' && state != 'X') {
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            found.push(Process { pid, words, is_stopped: state == Some('T') });
        }
    }
    found
}

/// The rest of the host, by kind of what can leak; each thing once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host(BTreeMap<&'static str, Vec<String>>);

impl Host {
    /// As it is now.
    #[must_use]
    pub fn now() -> Self {
        let mut kinds = BTreeMap::new();
        let mut kind = |name, mut things: Vec<String>| {
            things.sort();
            kinds.insert(name, things);
        };
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        kind("mounts", mounts.lines().map(str::to_owned).collect());
        // Taps, bridges, and what has an address.
        kind("interfaces", names("/sys/class/net"));
        kind("network namespaces", names("/run/netns"));
        kind("tables of rules", said("nft", &["list", "tables"]));
        kind("block devices", attached());
        let mut cgroups = Vec::new();
        groups(Path::new("/sys/fs/cgroup"), 0, &mut cgroups);
        kind("cgroups", cgroups);
        kind("shims' sockets", names("/run/containerd/s"));
        kind(
            "users",
            fs::read_to_string("/etc/passwd").unwrap_or_default().lines().map(str::to_owned).collect(),
        );
        let is_ours =
            |process: &String| ["holm", "containerd-shim"].iter().any(|name| process.starts_with(name));
        kind("programs", programs().into_iter().filter(is_ours).collect());
        let threads = fs::read_to_string("/proc/locks").unwrap_or_default();
        kind("locks", threads.lines().filter(|line| line.contains("FLOCK")).map(place_of_lock).collect());
        Self(kinds)
    }

    /// What is here and was not in `before`, as lines.
    #[must_use]
    pub fn beyond(&self, before: &Self) -> Vec<String> {
        let mut more = Vec::new();
        for (kind, things) in &self.0 {
            let mut known = before.0.get(kind).cloned().unwrap_or_default();
            for thing in things {
                match known.iter().position(|other| other == thing) {
                    Some(at) => drop(known.swap_remove(at)),
                    None => more.push(format!("{kind}: {thing}")),
                }
            }
        }
        more
    }
}

fn names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn said(program: &str, words: &[&str]) -> Vec<String> {
    let output = Command::new(program).args(words).output();
    let out = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    out.lines().map(str::to_owned).collect()
}

/// Loop devices that have a file, and devices of the device mapper.
fn attached() -> Vec<String> {
    let has_file = |name: &String| Path::new("/sys/block").join(name).join("loop/backing_file").exists();
    names("/sys/block").into_iter().filter(|name| name.starts_with("dm-") || has_file(name)).collect()
}

/// Those that somebody made for containers; services come and go.
fn groups(directory: &Path, depth: u32, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && depth < 3 {
            let name = entry.path().display().to_string();
            if !name.ends_with(".service") && !name.ends_with(".scope") && !name.contains("/user.slice") {
                found.push(name);
            }
            groups(&entry.path(), depth + 1, found);
        }
    }
}

fn programs() -> Vec<String> {
    let pids = names("/proc").into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    pids.filter_map(|pid| Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned()))
        .collect()
}

/// The device and the inode.
fn place_of_lock(line: &str) -> String {
    line.split_whitespace().nth(5).unwrap_or_default().to_owned()
}
