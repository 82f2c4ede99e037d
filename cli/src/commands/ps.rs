//! `holm ps`: the containers.

use std::cmp::Reverse;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use clap::Args;
use holm_runtime::bundle;
use holm_runtime::container::settings::{Mount, MountKind};
use holm_runtime::container::{Container, ContainerStore, HealthStatus, State, Status};
use holm_runtime::image::ImageStore;
use holm_runtime::sandbox::Transfer;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::filters;
use crate::format::Format;
use crate::label_match::{self, LabelMatch};
use crate::output;
use crate::published;

/// List containers
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm ps -a\n  holm ps -q -f status=exited\n  holm ps --format '{{.Names}}: {{.Status}}'\n\n\
                        Filters: id=, name=, status=, exited=, ancestor=, label=, health=, volume=\n\
                        Fields: .ID .Image .Command .CreatedAt .RunningFor .State .Status .Names .Ports .Labels .Mounts .Networks .Size"
)]
pub(crate) struct Ps {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<Filter>,
    /// Format output using a Go template, 'json' or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show n last created containers (includes all states)
    #[arg(short = 'n', long, value_name = "NUMBER")]
    last: Option<usize>,
    /// Show the latest created container (includes all states)
    #[arg(short, long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
}

/// `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    Id(String),
    Name(String),
    Status(String),
    Exited(i32),
    Ancestor(String),
    Label(LabelMatch),
    Health(String),
    Volume(String),
}

impl std::str::FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("invalid filter: want KEY=VALUE")?;
        let value = value.to_owned();
        match key {
            "id" => Ok(Self::Id(value)),
            "name" => Ok(Self::Name(value)),
            "status" => match value.as_str() {
                "created" | "running" | "paused" | "restarting" | "exited" | "removing" | "dead" => {
                    Ok(Self::Status(value))
                }
                _ => Err(format!("invalid filter 'status={value}'")),
            },
            "exited" => {
                value.parse().map(Self::Exited).map_err(|_| format!("invalid filter 'exited={value}'"))
            }
            "health" => match value.as_str() {
                "starting" | "healthy" | "unhealthy" | "none" => Ok(Self::Health(value)),
                _ => Err(format!("invalid filter 'health={value}'")),
            },
            "volume" => Ok(Self::Volume(value)),
            "label" => Ok(Self::Label(LabelMatch::new(&value))),
            "ancestor" => Ok(Self::Ancestor(value)),
            _ => Err(format!("invalid filter '{key}'")),
        }
    }
}

/// More than any size has.
const MAX_DIGITS: u64 = 20;

/// Containers that are measured at a time: each that does not run takes a VM for that.
const PARALLEL_SIZES: usize = 4;

const COLUMNS: [(&str, &str); 8] = [
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("PORTS", "Ports"),
    ("NAMES", "Names"),
    // Only with --size.
    ("SIZE", "Size"),
];

impl Ps {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let format = Format::parse(self.format.as_deref())?;
        if self.quiet && self.format.is_some() {
            bail!("--quiet and --format cannot be used together");
        }
        let images = super::images()?;
        let last = self.last.or(self.latest.then_some(1));
        let any_state = self.all
            || last.is_some()
            || self.filter.iter().any(|f| matches!(f, Filter::Status(_) | Filter::Exited(_)));
        let store = super::containers()?;
        let mut matching = store.list_states()?;
        if any_state {
            matching.extend(store.list_removing()?);
            matching.sort_by_key(|(container, _)| Reverse(container.record.created));
        } else {
            matching.retain(|(_, state)| state.status.is_active());
        }
        matching.retain(|(container, state)| self.matches(container, state, &images));
        matching.truncate(last.unwrap_or(usize::MAX));
        // Asking for it is enough, as in Docker.
        let asked = self.format.as_deref().is_some_and(|format| format.contains(".Size"));
        let with_size = (self.size || asked) && !self.quiet;
        let describe = |(container, state): &_| self.describe(&store, container, state, &images);
        let mut found: Vec<Value> = matching.iter().map(describe).collect();
        if with_size {
            for (described, size) in found.iter_mut().zip(sizes(&store, &matching, &images)?) {
                if let Some(fields) = described.as_object_mut() {
                    fields.insert("Size".to_owned(), size.into());
                }
            }
        }
        if self.quiet {
            super::print_ids(&found);
        } else {
            let columns = if self.size { &COLUMNS[..] } else { &COLUMNS[..COLUMNS.len() - 1] };
            format.print(columns, &found)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn matches(&self, container: &Container, state: &State, images: &ImageStore) -> bool {
        let passes = |filter: &Filter| match filter {
            Filter::Id(id) => container.id.as_str().starts_with(id.as_str()),
            Filter::Name(name) => container.name.as_str().contains(name.trim_start_matches('/')),
            Filter::Status(status) => state.status.to_string() == *status,
            Filter::Health(wanted) => {
                let found = container.health().map_or_else(|| "none".to_owned(), |h| h.status.to_string());
                found == *wanted
            }
            Filter::Volume(wanted) => container
                .record
                .settings
                .mounts
                .iter()
                .any(|mount| mount_name(mount) == *wanted || mount.destination == *wanted),
            Filter::Label(label) => label.matches(&container.record.settings.labels),
            Filter::Exited(code) => state.status == Status::Exited && state.exit_code == *code,
            Filter::Ancestor(image) => super::find_image(images, image)
                .is_ok_and(|image| image.id().to_string() == container.record.image_id),
        };
        filters::pass(&self.filter, |filter| matches!(filter, Filter::Label(_)), passes)
    }

    fn describe(
        &self,
        store: &ContainerStore,
        container: &Container,
        state: &State,
        images: &ImageStore,
    ) -> Value {
        let ports = if state.status.is_active() { published::ports(store, container) } else { Vec::new() };
        let record = &container.record;
        let id = if self.no_trunc { container.id.as_str() } else { container.id.short() };
        let command = format!("\"{}\"", command(container, images).join(" "));
        json!({
            "ID": id,
            "Image": record.image,
            "Command": if self.no_trunc { command } else { shortened(&command) },
            "CreatedAt": output::moment(record.created),
            "RunningFor": output::ago(record.created),
            "State": state.status.to_string(),
            "Status": status(container, state),
            "Names": container.name.to_string(),
            "Ports": published::column(&ports),
            "Labels": label_match::joined(&record.settings.labels),
            "LocalVolumes": record.settings.mounts.iter().filter_map(Mount::volume).count().to_string(),
            "Mounts": record.settings.mounts.iter().map(mount_name).collect::<Vec<_>>().join(","),
            "Networks": published::network_names(container),
        })
    }
}

/// What a mount is called: the volume, or the path of the host.
fn mount_name(mount: &Mount) -> String {
    match &mount.kind {
        MountKind::Bind { source } => source.display().to_string(),
        MountKind::Volume { name, .. } => name.to_string(),
    }
}

/// The sizes of all of these, a few at a time.
fn sizes(
    store: &ContainerStore,
    containers: &[(Container, State)],
    images: &ImageStore,
) -> Result<Vec<String>> {
    let next = AtomicUsize::new(0);
    let measure = || {
        let mut measured = Vec::new();
        while let Some((index, (container, state))) =
            containers.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed))
        {
            let size = match state.status {
                // Its layer goes at this moment.
                Status::Removing => Ok(String::new()),
                _ => size(store, container, images),
            };
            measured.push((index, size));
        }
        measured
    };
    let mut all: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..PARALLEL_SIZES.min(containers.len())).map(|_| scope.spawn(measure)).collect();
        // A worker does not panic.
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, size)| size).collect()
}

