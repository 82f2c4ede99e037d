//! `holm update`: change what can be changed of containers: their limits and the restart policy.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use holm_runtime::container::settings::{DeviceRate, DeviceRates, Limits, NetworkRate, RestartPolicy};
use holm_runtime::container::{Container, ContainerStore};
use holm_runtime::supervisor::protocol::Request;
use holm_runtime::volume::{VolumeStore, check_rates};

use crate::limit_options::LimitOptions;

/// Update configuration of one or more containers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm update -m 1g --cpus 2 --restart unless-stopped web\n\n\
                        A running container can be given what its VM has room for (holm inspect shows the VM; run has \
                        --vm-memory and --vm-cpus); more applies when it is stopped first. Rates of networks and disks change \
                        up and down while it runs.")]
pub(crate) struct Update {
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    rates: RateChanges,
    #[command(flatten)]
    refused: Refused,
    /// Restart policy to apply when a container exits (no, always, on-failure[:max-retries], unless-stopped)
    #[arg(long, value_name = "POLICY")]
    restart: Option<RestartPolicy>,
    /// Names or IDs
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Rates, which may be zero: then nothing is limited any more.
#[derive(Debug, Args)]
struct RateChanges {
    /// Limit what each network interface receives, in bytes per second (10m; 0 for no limit)
    #[arg(long, value_name = "RATE", value_parser = NetworkRate::parse_change)]
    net_rate_in: Option<NetworkRate>,
    /// Limit what each network interface sends, in bytes per second (0 for no limit)
    #[arg(long, value_name = "RATE", value_parser = NetworkRate::parse_change)]
    net_rate_out: Option<NetworkRate>,
    /// Limit read rate (bytes per second) from a disk (/ is the container's writable layer; rate 0 for no limit)
    #[arg(long, value_name = "PATH:RATE", value_parser = DeviceRate::parse_bytes_change)]
    device_read_bps: Vec<DeviceRate>,
    /// Limit read rate (IO per second) from a disk
    #[arg(long, value_name = "PATH:RATE", value_parser = DeviceRate::parse_requests_change)]
    device_read_iops: Vec<DeviceRate>,
    /// Limit write rate (bytes per second) to a disk
    #[arg(long, value_name = "PATH:RATE", value_parser = DeviceRate::parse_bytes_change)]
    device_write_bps: Vec<DeviceRate>,
    /// Limit write rate (IO per second) to a disk
    #[arg(long, value_name = "PATH:RATE", value_parser = DeviceRate::parse_requests_change)]
    device_write_iops: Vec<DeviceRate>,
}

/// Docker's other flags.
#[derive(Debug, Args)]
struct Refused {
    /// Block IO weight (cannot be changed)
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<String>,
}

impl Update {
    pub(crate) fn run(self) -> Result<ExitCode> {
        if let Some(flag) = self.refused.first() {
            bail!("--{flag} cannot be changed");
        }
        let rates = self.rates;
        let change = Limits {
            net_rate_in: rates.net_rate_in,
            net_rate_out: rates.net_rate_out,
            device_rates: DeviceRates {
                read_bps: rates.device_read_bps,
                write_bps: rates.device_write_bps,
                read_iops: rates.device_read_iops,
                write_iops: rates.device_write_iops,
            },
            ..self.limits.limits()?
        };
        if change == Limits::default() && self.restart.is_none() {
            bail!("you must provide one or more flags when using this command");
        }
        let store = super::containers()?;
        super::each(&self.containers, |name| {
            let container = store.find(name)?;
            update(&store, &container, &change, self.restart)
                .with_context(|| format!("cannot update container {}", container.name))
        })
    }
}

fn update(
    store: &ContainerStore,
    container: &Container,
    change: &Limits,
    restart: Option<RestartPolicy>,
) -> Result<()> {
    if container.record.settings.auto_remove && restart.is_some_and(|policy| policy != RestartPolicy::No) {
        bail!("restart policy cannot be updated because --rm is set");
    }
    if *change != Limits::default() {
        limit(store, container, change)?;
    }
    restart.map_or(Ok(()), |policy| Ok(container.set_restart_policy(policy)?))
}

/// Whoever has the container's lock changes its limits: the supervisor that runs it, or we.
fn limit(store: &ContainerStore, container: &Container, change: &Limits) -> Result<()> {
    if container.state()?.status.is_active() {
        return super::ask(store, container, Request::Update(Box::new(change.clone())));
    }
    let _lock = super::start::lock(container)?;
    let limits = container.limits()?.changed(change)?;
    let volumes = VolumeStore::new(store.directories().clone());
    check_rates(&container.record.settings.limited(limits.clone()), &volumes)?;
    Ok(container.set_limits(&limits)?)
}

impl Refused {
    /// The first flag that was given.
    fn first(&self) -> Option<&'static str> {
        let given = [("blkio-weight", &self.blkio_weight)];
        given.into_iter().find(|(_, value)| value.is_some()).map(|(flag, _)| flag)
    }
}
