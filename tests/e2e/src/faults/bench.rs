//! A root of its own for one fault, and the programs that work on it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use holm_faults::Director;

use super::disk::Disk;
use super::host::processes_of;
use crate::containerd::Containerd;
use crate::image::TestImage;
use crate::outcome::Outcome;

/// A command that takes longer hangs. Emulated hosts are slow.
const PATIENCE: Duration = Duration::from_secs(90);
/// As a shell says that SIGKILL ended it.
const KILLED: i32 = 128 + 9;
static NEXT_OUTPUT: AtomicU32 = AtomicU32::new(0);
const PAUSE: Duration = Duration::from_millis(5);

/// What all benches of a test have in common.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The `holm` to run.
    pub program: PathBuf,
    /// An image to load, and its name.
    pub archive: PathBuf,
    /// See `archive`.
    pub image: String,
    /// An image of a registry, if there is one to pull from.
    pub remote: Option<String>,
    /// Templates that benches share, if VMs are to start from them.
    pub templates: Option<PathBuf>,
    /// A daemon that has tasks run over the shim.
    pub containerd: Option<Arc<Containerd>>,
    /// The directory that says what happens, where a program that lives longer than a bench knows it.
    pub faults: Option<PathBuf>,
}

impl Installation {
    /// What the end-to-end tests have, with the `holm` that is first in PATH.
    #[must_use]
    pub fn of_host() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program =
            std::env::split_paths(&path).map(|place| place.join("holm")).find(|place| place.exists());
        Self {
            program: program.unwrap_or_else(|| "holm".into()),
            archive: TestImage::Busybox.archive(),
            image: "busybox".to_owned(),
            remote: None,
            templates: Some("/var/lib/holm-tests/templates".into()),
            containerd: None,
            faults: None,
        }
    }
}

/// Directories that are gone with the value, the state of a `holm` in them, and what is armed.
#[derive(Debug)]
pub struct Bench {
    /// What it works with.
    pub installation: Installation,
    /// Says what happens to programs that are run while [`Bench::faulty`].
    pub director: Director,
    /// Whether faults reach what is run from now on.
    pub faulty: bool,
    /// Whether commands of a scenario that meets no fault must succeed: otherwise it is the scenario that is wrong.
    pub strict: bool,
    /// Whose power is cut where a process is held.
    disk: Option<Disk>,
    state: PathBuf,
    directory: tempfile::TempDir,
}

impl Bench {
    /// With state in a directory of its own.
    ///
    /// # Panics
    /// When a directory cannot be made.
    #[must_use]
    pub fn new(installation: &Installation) -> Self {
        // Short: socket paths are limited to 107 bytes.
        let directory = tempfile::Builder::new().prefix("f").tempdir_in("/var/tmp").expect("directory");
        let state = directory.path().join("s");
        fs::create_dir(&state).expect("directory");
        let faults = installation.faults.clone().unwrap_or_else(|| directory.path().join("faults"));
        fs::create_dir_all(&faults).expect("directory");
        let director = Director::in_directory(&faults).expect("director");
        fs::write(directory.path().join("config.toml"), "").expect("configuration");
        Self {
            installation: installation.clone(),
            director,
            faulty: false,
            strict: false,
            disk: None,
            state,
            directory,
        }
    }

    /// With state on a disk of its own.
    ///
    /// # Panics
    /// When there can be none.
    #[must_use]
    pub fn with_disk(mut self) -> Self {
        let disk = Disk::new(self.directory.path());
        self.state = disk.place().join("s");
        fs::create_dir(&self.state).expect("directory");
        self.disk = Some(disk);
        self
    }

    /// What was prepared is on the disk.
    pub fn sync(&self) {
        if let Some(disk) = &self.disk {
            disk.sync();
        }
    }

    /// The power is cut and comes back.
    ///
    /// # Panics
    /// When the disk cannot be used any more.
    pub fn restart_host(&self) {
        let Some(disk) = &self.disk else { return };
        disk.cut();
        self.kill_all();
        disk.mount_again();
        // What was there is in memory only.
        if self.run().exists() {
            fs::remove_dir_all(self.run()).expect("volatile state");
        }
    }

    /// Kills what works on this state.
    pub fn kill_all(&self) {
        for process in processes_of(&self.root()) {
            if let Some(pid) = rustix::process::Pid::from_raw(process.pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }

    /// The durable state.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.state.join("root")
    }

    /// The volatile state.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// A file beside both.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `holm` with these words.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.installation.program);
        command.args(words).stdin(Stdio::null());
        command.env("HOLM_ROOT", self.root()).env("HOLM_RUN", self.run());
        let templates = self.installation.templates.clone();
        command.env("HOLM_TEMPLATES", templates.unwrap_or_else(|| self.directory.path().join("templates")));
        command.env("HOLM_CONFIG", self.file("config.toml"));
        if self.faulty {
            command.env(holm_faults::VARIABLE, self.director.directory());
        }
        command
    }