/// What the container wrote, and what it would be together with its image. A container that does not run is asked in a VM
/// of its own.
fn size(store: &ContainerStore, container: &Container, images: &ImageStore) -> Result<String> {
    // Its layer is made when it starts.
    let own_bytes = if container.layer().exists() {
        let digits =
            super::files(store, container)?.fetch(super::transfer(Transfer::MeasureLayer)?, MAX_DIGITS)?;
        std::str::from_utf8(&digits)?.parse::<u64>().context("the guest told no size")?
    } else {
        0
    };
    let image_bytes = images.resolve(&container.record.image_id).map_or(0, |image| image.size_bytes());
    let all_bytes = own_bytes.saturating_add(image_bytes);
    Ok(format!("{} (virtual {})", output::size(own_bytes), output::size(all_bytes)))
}

/// What runs, image and settings combined.
fn command(container: &Container, images: &ImageStore) -> Vec<String> {
    let settings = &container.record.settings;
    let bundle = images
        .resolve(&container.record.image_id)
        .ok()
        .and_then(|image| bundle::build(image.config(), settings, "").ok());
    let arguments = bundle.and_then(|bundle| bundle.spec.process().as_ref()?.args().clone());
    arguments.unwrap_or_else(|| settings.cmd.clone())
}

fn shortened(command: &str) -> String {
    const WIDTH: usize = 20;
    if command.chars().count() <= WIDTH {
        return command.to_owned();
    }
    let kept: String = command.chars().take(WIDTH - 2).collect();
    format!("{kept}…\"")
}

/// What stands behind the time of a container that runs.
fn health(container: &Container) -> &'static str {
    match container.health().map(|health| health.status) {
        None => "",
        Some(HealthStatus::Starting) => " (health: starting)",
        Some(HealthStatus::Healthy) => " (healthy)",
        Some(HealthStatus::Unhealthy) => " (unhealthy)",
    }
}

fn status(container: &Container, state: &State) -> String {
    let since = |then: Option<OffsetDateTime>| {
        then.map_or_else(String::new, |then| output::span(OffsetDateTime::now_utc() - then))
    };
    match state.status {
        Status::Created => "Created".to_owned(),
        Status::Running => format!("Up {}{}", since(state.started_at), health(container)),
        Status::Paused => format!("Up {} (Paused)", since(state.started_at)),
        Status::Restarting => {
            format!("Restarting ({}) {} ago", state.exit_code, since(state.finished_at))
        }
        Status::Removing => "Removal In Progress".to_owned(),
        Status::Dead => "Dead".to_owned(),
        Status::Exited => format!("Exited ({}) {} ago", state.exit_code, since(state.finished_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_dockers() {
        assert_eq!("name=web".parse(), Ok(Filter::Name("web".into())));
        assert_eq!("exited=137".parse(), Ok(Filter::Exited(137)));
        for text in ["name", "status=asleep", "exited=x", "colour=red"] {
            assert!(text.parse::<Filter>().unwrap_err().contains("invalid filter"), "{text}");
        }
    }

    #[test]
    fn commands_are_shortened_as_dockers() {
        assert_eq!(shortened("\"sh\""), "\"sh\"");
        assert_eq!(shortened("\"sleep 1000000000000000\""), "\"sleep 10000000000…\"");
    }
}
