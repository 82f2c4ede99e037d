//! containerd with state of its own, and `ctr` with tasks over its shim for Holm.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cri::Cri;
use crate::image::TestImage;
use crate::outcome::Outcome;
use crate::thin_pool::ThinPool;
use crate::until::until;

/// The image of [`TestImage::Busybox`] as containerd calls it.
const IMAGE: &str = "docker.io/library/busybox:latest";
/// containerd's name for the shim.
const RUNTIME: &str = "io.containerd.holm.v2";

/// What the CRI's containers are in, its sandboxes' image, and their network.
const CRI_NAMESPACE: &str = "k8s.io";
const SANDBOX_IMAGE: &str = "localhost/pause:latest";
const CRI_BRIDGE: &str = "holm-e2e-cri";
const CRI_SUBNET: &str = "10.213.7.0/24";

static NEXT_NAME: AtomicU32 = AtomicU32::new(0);

/// Ends with the value, and its tasks with it.
#[derive(Debug)]
pub struct Containerd {
    daemon: Child,
    directory: tempfile::TempDir,
    names: Mutex<Vec<String>>,
}

impl Containerd {
    /// With busybox.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With busybox, and these variables in its environment, which its shims inherit.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start_with(environment: &[(&str, &OsStr)]) -> Self {
        let without_cri = |_: &Path| "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]".to_owned();
        let containerd = Self::configured(without_cri, environment);
        let archive = TestImage::Busybox.archive();
        let words = ["images", "import", "--base-name", "docker.io/library/busybox"].map(OsStr::new);
        containerd.ctr(words.into_iter().chain([archive.as_os_str()])).ok();
        containerd
    }

    /// With busybox in snapshots that are block devices of a pool.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start_with_devices(pool: &ThinPool) -> Self {
        let with_pool = |directory: &Path| {
            format!(
                "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
                 [plugins.\"io.containerd.snapshotter.v1.devmapper\"]\nroot_path = {:?}\npool_name = {:?}\n\
                 base_image_size = \"128MB\"",
                directory.join("devmapper"),
                pool.name()
            )
        };
        let environment = ThinPool::ENVIRONMENT.map(|(name, value)| (name, OsStr::new(value)));
        let containerd = Self::configured(with_pool, &environment);
        let archive = TestImage::Busybox.archive();
        let words =
            ["images", "import", "--snapshotter", "devmapper", "--base-name", "docker.io/library/busybox"];
        let words = words.map(OsStr::new);
        containerd.ctr(words.into_iter().chain([archive.as_os_str()])).ok();
        containerd
    }

    /// With the CRI, whose pods have the network of a bridge; with busybox, and an image for sandboxes.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start_with_cri() -> Self {
        let with_cri = |directory: &Path| {
            let network = directory.join("network");
            fs::create_dir(&network).expect("directory");
            let list = serde_json::json!({"cniVersion": "0.4.0", "name": "holm-e2e", "plugins": [{
                "type": "bridge", "bridge": CRI_BRIDGE, "isGateway": true,
                "ipam": {"type": "host-local", "subnet": CRI_SUBNET, "dataDir": directory.join("addresses")},
            }]});
            fs::write(network.join("holm.conflist"), list.to_string()).expect("network");
            format!(
                "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = {SANDBOX_IMAGE:?}\ndisable_tcp_service = true\n\
                 [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"/usr/lib/cni\"\nconf_dir = {network:?}\n\
                 [plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = \"holm\"\n\
                 [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.holm]\nruntime_type = {RUNTIME:?}"
            )
        };
        let containerd = Self::configured(with_cri, &[]);
        let archive = containerd.directory().join("pause.tar");
        let script = "set -e; c=$(buildah from -q oci-archive:$0)
            buildah config --entrypoint '[\"sleep\",\"1000000\"]' --cmd '' $c
            buildah commit -q $c oci-archive:$1:latest >/dev/null; buildah rm $c >/dev/null";
        let mut buildah = Command::new("sh");
        buildah.args(["-c", script]).arg(TestImage::Busybox.archive()).arg(&archive);
        Outcome::from(buildah.output().expect("sh")).ok();
        for (name, archive) in
            [("docker.io/library/busybox", TestImage::Busybox.archive()), ("localhost/pause", archive)]
        {
            let words =
                ["--namespace", CRI_NAMESPACE, "images", "import", "--base-name", name].map(OsStr::new);
            containerd.ctr(words.into_iter().chain([archive.as_os_str()])).ok();
        }
        // It hears of them by events.
        until("the CRI knows its images", || {
            let listed = containerd.ctr(["--namespace", CRI_NAMESPACE, "images", "ls"]).out();
            listed.matches("io.cri-containerd.image=managed").count() >= 2
        });
        containerd
    }

    /// The CRI of this containerd.
    #[must_use]
    pub fn cri(&self) -> Cri {
        Cri::at(self.directory().join("socket"), self.directory())
    }

    #[track_caller]
    fn configured(plugins: impl FnOnce(&Path) -> String, environment: &[(&str, &OsStr)]) -> Self {
        let directory = tempfile::Builder::new().prefix("c").tempdir_in("/var/tmp").expect("directory");
        let at = |name: &str| directory.path().join(name).to_str().expect("path").to_owned();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n{}\n[grpc]\naddress = {:?}\n",
            at("root"),
            at("state"),
            plugins(directory.path()),
            at("socket")
        );
        fs::write(at("config.toml"), config).expect("configuration");
        let daemon = spawn(directory.path(), environment);
        let mut containerd = Self { daemon, directory, names: Mutex::default() };
        containerd.await_answer();
        containerd
    }

    /// Ends the daemon as `kill -9` does, and starts another one over the same state.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn kill_and_restart(&mut self) {
        self.daemon.kill().and_then(|()| self.daemon.wait()).expect("kill containerd");
        self.daemon = spawn(self.directory.path(), &[]);
        self.await_answer();
    }

    #[track_caller]
    fn await_answer(&mut self) {
        until("containerd answers", || self.ctr(["version"]).code == 0);
    }

    /// Where its state is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The bundle of a task.
    #[must_use]
    pub fn bundle(&self, name: &str) -> PathBuf {
        self.directory.path().join("state/io.containerd.runtime.v2.task/default").join(name)
    }

    /// A name for a container.
    ///
    /// # Panics
    /// Never.
    pub fn name(&self) -> String {
        let name = format!("c{}-{}", std::process::id(), NEXT_NAME.fetch_add(1, Ordering::Relaxed));
        self.names.lock().expect("names").push(name.clone());
        name
    }

    /// `ctr` with these arguments, not started yet.
    pub fn command<I, S>(&self, arguments: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new("ctr");
        command
            .arg("--address")
            .arg(self.directory.path().join("socket"))
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// `ctr` with these arguments, run to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn ctr<I, S>(&self, arguments: I) -> Outcome
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.command(arguments).output().expect("start ctr").into()
    }

    /// `ctr run OPTIONS busybox NAME sh -c SCRIPT`, not started yet.
    pub fn run(&self, name: &str, options: &[&str], script: &str) -> Command {
        let words = [&["run", "--runtime", RUNTIME], options, &[IMAGE, name, "sh", "-c", script]];
        self.command(words.concat())
    }

    /// Starts a container that runs a script; gives its name.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn background(&self, script: &str) -> String {
        self.background_with(&[], script)
    }

    /// The same with options of `ctr run`.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn background_with(&self, options: &[&str], script: &str) -> String {
        let name = self.name();
        let options = [&["-d"], options].concat();
        Outcome::from(self.run(&name, &options, script).output().expect("start ctr")).ok();
        name
    }

    /// Pid and status of a task; `None` where there is none.
    #[track_caller]
    #[must_use]
    pub fn task(&self, name: &str) -> Option<(u32, String)> {
        let listed = self.ctr(["tasks", "ls"]).ok();
        let mut words = listed.lines().map(str::split_whitespace).find_map(|mut words| {
            let found = words.next() == Some(name);
            found.then_some(words)
        })?;
        Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
    }
}

/// One that runs on knows nothing of this process's streams.
fn spawn(directory: &Path, environment: &[(&str, &OsStr)]) -> Child {
    let log = File::options().create(true).append(true).open(directory.join("log")).expect("log");
    let mut command = Command::new("containerd");
    command.arg("--config").arg(directory.join("config.toml")).stdin(Stdio::null()).stdout(Stdio::null());
    command.envs(environment.iter().copied());
    command.stderr(log).spawn().expect("containerd, of Debian's package containerd")
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for name in self.names.lock().expect("names").iter() {
            // A test that went well has removed its containers.
            if self.task(name).is_some() {
                let _ = self.ctr(["tasks", "delete", "--force", name]);
            }
        }
        let cris = self.ctr(["--namespace", CRI_NAMESPACE, "tasks", "ls", "-q"]).out();
        for name in cris.lines() {
            let _ = self.ctr(["--namespace", CRI_NAMESPACE, "tasks", "delete", "--force", name]);
        }
        if !cris.is_empty() || self.directory().join("network").exists() {
            let _ = Command::new("ip").args(["link", "delete", CRI_BRIDGE]).output();
        }
        // Asked to end, it unmounts what it has mounted.
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
    }
}
