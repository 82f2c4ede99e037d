//! `holm run`: make a container from an image and run it.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use holm_runtime::bundle;
use holm_runtime::container::settings::{
    CapabilityName, Cpus, EnvVar, LogConfig, LogDriver, LogOption, MemorySize, Settings, Sysctl, TmpfsMount,
    Ulimit,
};
use holm_runtime::container::{Container, ContainerName, ContainerStore, Record};
use holm_runtime::host::Installation;
use holm_runtime::image::{Image, ImageError, ImageStore};
use holm_runtime::logs;
use holm_runtime::supervisor::Client;
use time::OffsetDateTime;

use crate::attach;

/// Create and run a new container from an image
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  holm run --rm busybox echo hello\n  holm run --rm -it debian bash\n  \
                  holm run -d --name web -m 256m --cpus 1.5 my/server"
)]
pub(crate) struct Run {
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Add Linux capabilities
    #[arg(long, value_name = "CAP")]
    cap_add: Vec<CapabilityName>,
    /// Drop Linux capabilities
    #[arg(long, value_name = "CAP")]
    cap_drop: Vec<CapabilityName>,
    /// Number of CPUs
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<Cpus>,
    /// Run the container in the background and print its ID
    #[arg(short, long)]
    detach: bool,
    /// Overwrite the default entrypoint of the image
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<EnvVar>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "FILE")]
    env_file: Vec<std::path::PathBuf>,
    /// Container host name
    #[arg(short = 'h', long, value_name = "NAME", value_parser = hostname)]
    hostname: Option<String>,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long)]
    init: bool,
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Logging driver for the container: json-file, journald or none
    #[arg(long, value_name = "DRIVER", default_value_t)]
    log_driver: LogDriver,
    /// Log driver options; json-file keeps max-file=5 files of max-size=20m (-1 for unlimited)
    #[arg(long, value_name = "KEY=VALUE")]
    log_opt: Vec<LogOption>,
    /// Memory limit (b, k, m or g); the VM is sized from it
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<MemorySize>,
    /// Assign a name to the container
    #[arg(long)]
    name: Option<ContainerName>,
    /// Give extended privileges inside the VM (never on the host)
    #[arg(long)]
    privileged: bool,
    /// Pull the image before running
    #[arg(long, value_enum, default_value_t = Pull::Missing)]
    pull: Pull,
    /// Mount the container's root filesystem as read only
    #[arg(long)]
    read_only: bool,
    /// Automatically remove the container when it exits
    #[arg(long)]
    rm: bool,
    /// Security options (no-new-privileges)
    #[arg(long, value_name = "OPTION", value_parser = ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"])]
    security_opt: Vec<String>,
    /// Kernel parameters of the container's namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    sysctl: Vec<Sysctl>,
    /// Mount a tmpfs directory
    #[arg(long, value_name = "PATH[:OPTIONS]")]
    tmpfs: Vec<TmpfsMount>,
    /// Allocate a pseudo-terminal
    #[arg(short, long)]
    tty: bool,
    /// Ulimit options
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<Ulimit>,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// The image to run
    image: String,
    /// Command and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// When to pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pull {
    Always,
    Missing,
    Never,
}

/// A host name as sethostname(2) and Docker take it.
fn hostname(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if text.is_empty() || text.len() > 63 || !text.bytes().all(plain) {
        return Err(format!("invalid hostname {text:?}: 1 to 63 characters of A-Z a-z 0-9 - . _"));
    }
    Ok(text.to_owned())
}

impl Run {
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.tty && self.interactive && !self.detach && !io::stdin().is_terminal() {
            bail!("the input device is not a TTY");
        }
        let directories = super::directories()?;
        let installation = Installation::find()?;
        installation.check()?;
        let image = self.find_image(&ImageStore::open(directories.root())?)?;
        let store = ContainerStore::new(directories);
        let detach = self.detach;
        let container = self.create(&store, &image)?;
        let client = Client::spawn(&installation, store.directories(), &container.id)
            // Nobody else knows of the container yet.
            .inspect_err(|_| drop(store.remove(&container)))?;
        if detach { attach::detached(client, &container) } else { attach::attached(client, &container) }
    }

    fn find_image(&self, store: &ImageStore) -> Result<Image> {
        if self.pull == Pull::Always {
            bail!("cannot pull {:?}: this version of Holm does not pull yet; use 'holm load'", self.image);
        }
        match store.resolve(&self.image) {
            Err(ImageError::NotFound(_)) if self.pull == Pull::Missing => bail!(
                "unable to find image {:?} locally, and this version of Holm does not pull yet; use 'holm load'",
                self.image
            ),
            other => Ok(other?),
        }
    }

    fn create(self, store: &ContainerStore, image: &Image) -> Result<Container> {
        let nonce = nonce()?;
        let name = self.name.clone();
        let generated = u64::from_str_radix(nonce.get(..15).unwrap_or("0"), 16).unwrap_or(0);
        let record = Record {
            created: OffsetDateTime::now_utc(),
            image_id: image.id().to_string(),
            image: self.image.clone(),
            name: ContainerName::generated(generated),
            settings: self.settings()?,
            nonce,
        };
        // What the image and the settings make impossible is told before anything is made.
        bundle::build(image.config(), &record.settings, "check")?;
        logs::check(&record.settings.log_config)?;
        Ok(store.create(record, name)?)
    }

    fn settings(self) -> Result<Settings> {
        let from_caller = |name: &str| std::env::var(name).ok();
        let mut env = Vec::new();
        for file in &self.env_file {
            env.extend(EnvVar::read_file(file)?);
        }
        env.extend(self.env);
        Ok(Settings {
            entrypoint: self.entrypoint,
            cmd: self.command,
            env: env.iter().filter_map(|variable| variable.pinned(from_caller)).collect(),
            working_dir: self.workdir,
            user: self.user,
            hostname: self.hostname,
            tty: self.tty,
            open_stdin: self.interactive,
            auto_remove: self.rm,
            init: self.init,
            privileged: self.privileged,
            read_only_rootfs: self.read_only,
            no_new_privileges: !self.security_opt.is_empty(),
            cap_add: self.cap_add,
            cap_drop: self.cap_drop,
            tmpfs: self.tmpfs,
            ulimits: self.ulimit,
            sysctls: self.sysctl,
            memory: self.memory,
            cpus: self.cpus,
            log_config: LogConfig::new(self.log_driver, self.log_opt)?,
        })
    }
}

/// 32 hex digits from the kernel's random numbers.
fn nonce() -> Result<String> {
    let mut bytes = [0; 16];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
