//! `pull`, `push`, `login` and `logout` as a user meets them: lines, files, exit codes, Ctrl-C.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use holm_runtime::image::Digest;
use rustix::process::{Pid, Signal, kill_process};

use holm_test_registry::{DockerRegistry, Fault, FaultyRegistry, Mode, RegistryImage, blob_path, tar};

struct Holm {
    directory: tempfile::TempDir,
}

impl Holm {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.toml"), "").unwrap();
        Self { directory }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let at = |name: &str| self.directory.path().join(name);
        let mut command = Command::new("holm");
        command.args(arguments).stdin(Stdio::null());
        command.env("HOLM_ROOT", at("root")).env("HOLM_RUN", at("run"));
        command.env("HOLM_CONFIG", at("config.toml")).env("DOCKER_CONFIG", at("docker"));
        command
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn fails(&self, arguments: &[&str], words: &str) {
        let output = self.command(arguments).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words) && stderr.lines().count() == 1, "{arguments:?}: {stderr}");
    }

    fn config(&self, toml: &str) {
        fs::write(self.directory.path().join("config.toml"), toml).unwrap();
    }

    fn with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn pull_prints_dockers_lines() {
    let (holm, image) = (Holm::new(), RegistryImage::new(2, 50_000));
    let registry = FaultyRegistry::with(&image);
    let name = registry.name();
    let out = holm.ok(&["pull", &name]);
    let lines: Vec<_> = out.lines().collect();
    let layers: Vec<_> = image.layers.iter().map(|layer| Digest::of(layer).short()).collect();
    assert_eq!(lines[0], "tag: Pulling from x/y");
    assert_eq!(
        lines[1..3],
        [format!("{}: Pulling fs layer", layers[0]), format!("{}: Pulling fs layer", layers[1])]
    );
    assert!(
        layers.iter().all(|layer| lines[3..5].contains(&format!("{layer}: Pull complete").as_str())),
        "{out}"
    );
    let digest = Digest::of(&image.manifest);
    assert_eq!(
        lines[5..],
        [format!("Digest: {digest}"), format!("Status: Downloaded newer image for {name}"), name.clone()]
    );
    let again = holm.ok(&["pull", &name]);
    let up_to_date = format!("Status: Image is up to date for {name}");
    let expected = ["tag: Pulling from x/y", &format!("Digest: {digest}"), &up_to_date, &name];
    assert_eq!(again.lines().collect::<Vec<_>>(), expected);
    assert_eq!(holm.ok(&["pull", "-q", &name]), format!("{name}\n"));
    assert_eq!(holm.ok(&["images", "-q", "--no-trunc"]).trim(), image.id().to_string());
    assert!(holm.ok(&["inspect", &name]).contains(&format!("{}/x/y@{digest}", registry.host)));
    holm.fails(&["pull", &format!("{}/x/y:other", registry.host)], "x/y:other not found");
    let other = holm.command(&["pull", "--platform", "linux/arm64", &name]).output().unwrap();
    assert_eq!(other.status.code(), Some(125));
    assert!(text(&other.stderr).contains("this host runs linux/amd64 only"), "{}", text(&other.stderr));
    let removed = holm.ok(&["rmi", &name]);
    assert!(
        removed
            .starts_with(&format!("Untagged: {name}\nUntagged: {}/x/y@{digest}\nDeleted: ", registry.host)),
        "{removed}"
    );
}

