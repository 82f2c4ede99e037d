//! A bundle of busybox, and an OCI runtime that is called with it as engines call one: Holm's, or another for comparison.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::image::TestImage;
use crate::outcome::Outcome;

/// Holm's program.
const HOLM: &str = "holm-runtime";

/// A bundle, and a root of the runtime's. Containers are removed when it is dropped.
#[derive(Debug)]
pub struct OciBundle {
    directory: tempfile::TempDir,
    runtime: &'static str,
}

impl OciBundle {
    /// That runs a script in busybox's shell, under Holm.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    #[must_use]
    pub fn new(script: &str) -> Self {
        Self::under(HOLM, script)
    }

    /// That runs a script in busybox's shell, under the runtime of this name.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    #[must_use]
    pub fn under(runtime: &'static str, script: &str) -> Self {
        // What mounts make on a tmpfs would not be seen by all runtimes alike.
        let directory = tempfile::tempdir_in("/var/tmp").expect("directory for a bundle");
        let bundle = Self { directory, runtime };
        let image = bundle.file("image");
        unpack(&TestImage::Busybox.archive(), &image);
        let blob = |descriptor: &Value| {
            image.join("blobs").join(descriptor["digest"].as_str().expect("a digest").replace(':', "/"))
        };
        let manifest = read(&blob(&read(&image.join("index.json"))["manifests"][0]));
        for layer in manifest["layers"].as_array().expect("layers") {
            unpack(&blob(layer), &bundle.file("rootfs"));
        }
        let words = ["spec", "-b", bundle.path().to_str().expect("a path")];
        Outcome::from(Command::new(HOLM).args(words).output().expect("start holm-runtime")).ok();
        bundle.change(|config| {
            config["process"]["args"] = json!(["sh", "-c", script]);
            config["root"]["readonly"] = json!(false);
            // Not the id's: runtimes that delete a container kill all that is in its cgroup, also what other tests have there.
            config["linux"]["cgroupsPath"] = json!(format!("/{}", bundle.cgroup()));
        });
        bundle
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The name of the cgroup of its container.
    ///
    /// # Panics
    /// Never: its directory has a name.
    #[must_use]
    pub fn cgroup(&self) -> String {
        let name = self.path().file_name().expect("a name").to_string_lossy();
        format!("holm-tests-{}", name.trim_start_matches('.'))
    }

    /// A file beside its config.json.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Its config.json.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn config(&self) -> Value {
        read(&self.file("config.json"))
    }

    /// Changes its config.json.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut config = self.config();
        change(&mut config);
        fs::write(self.file("config.json"), config.to_string()).expect("write config.json");
    }

    /// From now on another runtime is called.
    pub fn switch_to(&mut self, runtime: &'static str) {
        self.runtime = runtime;
    }

    /// The runtime with these words.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.runtime);
        command.arg("--root").arg(self.file(&format!("state-{}", self.runtime)));
        command.args(words).stdin(Stdio::null());
        command
    }

    /// Calls it. Files and not pipes are its streams: a container that goes on would keep a pipe open.
    ///
    /// # Panics
    /// When it cannot be called.
    pub fn runtime(&self, words: &[&str]) -> Outcome {
        self.call(words, &self.file("out"))
    }

    fn call(&self, words: &[&str], out: &Path) -> Outcome {
        let err = self.file("err");
        let mut command = self.command(words);
        command.stdout(File::create(out).expect("a file")).stderr(File::create(&err).expect("a file"));
        let code = command.status().expect("start the runtime").code().expect("an exit code");
        let read = |path: &Path| fs::read(path).expect("what it wrote");
        Outcome { code, stdout: read(out), stderr: read(&err) }
    }

    /// What it says of a container.
    ///
    /// # Panics
    /// When it says nothing.
    #[track_caller]
    #[must_use]
    pub fn state(&self, id: &str) -> Value {
        serde_json::from_str(&self.runtime(&["state", id]).ok()).expect("JSON")
    }

    /// Makes a container, whose output comes into the file `workload`, and its pid into the file `pid`.
    pub fn create(&self, id: &str) -> Outcome {
        let (bundle, pid) = (self.path().to_string_lossy(), self.file("pid"));
        let words = ["create", "--bundle", &bundle, "--pid-file", &pid.to_string_lossy(), id];
        Outcome { stdout: Vec::new(), ..self.call(&words, &self.file("workload")) }
    }

    /// Runs a container to its end.
    pub fn run(&self, id: &str) -> Outcome {
        self.runtime(&["run", "--bundle", &self.path().to_string_lossy(), id])
    }
}

fn unpack(tar: &Path, directory: &Path) {
    fs::create_dir_all(directory).expect("make a directory");
    let mut command = Command::new("tar");
    Outcome::from(command.arg("-xf").arg(tar).arg("-C").arg(directory).output().expect("start tar")).ok();
}

#[track_caller]
fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a document")).expect("JSON")
}

impl Drop for OciBundle {
    fn drop(&mut self) {
        for id in self.runtime(&["list", "-q"]).out().lines() {
            let _ = self.runtime(&["delete", "--force", id]);
        }
    }
}
