//! podman over `holm-runtime`, or over runc for comparison.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::image::TestImage;
use crate::outcome::Outcome;
use crate::until::until;

/// The store that all tests share, on the disk; its mounts, and what podman keeps of running containers, which no reboot survives.
const ROOT: &str = "/var/lib/holm-tests/podman";
const RUN_ROOT: &str = "/run/holm-tests-podman/storage";
const TMP: &str = "/run/holm-tests-podman/tmp";

/// The image of [`TestImage::Busybox`] as podman calls it.
const IMAGE: &str = "busybox";

static NEXT_NAME: AtomicU32 = AtomicU32::new(0);

/// podman, with containers that are removed when this is dropped.
#[derive(Debug)]
pub struct Podman {
    runtime: String,
    names: Mutex<Vec<String>>,
    pods: Mutex<Vec<String>>,
}

impl Podman {
    /// Over Holm.
    ///
    /// # Panics
    /// When the image cannot be loaded.
    #[track_caller]
    #[must_use]
    pub fn over_holm() -> Self {
        let found = Command::new("sh").args(["-c", "command -v holm-runtime"]).output().expect("start sh");
        Self::over(&Outcome::from(found).ok())
    }

    /// Over a runtime by its name or path.
    ///
    /// # Panics
    /// When the image cannot be loaded.
    #[track_caller]
    #[must_use]
    pub fn over(runtime: &str) -> Self {
        let podman = Self { runtime: runtime.to_owned(), names: Mutex::default(), pods: Mutex::default() };
        podman.load_once();
        podman
    }

    #[track_caller]
    fn load_once(&self) {
        fs::create_dir_all(ROOT).expect("directory for podman's store");
        let archive = TestImage::Busybox.archive();
        let stamp = format!("{:?}", fs::metadata(&archive).expect("the image's archive").modified());
        let mark = Path::new(ROOT).join("holm-tests.loaded");
        let lock = File::create(mark.with_extension("lock")).expect("lock file");
        lock.lock().expect("lock");
        if fs::read_to_string(&mark).is_ok_and(|loaded| loaded == stamp) {
            return;
        }
        self.podman(["load", "-q", "-i"].map(OsStr::new).into_iter().chain([archive.as_os_str()])).ok();
        fs::write(mark, stamp).expect("mark");
    }

    /// `podman` with these arguments, not started yet.
    pub fn command<I, S>(&self, arguments: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new("podman");
        command.args(["--root", ROOT, "--runroot", RUN_ROOT, "--tmpdir", TMP, "--runtime", &self.runtime]);
        command.args(["--cgroup-manager=cgroupfs", "--storage-driver=overlay"]).args(arguments);
        command.stdin(std::process::Stdio::null());
        command
    }

    /// `podman` with these arguments, run to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn podman<I, S>(&self, arguments: I) -> Outcome
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.command(arguments).output().expect("start podman").into()
    }

    /// `buildah run` in a container of buildah's, with the same store and runtime, not started yet.
    pub fn buildah_run(&self, container: &str, script: &str) -> Command {
        let mut command = buildah();
        command.args(["run", "--isolation=oci", "--network=none", "--runtime", &self.runtime, container]);
        command.args(["sh", "-c", script]);
        command
    }

    /// A container of buildah's, by its name.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    pub fn buildah_from(&self, image: &str) -> String {
        let name = self.name();
        let made = buildah().args(["from", "--name", &name, image]).output().expect("start buildah");
        Outcome::from(made).ok()
    }

    /// `podman run --rm --network none OPTIONS busybox sh -c SCRIPT`.
    #[track_caller]
    pub fn run(&self, options: &[&str], script: &str) -> Outcome {
        let words = [&["run", "--rm", "--network", "none"], options, &[IMAGE, "sh", "-c", script]].concat();
        self.podman(words)
    }

    /// Runs a script in the background; returns the container's name once it has said `ready`.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn background(&self, options: &[&str], script: &str) -> String {
        let name = self.name();
        let script = format!("echo ready; {script}");
        let words =
            [&["run", "-d", "--network", "none", "--name", &name], options, &[IMAGE, "sh", "-c", &script]];
        self.podman(words.concat()).ok();
        until("the container is ready", || self.podman(["logs", &name]).out().contains("ready"));
        name
    }

    /// A name for a container.
    ///
    /// # Panics
    /// Never.
    pub fn name(&self) -> String {
        let name = format!("p{}-{}", std::process::id(), NEXT_NAME.fetch_add(1, Ordering::Relaxed));
        self.names.lock().expect("names").push(name.clone());
        name
    }

    /// A name for a pod, and for a network.
    ///
    /// # Panics
    /// Never.
    pub fn pod_name(&self) -> String {
        let name = format!("pod{}-{}", std::process::id(), NEXT_NAME.fetch_add(1, Ordering::Relaxed));
        self.pods.lock().expect("pods").push(name.clone());
        name
    }

    /// A field of `podman inspect`, as a Go template.
    #[track_caller]
    pub fn inspect(&self, name: &str, field: &str) -> String {
        self.podman(["inspect", "--format", &format!("{{{{{field}}}}}"), name]).ok()
    }

    /// The cgroup of a running container.
    ///
    /// # Panics
    /// When its process has none.
    #[track_caller]
    #[must_use]
    pub fn cgroup(&self, name: &str) -> PathBuf {
        let pid = self.inspect(name, ".State.Pid");
        let text =
            fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroup of the container's process");
        let path = text.trim().rsplit(':').next().expect("path").trim_start_matches('/').to_owned();
        Path::new("/sys/fs/cgroup").join(path)
    }
}

fn buildah() -> Command {
    let mut command = Command::new("buildah");
    command.args(["--root", ROOT, "--runroot", RUN_ROOT, "--storage-driver=overlay"]);
    command
}

impl Drop for Podman {
    fn drop(&mut self) {
        for name in self.names.lock().expect("names").iter() {
            // A test that went well has removed its containers.
            let _ = self.podman(["rm", "-f", "-t", "0", name]);
        }
        for name in self.pods.lock().expect("pods").iter() {
            let _ = self.podman(["pod", "rm", "-f", "-t", "0", name]);
            let _ = self.podman(["network", "rm", "-f", name]);
        }
    }
}
