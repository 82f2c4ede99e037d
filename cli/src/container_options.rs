//! What `holm create` and `holm run` take: the settings of a container, its image and its command.

use anyhow::Result;
use clap::{Args, ValueEnum};
use holm_protocol::vm_config::MAX_VCPUS;
use holm_runtime::bundle;
use holm_runtime::config::{Config, ContainerDefaults};
use holm_runtime::container::settings::{
    CapabilityName, EnvVar, GuestDevice, Label, Labels, LayerSize, Limits, LogDriver, LogOption, MemorySize,
    Mount, MountFlag, RestartPolicy, Settings, ShmSize, SignalName, Sysctl, TmpfsMount, Ulimit, VolumeFlag,
    VolumesFrom,
};
use holm_runtime::container::{Container, ContainerName, ContainerStore, Record};
use holm_runtime::image::{Image, ImageError, ImageStore, Platform};
use holm_runtime::logs;
use holm_runtime::registry::RegistryConfig;
use holm_runtime::volume::{self, MountRequests, VolumeName, VolumeStore};
use time::OffsetDateTime;

use crate::cid_file::CidFile;
use crate::device_rate_options::DeviceRateOptions;
use crate::fetch::fetch;
use crate::health_options::HealthOptions;
use crate::isolation_options::IsolationOptions;
use crate::limit_options::LimitOptions;
use crate::network_options::NetworkOptions;
use crate::nonce::nonce;
use crate::{commands, output};

/// The flags and words that make a container.
#[derive(Debug, Args)]
pub(crate) struct ContainerOptions {
    /// Add an annotation to the container
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<Label>,
    #[command(flatten)]
    network: NetworkOptions,
    /// Add Linux capabilities
    #[arg(long, value_name = "CAP")]
    cap_add: Vec<CapabilityName>,
    /// Write the container ID to a file, which must not exist
    #[arg(long, value_name = "FILE")]
    cidfile: Option<std::path::PathBuf>,
    /// Drop Linux capabilities
    #[arg(long, value_name = "CAP")]
    cap_drop: Vec<CapabilityName>,
    /// Add a device of the guest's kernel to the container (/dev/fuse, /dev/net/tun)
    #[arg(long, value_name = "PATH[:PATH][:PERMISSIONS]")]
    device: Vec<GuestDevice>,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    device_rates: DeviceRateOptions,
    /// Container NIS domain name
    #[arg(long, value_name = "NAME", value_parser = hostname)]
    domainname: Option<String>,
    /// Overwrite the default entrypoint of the image
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<EnvVar>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "FILE")]
    env_file: Vec<std::path::PathBuf>,
    /// Add additional groups to join
    #[arg(long, value_name = "GROUP", value_parser = group)]
    group_add: Vec<String>,
    #[command(flatten)]
    health: HealthOptions,
    /// Container host name
    #[arg(short = 'h', long, value_name = "NAME", value_parser = hostname)]
    hostname: Option<String>,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    init: Option<bool>,
    #[command(flatten)]
    isolation: IsolationOptions,
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Set meta data on the container
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Read in a file of labels
    #[arg(long, value_name = "FILE")]
    label_file: Vec<std::path::PathBuf>,
    /// Logging driver for the container: json-file, journald or none
    #[arg(long, value_name = "DRIVER")]
    log_driver: Option<LogDriver>,
    /// Log driver options; json-file keeps max-file=5 files of max-size=20m (-1 for unlimited)
    #[arg(long, value_name = "KEY=VALUE")]
    log_opt: Vec<LogOption>,
    /// Attach a filesystem mount to the container (type=bind|volume|tmpfs,source=...,target=...,readonly)
    #[arg(long, value_name = "MOUNT")]
    mount: Vec<MountFlag>,
    /// Assign a name to the container
    #[arg(long)]
    name: Option<ContainerName>,
    /// Tune the kernel's preference to end the container when the guest is out of memory (-1000 to 1000)
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = clap::value_parser!(i16).range(-1000..=1000))]
    oom_score_adj: Option<i16>,
    /// Set platform; this host runs linux/amd64
    #[arg(long)]
    platform: Option<Platform>,
    /// Give extended privileges inside the VM (never on the host)
    #[arg(long)]
    privileged: bool,
    /// Pull the image before running
    #[arg(long, value_enum, default_value_t = Pull::Missing)]
    pull: Pull,
    /// Suppress the pull output
    #[arg(short, long)]
    quiet: bool,
    /// Mount the container's root filesystem as read only
    #[arg(long)]
    read_only: bool,
    /// Restart policy to apply when a container exits (no, always, on-failure[:max-retries], unless-stopped)
    #[arg(long, value_name = "POLICY", default_value_t, conflicts_with = "rm")]
    restart: RestartPolicy,
    /// Automatically remove the container when it exits
    #[arg(long)]
    rm: bool,
    /// Security options (no-new-privileges)
    #[arg(long, value_name = "OPTION", value_parser = ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"])]
    security_opt: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES")]
    shm_size: Option<ShmSize>,
    /// Signal to stop the container
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<SignalName>,
    /// Timeout (in seconds) to stop a container; -1 waits for ever
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..))]
    stop_timeout: Option<i32>,
    /// Storage options for the container; size=10g is how much it may write (64m to 16t)
    #[arg(long, value_name = "size=SIZE")]
    storage_opt: Option<LayerSize>,
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
    /// Virtual CPUs of the VM, at least (default: what the limits need)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_VCPUS)))]
    vm_cpus: Option<u8>,
    /// Memory of the VM, at least (default: what the limits need, or 512m)
    #[arg(long, value_name = "BYTES")]
    vm_memory: Option<MemorySize>,
    /// Boot the VM instead of starting it from a template
    #[arg(long)]
    cold: bool,
    /// Bind mount a directory or file of the host, or a volume
    #[arg(short, long, value_name = "[SOURCE:]PATH[:OPTIONS]")]
    volume: Vec<VolumeFlag>,
    /// Mount volumes from the specified container(s)
    #[arg(long, value_name = "CONTAINER[:ro|rw]")]
    volumes_from: Vec<VolumesFrom>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// The image to make the container from
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

