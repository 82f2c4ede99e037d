//! A `holm` whose state the test owns, or shares with the other tests.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::image::TestImage;
use crate::outcome::Outcome;
use crate::user::User;

/// The command line with its state directories.
#[derive(Debug)]
pub struct Holm {
    root: PathBuf,
    run: PathBuf,
    templates: PathBuf,
    /// Who runs it, when that is not root; his state is where it is by default.
    user: Option<User>,
    /// Removed with the fixture; `None` when the state is shared.
    _owned: Option<tempfile::TempDir>,
    _own_templates: Option<tempfile::TempDir>,
    names: Mutex<Vec<String>>,
    is_networked: bool,
}

/// State that all tests share, so that an image is loaded once.
const SHARED: &str = "/var/lib/holm-tests/shared";

/// The configuration of tests that are about no network: containers have none, and start faster.
const OFFLINE: &str = "[container]\nnetwork = \"none\"\n";

/// Templates that all tests share, whatever other state they have.
const TEMPLATES: &str = "/var/lib/holm-tests/templates";

static NEXT_NAME: AtomicU32 = AtomicU32::new(0);

impl Holm {
    /// State shared with the other tests, with `image` loaded.
    ///
    /// # Panics
    /// When the image cannot be loaded.
    #[track_caller]
    #[must_use]
    pub fn with(image: TestImage) -> Self {
        let shared = Path::new(SHARED);
        fs::create_dir_all(shared).expect("directory for shared state");
        let holm = Self {
            root: shared.join("root"),
            run: shared.join("run"),
            templates: TEMPLATES.into(),
            user: None,
            _owned: None,
            _own_templates: None,
            names: Mutex::default(),
            is_networked: false,
        };
        holm.load_once(image, &shared.join(format!("{}.loaded", image.name())));
        holm
    }

    /// What an ordinary user has, shared with the other tests, with `image` loaded.
    ///
    /// # Panics
    /// When there can be no such user, or the image cannot be loaded.
    #[track_caller]
    #[must_use]
    pub fn of_user(image: TestImage) -> Self {
        let user = User::ready();
        let root = user.home.join(".local/share/holm");
        let holm = Self {
            run: user.runtime.join("holm"),
            templates: root.join("templates"),
            root,
            user: Some(user),
            _owned: None,
            _own_templates: None,
            names: Mutex::default(),
            is_networked: false,
        };
        holm.load_once(image, &Path::new(SHARED).with_file_name(format!("user-{}.loaded", image.name())));
        holm
    }

    /// State of the test's own: nothing in it.
    ///
    /// # Panics
    /// When its directory cannot be made.
    #[must_use]
    pub fn empty() -> Self {
        // Short: socket paths are limited to 107 bytes.
        let owned = tempfile::Builder::new().prefix("h").tempdir_in("/var/tmp").expect("temporary directory");
        Self {
            root: owned.path().join("root"),
            run: owned.path().join("run"),
            templates: TEMPLATES.into(),
            user: None,
            _owned: Some(owned),
            _own_templates: None,
            names: Mutex::default(),
            is_networked: false,
        }
    }

    /// With templates of the test's own, and no template yet.
    ///
    /// # Panics
    /// When a directory for them cannot be made.
    #[must_use]
    pub fn with_own_templates(mut self) -> Self {
        let own = tempfile::tempdir_in("/var/tmp").expect("temporary directory");
        self.templates = own.path().join("templates");
        self._own_templates = Some(own);
        self
    }

    /// With the network that containers get by default.
    #[must_use]
    pub fn networked(mut self) -> Self {
        self.is_networked = true;
        self
    }

    /// Where its templates are.
    #[must_use]
    pub fn templates(&self) -> &Path {
        &self.templates
    }