    /// Runs it to its end, whatever that is.
    ///
    /// # Panics
    /// When it hangs.
    #[track_caller]
    pub fn try_(&self, words: &[&str]) -> Outcome {
        let mut command = self.command(words);
        let number = NEXT_OUTPUT.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (self.file(&format!("stdout-{number}")), self.file(&format!("stderr-{number}")));
        // Files: whoever inherited a pipe and lives on would keep this waiting.
        command.stdout(File::create(&out).expect("file")).stderr(File::create(&err).expect("file"));
        let mut child = command.process_group(0).spawn().expect("start holm");
        let code = self.wait(&mut child).unwrap_or_else(|| panic!("{words:?} hangs"));
        let bytes = |path: &Path| {
            let mut bytes = Vec::new();
            File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("output");
            fs::remove_file(path).expect("output");
            bytes
        };
        let outcome = Outcome { code, stdout: bytes(&out), stderr: bytes(&err) };
        let is_right = !self.strict || outcome.code == 0;
        assert!(is_right, "{words:?}: {}{}", outcome.out(), outcome.err());
        assert!(!outcome.err().contains("panicked"), "{words:?}: {}", outcome.err());
        outcome
    }

    /// Its exit code; none if it does not end.
    fn wait(&self, child: &mut Child) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("wait") {
                return status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            }
            let is_held = self.disk.as_ref().filter(|_| self.faulty && self.is_held());
            if let Some(disk) = is_held {
                // Before anybody dies: what the kernel does for the dead is not written either.
                disk.cut();
                self.kill_all();
            }
            if is_held.is_some() || begun.elapsed() > PATIENCE {
                child.kill().and_then(|()| child.wait()).expect("kill");
                return is_held.map(|_| KILLED);
            }
            sleep(PAUSE);
        }
    }

    /// Whether a process stands still at its point.
    fn is_held(&self) -> bool {
        processes_of(&self.root()).iter().any(|process| process.is_stopped)
    }

    /// Runs it; it must succeed.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn ok(&self, words: &[&str]) -> String {
        let outcome = self.try_(words);
        assert_eq!(outcome.code, 0, "{words:?}: {}{}", outcome.out(), outcome.err());
        outcome.out()
    }

    /// The lines that a command prints.
    #[track_caller]
    pub fn lines(&self, words: &[&str]) -> Vec<String> {
        self.ok(words).lines().map(str::to_owned).collect()
    }

    /// Loads the image.
    #[track_caller]
    pub fn load(&self) {
        self.ok(&["load", "-q", "-i", &self.installation.archive.display().to_string()]);
    }

    /// Removes whatever there is, by the commands for it.
    ///
    /// # Panics
    /// When one fails.
    #[track_caller]
    pub fn clear(&self) {
        self.clear_but(&[]);
    }

    /// The same, but for images of these names.
    ///
    /// # Panics
    /// When one fails.
    #[track_caller]
    pub fn clear_but(&self, kept: &[&str]) {
        for container in self.lines(&["ps", "-aq", "--no-trunc"]) {
            self.ok(&["rm", "-f", "-v", &container]);
        }
        for volume in self.lines(&["volume", "ls", "-q"]) {
            self.ok(&["volume", "rm", &volume]);
        }
        let listed = || self.lines(&["images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"]);
        for line in listed() {
            let (image, name) = line.split_once(' ').unwrap_or_default();
            if kept.contains(&name) {
                continue;
            }
            // One with several names is listed as often.
            if listed().iter().any(|line| line.starts_with(image)) {
                self.ok(&["rmi", "-f", image]);
            }
        }
        if self.run().join("networks").exists() {
            self.ok(&["network", "prune", "-f"]);
        }
    }

    /// Every file of the state, with digits of ids made equal.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        for top in [self.root(), self.run()] {
            list(&top, &top, &mut files);
        }
        files.sort();
        files
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A test that went well has left nobody.
        if std::thread::panicking() {
            self.kill_all();
        }
    }
}

/// Of ids, nobody knows the digits before.
fn without_ids(name: &str) -> String {
    let (mut out, mut digits) = (String::new(), String::new());
    for character in name.chars().chain(['/']) {
        if character.is_ascii_hexdigit() {
            digits.push(character);
            continue;
        }
        out.push_str(if digits.len() >= 8 { "ID" } else { &digits });
        digits.clear();
        out.push(character);
    }
    out.trim_end_matches('/').to_owned()
}

fn list(top: &Path, directory: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.strip_prefix(top).unwrap_or(&path).display().to_string();
        files.push(without_ids(&name));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(top, &path, files);
        }
    }
}