/// A name or number in the container's /etc/group.
fn group(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['\n', ':']) {
        return Err(format!("invalid group {text:?}: want a name or a number"));
    }
    Ok(text.to_owned())
}

impl ContainerOptions {
    /// Whether the workload has a terminal.
    pub(crate) const fn tty(&self) -> bool {
        self.tty
    }

    /// Whether its standard input stays open.
    pub(crate) const fn interactive(&self) -> bool {
        self.interactive
    }

    /// Makes the container; nothing of it runs.
    ///
    /// # Errors
    /// When image or settings make no container; nothing is left then.
    pub(crate) fn create(mut self, store: &ContainerStore) -> Result<Container> {
        let defaults = Config::from_environment()?.container();
        self.network.default_to(&defaults.network)?;
        self.network.check(store)?;
        let cidfile = self.cidfile.as_deref().map(CidFile::create).transpose()?;
        let image = self.find_image(&ImageStore::open(store.directories().root())?)?;
        let container = self.create_from(store, &image, &defaults)?;
        if let Some(file) = cidfile {
            file.write(&container.id)?;
        }
        Ok(container)
    }

    /// The image in the store, pulled before if that is wanted.
    fn find_image(&self, store: &ImageStore) -> Result<Image> {
        if self.pull != Pull::Always {
            match commands::find_image(store, &self.image) {
                Err(ImageError::NotFound(_)) if self.pull == Pull::Missing => {}
                other => return Ok(other?),
            }
        }
        let name = RegistryConfig::from_environment()?.complete(&self.image)?;
        if self.pull == Pull::Missing && !self.quiet {
            output::note(&format!("Unable to find image '{}' locally", name.familiar()));
        }
        Ok(store.resolve(&fetch(&name, self.quiet)?.to_string())?)
    }

    fn create_from(
        mut self,
        store: &ContainerStore,
        image: &Image,
        defaults: &ContainerDefaults,
    ) -> Result<Container> {
        let requests = self.mount_requests(image);
        if requests.concern_no_volume() {
            self.tmpfs = requests.tmpfs;
            return self.create_with(store, image, defaults, Vec::new());
        }
        let volumes = VolumeStore::new(store.directories().clone());
        // Held until the record is there, which is what keeps a volume from being removed.
        let lock = volumes.lock()?;
        let mut anonymous = Vec::new();
        let random = || {
            let name = VolumeName::generated(&format!("{}{}", nonce()?, nonce()?))?;
            anonymous.push(name.clone());
            Ok(name)
        };
        let planned = volume::plan::<anyhow::Error>(requests, &volumes, &lock, store, random);
        let made = planned.and_then(|(mounts, tmpfs)| {
            self.tmpfs = tmpfs;
            self.create_with(store, image, defaults, mounts)
        });
        if made.is_err() {
            // Nobody knows their names.
            for volume in anonymous.iter().filter_map(|name| volumes.find(name.as_str()).ok()) {
                volumes.remove(&lock, &volume, store)?;
            }
        }
        made
    }

