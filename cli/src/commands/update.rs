//! `holm update`: change what can be changed of containers: their limits and the restart policy.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use holm_runtime::container::settings::{Limits, RestartPolicy};
use holm_runtime::container::{Container, ContainerStore};
use holm_runtime::supervisor::protocol::Request;

use crate::limit_options::LimitOptions;

/// Update configuration of one or more containers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm update -m 1g --cpus 2 --restart unless-stopped web\n\n\
                        A running container can be given what its VM has room for (holm inspect shows the VM; run has \
                        --vm-memory and --vm-cpus); more applies when it is stopped first.")]
pub(crate) struct Update {
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    refused: Refused,
    /// Restart policy to apply when a container exits (no, always, on-failure[:max-retries], unless-stopped)
    #[arg(long, value_name = "POLICY")]
    restart: Option<RestartPolicy>,
    /// Names or IDs
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Docker's other flags.
#[derive(Debug, Args)]
struct Refused {
    /// Block IO weight (cannot be changed)
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<String>,
    /// CPU CFS period (cannot be changed; use --cpus)
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<String>,
    /// CPU CFS quota (cannot be changed; use --cpus)
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_quota: Option<String>,
}

impl Update {
    pub(crate) fn run(self) -> Result<ExitCode> {
        if let Some(flag) = self.refused.first() {
            bail!("--{flag} cannot be changed");
        }
        let change = self.limits.limits()?;
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
    Ok(container.set_limits(&container.limits()?.changed(change)?)?)
}

impl Refused {
    /// The first flag that was given.
    fn first(&self) -> Option<&'static str> {
        let given = [
            ("blkio-weight", &self.blkio_weight),
            ("cpu-period", &self.cpu_period),
            ("cpu-quota", &self.cpu_quota),
        ];
        given.into_iter().find(|(_, value)| value.is_some()).map(|(flag, _)| flag)
    }
}
