//! `holm stop`: ask workloads to end, and kill them when they do not.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::settings::SignalName;
use holm_runtime::container::{Container, ContainerStore};
use holm_runtime::image::ImageStore;
use holm_runtime::supervisor::Client;
use holm_runtime::supervisor::protocol::{Report, Request};

/// Stop one or more running containers
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm stop web\n  holm stop -t 60 database")]
pub(crate) struct Stop {
    #[command(flatten)]
    how: StopOptions,
    /// Names or IDs
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// How to stop.
#[derive(Debug, Args)]
pub(super) struct StopOptions {
    /// Signal to send to the container
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<SignalName>,
    /// Seconds to wait before killing the container; -1 waits for ever
    #[arg(short = 't', long = "timeout", visible_alias = "time", value_name = "SECONDS", allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-1..))]
    timeout_s: Option<i32>,
}

/// Docker's.
const DEFAULT_TIMEOUT_S: i32 = 10;

impl Stop {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        super::each(&self.containers, |name| stop(&store, &store.find(name)?, &self.how))
    }
}

/// Stops a container; fine when it does not run.
pub(super) fn stop(store: &ContainerStore, container: &Container, how: &StopOptions) -> Result<()> {
    let Ok(mut client) = Client::connect(store.directories(), container) else { return Ok(()) };
    let settings = &container.record.settings;
    let signal = match how.signal.or(settings.stop_signal) {
        Some(signal) => signal,
        None => image_signal(store, container),
    };
    let timeout_s = how.timeout_s.or(settings.stop_timeout_s).unwrap_or(DEFAULT_TIMEOUT_S);
    // Negative: for ever.
    let grace_s = u32::try_from(timeout_s).ok();
    client.requests()?.send(Request::Stop { signal: signal.number(), grace_s })?;
    while let Ok(report) = client.next_report() {
        if matches!(report, Report::Exited { .. } | Report::Failed { .. }) {
            break;
        }
    }
    Ok(())
}

/// The image's stop signal, or SIGTERM where it names none that exists.
fn image_signal(store: &ContainerStore, container: &Container) -> SignalName {
    let image =
        ImageStore::open(store.directories().root()).and_then(|s| s.resolve(&container.record.image_id));
    let named = image.ok().and_then(|image| image.config().config().clone()?.stop_signal().clone());
    named.and_then(|name| name.parse().ok()).unwrap_or(SignalName::TERM)
}