#[test]
fn short_names_come_from_the_default_registry() {
    let (holm, image) = (Holm::new(), RegistryImage::new(1, 1000));
    let registry = FaultyRegistry::with(&image);
    holm.config(&format!("default-registry = {:?}\n", registry.host));
    let out = holm.ok(&["pull", "x/y:tag"]);
    assert!(out.ends_with(&format!("{}\n", registry.name())), "{out}");
    assert!(holm.ok(&["inspect", "x/y:tag"]).contains(&image.id().to_string()));
    holm.config("default-registri = 'x'\n");
    let output = holm.command(&["pull", "x/y:tag"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("config.toml is not valid"), "{}", text(&output.stderr));
}

#[test]
fn an_interrupted_pull_leaves_nothing() {
    let (holm, image) = (Holm::new(), RegistryImage::new(2, 400_000));
    let registry = FaultyRegistry::with(&image);
    registry
        .fail(&blob_path(&image.layers[1]), &[Fault::Cut(100_000), Fault::Status(503), Fault::Status(503)]);
    let mut child = holm
        .command(&["pull", &registry.name()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // By now it waits to try again, for a second at least.
    let deadline = Instant::now() + Duration::from_secs(20);
    let asked =
        || registry.requests().iter().filter(|line| line.contains(&blob_path(&image.layers[1]))).count();
    while asked() == 0 {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait().unwrap();
    assert_eq!(output.code(), Some(130));
    let staging = holm.directory.path().join("root/image/staging");
    assert_eq!(fs::read_dir(staging).unwrap().count(), 0);
    assert_eq!(holm.ok(&["images", "-q"]), "");
}

#[test]
fn m03_run_never_pulls_when_it_must_not() {
    let (holm, registry) = (Holm::new(), FaultyRegistry::with(&RegistryImage::new(1, 1000)));
    let output = holm.command(&["run", "--pull", "never", &registry.name()]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(registry.requests(), [] as [String; 0]);
}

/// An image goes to a registry that wants to know who one is, and comes back.
fn there_and_back(holm: &Holm, host: &str, run: &dyn Fn(&[&str]) -> String) {
    let archive = holm.directory.path().join("rootfs.tar");
    fs::write(&archive, tar(1, 5000)).unwrap();
    let name = format!("{host}/there/and:back");
    run(&["import", archive.to_str().unwrap(), &name]);
    run(&["push", &name]);
    run(&["rmi", &name]);
    assert!(run(&["pull", &name]).contains("Status: Downloaded newer image"));
}

#[test]
fn login_keeps_a_password_that_is_right_and_logout_forgets_it() {
    let registry = DockerRegistry::start(Mode::Secured);
    let holm = Holm::new();
    holm.config(&format!(
        "[registry.{:?}]\nca = [{:?}]\n",
        registry.host,
        registry.ca().display().to_string()
    ));
    let host = registry.host.as_str();
    let config = holm.directory.path().join("docker/config.json");
    let wrong = holm.with_input(&["login", "-u", "me", "--password-stdin", host], "wrong\n");
    assert_eq!(wrong.status.code(), Some(125));
    assert!(text(&wrong.stderr).contains("user name or password is wrong"), "{}", text(&wrong.stderr));
    assert!(!config.exists());
    let right = holm.with_input(&["login", "-u", "me", "--password-stdin", host], "s3cret\n");
    assert_eq!((right.status.code(), text(&right.stdout).as_str()), (Some(0), "Login Succeeded\n"));
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&config).unwrap().contains("bWU6czNjcmV0"));
    assert_eq!(holm.ok(&["login", host]), "Login Succeeded\n");
    there_and_back(&holm, host, &|arguments| holm.ok(arguments));
    assert_eq!(holm.ok(&["logout", host]), format!("Removing login credentials for {host}\n"));
    assert_eq!(holm.ok(&["logout", host]), format!("Not logged in to {host}\n"));
    assert!(!fs::read_to_string(&config).unwrap().contains("bWU6czNjcmV0"));
}

#[test]
fn credential_helpers_keep_what_docker_would_give_them() {
    let registry = DockerRegistry::start(Mode::Secured);
    let holm = Holm::new();
    let at = |name: &str| holm.directory.path().join(name);
    fs::create_dir(at("docker")).unwrap();
    fs::write(at("docker/config.json"), r#"{"credsStore":"test"}"#).unwrap();
    let helper = "#!/bin/sh\ncase $1 in\nstore) cat > \"$KEPT\" ;;\nget) test -e \"$KEPT\" && cat \"$KEPT\" || { echo \
                  'credentials not found in native keychain'; exit 1; } ;;\nerase) rm \"$KEPT\" ;;\nesac\n";
    fs::write(at("docker-credential-test"), helper).unwrap();
    fs::set_permissions(at("docker-credential-test"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", holm.directory.path().display(), std::env::var("PATH").unwrap());
    let run = |arguments: &[&str]| {
        let output = holm.command(arguments).env("PATH", &path).env("KEPT", at("kept")).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    run(&["login", "-u", "me", "-p", "s3cret", &registry.host]);
    assert!(fs::read_to_string(at("kept")).unwrap().contains("s3cret"));
    assert!(!fs::read_to_string(at("docker/config.json")).unwrap().contains("auth\""));
    assert_eq!(run(&["login", &registry.host]), "Login Succeeded\n");
    there_and_back(&holm, &registry.host, &run);
    run(&["logout", &registry.host]);
    assert!(!at("kept").exists());
}

#[test]
fn what_is_pushed_is_told_in_dockers_words() {
    let registry = DockerRegistry::start(Mode::Plain);
    let (holm, image) = (Holm::new(), RegistryImage::new(1, 1000));
    let archive = holm.directory.path().join("rootfs.tar");
    fs::write(&archive, tar(1, 5000)).unwrap();
    let name = format!("{}/pushed:v1", registry.host);
    holm.ok(&["import", archive.to_str().unwrap(), &name]);
    let layer = Digest::of(&tar(1, 5000)).short();
    let out = holm.ok(&["push", &name]);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], format!("The push refers to repository [{}/pushed]", registry.host));
    assert_eq!(lines[1..3], [format!("{layer}: Preparing"), format!("{layer}: Pushed")]);
    assert!(lines[3].starts_with("v1: digest: sha256:") && lines[3].contains(" size: "), "{out}");
    assert!(holm.ok(&["push", &name]).contains(&format!("{layer}: Layer already exists")));
    assert_eq!(holm.ok(&["push", "-q", &name]), format!("{name}\n"));
    holm.fails(&["push", "nothing:here"], "no such image");
    let _ = image;
    assert!(
        holm.ok(&["pull", "-a", &format!("{}/pushed", registry.host)]).contains("v1: Pulling from pushed")
    );
}
