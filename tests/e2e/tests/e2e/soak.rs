//! `make soak`: random lives of random containers, a tenth of whose commands end in a SIGKILL of somebody, and the host compared before
//! and after. The same seed has every lane choose the same; when a process is hit is the host's doing.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use holm_e2e::faults::{Bench, Host, Installation, processes_of};
use holm_e2e::until;
use rustix::process::{Pid, Signal, kill_process};

/// At a time; a VM's start keeps one processor busy.
const LANES: u64 = 2;
/// One command in so many is disturbed.
const KILL_ONE_IN: u64 = 10;
/// Emulated hosts are slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// Marsaglia's xorshift, with one number more for each lane.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_of<'a>(&mut self, things: &[&'a str]) -> &'a str {
        things[usize::try_from(self.below(things.len() as u64)).unwrap()]
    }
}

/// One of those that live at the same time.
struct Lane<'a> {
    bench: &'a Bench,
    random: Random,
    number: u64,
    counts: &'a Mutex<BTreeMap<String, u64>>,
}

impl Lane<'_> {
    fn count(&self, what: &str) {
        *self.counts.lock().unwrap().entry(what.to_owned()).or_default() += 1;
    }

    /// A command, which may fail and must end; somebody may be killed meanwhile.
    fn command(&mut self, words: &[&str]) {
        self.count(&format!("holm {}", words[0]));
        let mut command = self.bench.command(words);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if self.random.below(KILL_ONE_IN) == 0 {
            thread::sleep(Duration::from_millis(self.random.below(1500)));
            self.kill_somebody(&mut child);
        }
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "{words:?} hangs");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The command itself, or a supervisor or VMM of any container.
    fn kill_somebody(&mut self, child: &mut Child) {
        if self.random.below(3) == 0 {
            self.count("killed a command line");
            return drop(child.kill());
        }
        let others: Vec<_> = processes_of(&self.bench.root())
            .into_iter()
            .filter(|process| process.words.contains("supervise") || process.words.contains("holm-vmm"))
            .collect();
        if others.is_empty() {
            return;
        }
        let victim = &others[usize::try_from(self.random.below(others.len() as u64)).unwrap()];
        let is_vmm = victim.words.contains("holm-vmm");
        self.count(if is_vmm { "killed a VMM" } else { "killed a supervisor" });
        if let Some(pid) = Pid::from_raw(victim.pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    fn live(&mut self, life: u64) {
        let name = format!("l{}-{life}", self.number);
        let network = self.random.one_of(&["none", "none", "none", "bridge"]);
        let volume = format!("v{name}");
        let mount = format!("{volume}:/data");
        let script = self.random.one_of(&[
            "exit 3",
            "echo x >/data/x; sync",
            "while :; do sleep 0.1; done",
            "exec sleep 1000",
        ]);
        let mut options = vec!["run", "--name", &name, "--network", network, "-v", &mount];
        let ends = !script.contains("sleep");
        options.push(if ends { self.random.one_of(&["--rm", "-d"]) } else { "-d" });
        self.command(&[&options[..], &["busybox", "sh", "-c", script]].concat());
        let (image, renamed) = (format!("i{name}"), format!("{name}r"));
        for _ in 0..self.random.below(4) {
            match self.random.below(8) {
                0 => self.command(&["exec", &name, "true"]),
                1 => {
                    self.command(&["pause", &name]);
                    self.command(&["unpause", &name]);
                }
                2 => self.command(&["restart", "-t", "0", &name]),
                3 => self.command(&["kill", &name]),
                4 => self.command(&["stop", "-t", "0", &name]),
                5 => self.command(&["commit", &name, &image]),
                6 => self.command(&["start", &name]),
                _ => self.command(&["rename", &name, &renamed]),
            }
        }
        self.command(&["rm", "-f", "-v", &name]);
        self.command(&["rmi", "-f", &image]);
        self.command(&["volume", "rm", &volume]);
        // What outlived that would pile up: VMs take memory.
        for name in [&name, &renamed] {
            self.bench.try_(&["rm", "-f", "-v", name]);
        }
        self.count("lives");
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

#[test]
#[ignore = "takes as long as it is told to"]
fn random_lives_leave_the_host_as_it_was() {
    let (lives, seconds) = (number("HOLM_SOAK_LIVES", 2000), number("HOLM_SOAK_SECONDS", u64::MAX));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = number("HOLM_SOAK_SEED", now);
    println!("seed {seed}, {lives} lives, {LANES} at a time");
    let before = Host::now();
    let bench = Bench::new(&Installation::of_host());
    bench.load();
    // What the first container of a root makes stays for the others.
    bench.ok(&["run", "--rm", "busybox", "true"]);
    bench.ok(&["run", "--name", "first", "-v", "first:/data", "busybox", "true"]);
    bench.ok(&["rm", "first"]);
    bench.ok(&["volume", "rm", "first"]);
    bench.ok(&["network", "prune", "-f"]);
    bench.ok(&["system", "check", "--repair"]);
    let files = bench.files();
    let (counts, next, begun) = (Mutex::default(), AtomicU64::new(0), Instant::now());
    thread::scope(|scope| {
        for number in 0..LANES {
            let (bench, counts, next) = (&bench, &counts, &next);
            scope.spawn(move || {
                let random = Random((seed ^ (number + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
                let mut lane = Lane { bench, random, number, counts };
                while begun.elapsed().as_secs() < seconds {
                    let life = next.fetch_add(1, Ordering::Relaxed);
                    if life >= lives {
                        break;
                    }
                    lane.live(life);
                }
            });
        }
    });
    for (what, count) in counts.lock().unwrap().iter() {
        println!("{count:>8} {what}");
    }
    println!("{:>8} s", begun.elapsed().as_secs());
    bench.ok(&["system", "check", "--repair"]);
    assert_eq!(bench.ok(&["system", "check", "--full"]), "Everything is sound.");
    bench.clear_but(&["busybox:latest"]);
    let left: Vec<String> = bench.files().into_iter().filter(|file| !files.contains(file)).collect();
    assert!(left.is_empty(), "files are left: {left:?}");
    bench.clear();
    until("no process is left", || processes_of(&bench.root()).is_empty());
    drop(bench);
    until("the host is as it was", || Host::now().beyond(&before).is_empty());
}