    #[track_caller]
    fn load_once(&self, image: TestImage, mark: &Path) {
        let archive = image.archive();
        let stamp = format!("{:?}", fs::metadata(&archive).expect("the image's archive").modified());
        let lock = File::create(mark.with_extension("lock")).expect("lock file");
        lock.lock().expect("lock");
        if fs::read_to_string(mark).is_ok_and(|loaded| loaded == stamp) {
            return;
        }
        self.holm(["load", "-q", "-i"]).arg(&archive).outcome().ok();
        File::create(mark).and_then(|mut file| file.write_all(stamp.as_bytes())).expect("mark");
    }

    /// `holm` with these arguments, not started yet.
    pub fn holm<I, S>(&self, arguments: I) -> Invocation
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = match &self.user {
            Some(user) => user.command("holm"),
            None => {
                let mut command = Command::new("holm");
                command.env("HOLM_ROOT", &self.root).env("HOLM_RUN", &self.run);
                command.env("HOLM_TEMPLATES", &self.templates);
                command
            }
        };
        if !self.is_networked {
            command.env("HOLM_CONFIG", offline());
        }
        command.args(arguments).stdin(Stdio::null());
        Invocation(command)
    }

    /// `holm run --rm` with these arguments, run to its end.
    pub fn run<I, S>(&self, arguments: I) -> Outcome
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.holm(["run", "--rm"]).args(arguments).outcome()
    }

    /// Runs `script` in busybox's shell in the background; returns the container's name.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn background(&self, options: &[&str], script: &str) -> String {
        let name = self.name();
        let words = ["busybox", "sh", "-c", script];
        self.holm(["run", "-d", "--name", &name]).args(options).args(words).outcome().ok();
        name
    }

    /// A name for a container, which is removed when the fixture is dropped.
    pub fn name(&self) -> String {
        let name = format!("t{}-{}", std::process::id(), NEXT_NAME.fetch_add(1, Ordering::Relaxed));
        self.names.lock().expect("names").push(name.clone());
        name
    }

    /// The durable state.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The volatile state.
    #[must_use]
    pub fn run_directory(&self) -> &Path {
        &self.run
    }
}

/// A configuration file by which containers have no network.
fn offline() -> PathBuf {
    let path = Path::new(SHARED).with_file_name("offline.toml");
    if fs::read_to_string(&path).is_ok_and(|text| text == OFFLINE) {
        return path;
    }
    // Others may be reading it.
    let new = tempfile::NamedTempFile::new_in("/var/lib/holm-tests").expect("file");
    fs::write(&new, OFFLINE)
        .and_then(|()| fs::set_permissions(&new, Permissions::from_mode(0o644)))
        .expect("file");
    new.persist(&path).expect("file");
    path
}

impl Drop for Holm {
    fn drop(&mut self) {
        for name in self.names.lock().expect("names").iter() {
            // A test that went well has removed its containers.
            let _ = self.holm(["rm", "-f", "-v", name]).outcome();
        }
        if self._owned.is_some() && self.run.join("networks").exists() {
            // Bridges stay for the next container of their root: here there is none.
            let _ = self.holm(["network", "prune", "-f"]).outcome();
        }
    }
}

/// A command that is being put together.
#[derive(Debug)]
pub struct Invocation(Command);

impl Invocation {
    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<I, S>(mut self, arguments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.0.args(arguments);
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Where its standard input comes from.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.0.stdin(stdin);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn outcome(mut self) -> Outcome {
        self.0.output().expect("start holm").into()
    }

    /// Feeds it `input` and runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn outcome_with_input(mut self, input: &[u8]) -> Outcome {
        let mut child = self
            .0
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start holm");
        let mut stdin = child.stdin.take().expect("stdin");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // A command that does not read it all is no failure.
                let _ = stdin.write_all(input);
            });
            child.wait_with_output().expect("wait").into()
        })
    }

    /// Starts it with pipes.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn spawn(mut self) -> Child {
        self.0.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start holm")
    }

    /// The command itself.
    pub fn command(self) -> Command {
        self.0
    }
}