    fn create_with(
        self,
        store: &ContainerStore,
        image: &Image,
        defaults: &ContainerDefaults,
        mounts: Vec<Mount>,
    ) -> Result<Container> {
        let nonce = nonce()?;
        let name = self.name.clone();
        let generated = u64::from_str_radix(nonce.get(..15).unwrap_or("0"), 16).unwrap_or(0);
        let record = Record {
            created: OffsetDateTime::now_utc(),
            image_id: image.id().to_string(),
            image: self.image.clone(),
            name: ContainerName::generated(generated),
            settings: self.settings(image, mounts, defaults)?,
            nonce,
        };
        // What the image and the settings make impossible is told before anything is made.
        bundle::build(image.config(), &record.settings, "check")?;
        logs::check(&record.settings.log_config)?;
        volume::check_rates(&record.settings, &VolumeStore::new(store.directories().clone()))?;
        Ok(store.create(record, name)?)
    }

    /// What is to be mounted, taken out of the flags.
    fn mount_requests(&mut self, image: &Image) -> MountRequests {
        let short = std::mem::take(&mut self.volume).into_iter().map(|flag| flag.0);
        let long = std::mem::take(&mut self.mount).into_iter().map(|flag| flag.0);
        let config = image.config().config().as_ref();
        MountRequests {
            mounts: short.chain(long).collect(),
            from: std::mem::take(&mut self.volumes_from),
            tmpfs: std::mem::take(&mut self.tmpfs),
            of_image: config.and_then(|config| config.volumes().clone()).unwrap_or_default(),
        }
    }

    fn settings(self, image: &Image, mounts: Vec<Mount>, defaults: &ContainerDefaults) -> Result<Settings> {
        let from_caller = |name: &str| std::env::var(name).ok();
        let mut env = Vec::new();
        for file in &self.env_file {
            env.extend(EnvVar::read_file(file)?);
        }
        env.extend(self.env);
        let mut labels = image.labels();
        for file in &self.label_file {
            labels.extend(Label::read_file(file)?);
        }
        labels.extend(self.label);
        let mut annotations = Labels::new();
        annotations.extend(self.annotation);
        let mut settings = Settings {
            entrypoint: self.entrypoint,
            cmd: self.command,
            env: env.iter().filter_map(|variable| variable.pinned(from_caller)).collect(),
            working_dir: self.workdir,
            user: self.user,
            group_add: self.group_add,
            hostname: self.hostname,
            domainname: self.domainname,
            healthcheck: self.health.over(image.healthcheck())?,
            labels,
            annotations,
            tty: self.tty,
            open_stdin: self.interactive,
            auto_remove: self.rm,
            init: self.init.unwrap_or(defaults.init),
            privileged: self.privileged,
            read_only_rootfs: self.read_only,
            no_new_privileges: !self.security_opt.is_empty(),
            cap_add: self.cap_add,
            cap_drop: self.cap_drop,
            mounts,
            tmpfs: self.tmpfs,
            devices: self.device,
            oom_score_adj: self.oom_score_adj,
            ulimits: defaults.ulimits(self.ulimit),
            sysctls: self.sysctl,
            restart: self.restart,
            stop_signal: self.stop_signal,
            stop_timeout_s: self.stop_timeout,
            limits: Limits::default().changed(&self.limits.limits()?)?,
            device_rates: self.device_rates.rates(),
            vm_memory: self.vm_memory.or(defaults.vm_memory),
            vm_cpus: self.vm_cpus,
            shm_size: self.shm_size.unwrap_or(defaults.shm_size),
            layer_size: self.storage_opt.unwrap_or(defaults.storage_size),
            log_config: defaults.log_config(self.log_driver, self.log_opt)?,
            cold: self.cold,
            ..Settings::default()
        };
        self.network.fill(&mut settings, image)?;
        Ok(settings)
    }
}
