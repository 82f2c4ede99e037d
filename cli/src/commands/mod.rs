//! The verbs, one per file.

mod attach;
mod commit;
mod completion;
mod container;
mod container_inspect;
mod cp;
mod create;
mod diff;
mod doctor;
mod event_filter;
mod events;
mod exec;
mod export;
mod history;
mod image;
mod images;
mod import;
mod inspect;
mod kill;
mod load;
mod login;
mod logout;
mod logs;
mod manual;
mod pause;
mod port;
mod prune;
mod ps;
mod pull;
mod push;
mod rename;
mod restart;
mod rm;
mod rmi;
mod run;
mod save;
mod start;
mod stats;
mod stop;
mod supervise;
mod system;
mod tag;
mod top;
mod unpause;
mod update;
mod version;
mod wait;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use holm_runtime::container::{Container, ContainerStore};
use holm_runtime::host::{Directories, Installation};
use holm_runtime::image::{Image, ImageError, ImageStore, Reference};
use holm_runtime::registry::RegistryConfig;
use holm_runtime::sandbox::{Transfer, TransferRequest};
use holm_runtime::supervisor::protocol::{Report, Request};
use holm_runtime::supervisor::{Client, FilesClient};
use serde_json::Value;

pub(crate) use self::pull::pull;
use crate::nonce::nonce;
use crate::output;

/// What `holm` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    OfContainers(container::ContainerVerb),
    Ps(ps::Ps),
    Images(images::Images),
    Rmi(rmi::Rmi),
    #[command(flatten)]
    OfImages(image::ImageVerb),
    Inspect(inspect::Inspect),
    Login(login::Login),
    Logout(logout::Logout),
    Container(container::ContainerGroup),
    Image(image::ImageGroup),
    Events(events::Events),
    System(system::SystemGroup),
    Info(system::info::Info),
    Doctor(doctor::Doctor),
    Version(version::Version),
    Completion(completion::Completion),
    #[command(hide = true)]
    Manual(manual::Manual),
    #[command(hide = true)]
    Supervise(supervise::Supervise),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// What the user is told, with exit code 125 unless the error carries another.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::OfContainers(verb) => verb.run(),
            Self::Ps(verb) => verb.run(),
            Self::Images(verb) => verb.run(),
            Self::Rmi(verb) => verb.run(),
            Self::OfImages(verb) => verb.run(),
            Self::Inspect(verb) => verb.run(),
            Self::Login(verb) => verb.run(),
            Self::Logout(verb) => verb.run(),
            Self::Container(group) => group.run(),
            Self::Image(group) => group.run(),
            Self::Events(verb) => verb.run(),
            Self::System(group) => group.run(),
            Self::Info(verb) => verb.run(),
            Self::Doctor(verb) => verb.run(),
            Self::Version(verb) => verb.run(),
            Self::Completion(verb) => verb.run(),
            Self::Manual(verb) => verb.run(),
            Self::Supervise(verb) => verb.run(),
        }
    }
}

/// The state directories, made if need be.
fn directories() -> Result<Directories> {
    let directories = Directories::from_environment();
    directories.create()?;
    Ok(directories)
}

/// Holm's own files, which are there.
fn installation() -> Result<Installation> {
    let installation = Installation::find()?;
    installation.check()?;
    Ok(installation)
}

fn containers() -> Result<ContainerStore> {
    Ok(ContainerStore::new(directories()?))
}

fn images() -> Result<ImageStore> {
    Ok(ImageStore::open(directories()?.root())?)
}

/// The name by which the store has what the user wrote: as it is, or else completed with the configured default registry.
/// What it has by neither stays as it is, for a message about the name that the user knows.
fn stored_name(store: &ImageStore, name: &str) -> Result<String, ImageError> {
    let is_missing = |name: &str| matches!(store.resolve(name), Err(ImageError::NotFound(_)));
    if is_missing(name) && name.parse::<Reference>().is_ok() {
        let completed = RegistryConfig::from_environment()?.complete(name)?.to_string();
        if !is_missing(&completed) {
            return Ok(completed);
        }
    }
    Ok(name.to_owned())
}

/// An image of the store by what the user wrote.
pub(crate) fn find_image(store: &ImageStore, name: &str) -> Result<Image, ImageError> {
    store.resolve(&stored_name(store, name)?)
}

/// Prints the `ID` of each thing.
fn print_ids(things: &[Value]) {
    for thing in things {
        output::line(thing.get("ID").and_then(Value::as_str).unwrap_or_default());
    }
}

/// Does something to each of `names`, prints those for which it worked, and complains about the others.
fn each(names: &[String], mut action: impl FnMut(&str) -> Result<()>) -> Result<ExitCode> {
    each_quietly(names, |name| {
        action(name)?;
        output::line(name);
        Ok(())
    })
}

/// As [`each`]; what worked prints for itself.
fn each_quietly(names: &[String], mut action: impl FnMut(&str) -> Result<()>) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for name in names {
        if let Err(error) = action(name) {
            output::complain(&format!("{error:#}"));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// A way to a container's files, whether it runs or not.
fn files(store: &ContainerStore, container: &Container) -> Result<FilesClient> {
    Ok(FilesClient::open(&installation()?, store.directories(), container)?)
}

/// A transfer during which a running container goes on.
fn transfer(what: Transfer) -> Result<TransferRequest> {
    Ok(TransferRequest { id: nonce()?, what, pause: false })
}

/// Asks a container's supervisor for something and waits until it is done.
fn ask(store: &ContainerStore, container: &Container, request: Request) -> Result<()> {
    question(store, container, request).map(drop)
}

/// Asks a container's supervisor something and gives its answer.
fn question(store: &ContainerStore, container: &Container, request: Request) -> Result<Report> {
    let Ok(mut client) = Client::connect(store.directories(), container) else {
        bail!("container {} is not running", container.name);
    };
    client.requests()?.send(request)?;
    loop {
        match client.next_report()? {
            Report::Started => {}
            Report::Refused { message } | Report::Failed { message, .. } => bail!("{message}"),
            Report::Exited { .. } => bail!("container {} is not running", container.name),
            answer => return Ok(answer),
        }
    }
}
