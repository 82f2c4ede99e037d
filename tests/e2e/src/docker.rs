//! Docker's daemon with state of its own, `holm` among its runtimes, and its commands.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::image::TestImage;
use crate::outcome::Outcome;
use crate::until::until;

static NEXT_NAME: AtomicU32 = AtomicU32::new(0);

/// Ends with the value, and its containers with it.
#[derive(Debug)]
pub struct Docker {
    daemon: Child,
    directory: tempfile::TempDir,
    namespace: Option<String>,
}

impl Docker {
    /// With no network of its own making.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn without_network() -> Self {
        let options = [
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--ip-masq=false",
        ];
        Self::start(Command::new("dockerd"), &options, None)
    }

    /// With a bridge in a network namespace of its own: on the host's network it changes nothing. It has busybox.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn with_bridge() -> Self {
        let name = format!("docker-{}-{}", std::process::id(), NEXT_NAME.fetch_add(1, Ordering::Relaxed));
        run("ip", ["netns", "add", &name]).ok();
        run("ip", ["-n", &name, "link", "set", "lo", "up"]).ok();
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{name}")).arg("dockerd");
        let docker = Self::start(command, &["--bip=10.214.0.1/24"], Some(name));
        let archive = format!("oci-archive:{}", TestImage::Busybox.archive().display());
        let host = ["--dest-daemon-host", &docker.host()];
        run("skopeo", [&["copy", "-q"], &host[..], &[&archive, "docker-daemon:busybox:latest"]].concat())
            .ok();
        docker
    }

    #[track_caller]
    fn start(mut daemon: Command, options: &[&str], namespace: Option<String>) -> Self {
        // Sockets below it have long names.
        let directory = tempfile::Builder::new().prefix("d").tempdir_in("/var/tmp").expect("directory");
        let at = |name: &str| directory.path().join(name).to_str().expect("path").to_owned();
        let runtime = run("sh", ["-c", "command -v holm-runtime"]).ok();
        let daemon = daemon
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args([
                "--host",
                &format!("unix://{}", at("socket")),
                "--add-runtime",
                &format!("holm={runtime}"),
            ])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(at("log")).expect("log"))
            .spawn()
            .expect("dockerd, of Debian's package docker.io");
        let docker = Self { daemon, directory, namespace };
        until("dockerd answers", || docker.docker(["version"]).code == 0);
        docker
    }

    /// Where its state and its socket are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// `docker` with these arguments, not started yet.
    pub fn command<I, S>(&self, arguments: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new("docker");
        command.args(["--host", &self.host()]).args(arguments).stdin(Stdio::null());
        command
    }

    /// `docker` with these arguments, run to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn docker<I, S>(&self, arguments: I) -> Outcome
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.command(arguments).output().expect("start docker").into()
    }

    /// `docker run --rm OPTIONS busybox sh -c SCRIPT` over a runtime.
    #[track_caller]
    pub fn run(&self, runtime: &str, options: &[&str], script: &str) -> Outcome {
        let words = [&["run", "--rm", "--runtime", runtime], options, &["busybox", "sh", "-c", script]];
        self.docker(words.concat())
    }

    /// Starts a container over Holm that runs a script.
    #[track_caller]
    pub fn background(&self, name: &str, options: &[&str], script: &str) {
        let words = ["run", "-d", "--name", name, "--runtime", "holm"];
        self.docker([&words, options, &["busybox", "sh", "-c", script]].concat()).ok();
    }

    /// A field of `docker inspect`, as a Go template.
    #[track_caller]
    pub fn inspect(&self, name: &str, field: &str) -> String {
        self.docker(["inspect", "--format", &format!("{{{{{field}}}}}"), name]).ok()
    }

    /// Does something in the network namespace of the daemon.
    ///
    /// # Panics
    /// When there is none, or `work` does.
    #[track_caller]
    pub fn in_its_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let name = self.namespace.as_deref().expect("a namespace");
        let namespace = File::open(Path::new("/run/netns").join(name)).expect("open the namespace");
        let inside = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("enter");
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join()).expect("work in the namespace")
    }

    fn host(&self) -> String {
        format!("unix://{}", self.directory.path().join("socket").display())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let left = self.docker(["ps", "-aq"]).out();
        if !left.is_empty() {
            let _ = self.docker([["rm", "-f"].as_slice(), &left.lines().collect::<Vec<_>>()].concat());
        }
        // Asked to end, it ends its containerd too.
        let _ = run("kill", [&self.daemon.id().to_string()]);
        let _ = self.daemon.wait();
        if let Some(name) = &self.namespace {
            let _ = run("ip", ["netns", "del", name]);
        }
    }
}

fn run<I, S>(program: &str, arguments: I) -> Outcome
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    Command::new(program).args(arguments).output().expect("start a program of the host's").into()
}
