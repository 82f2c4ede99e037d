//! The verbs, one per file.

mod attach;
mod checkpoint;
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
mod fork;
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
mod network;
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
mod system;
mod tag;
mod template;
mod top;
mod unpause;
mod update;
mod version;
mod volume;
mod wait;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use holm_runtime::container::{Container, ContainerStore};
use holm_runtime::host::{Directories, Installation};
use holm_runtime::image::{Image, ImageError, ImageStore, Reference};
use holm_runtime::network::NetworkStore;
use holm_runtime::registry::RegistryConfig;
use holm_runtime::sandbox::{Transfer, TransferRequest};
use holm_runtime::supervisor::protocol::{Report, Request};
use holm_runtime::supervisor::{Client, FilesClient};
use holm_runtime::template::TemplateStore;
use holm_runtime::volume::VolumeStore;
use serde_json::Value;

pub(crate) use self::pull::pull;
use crate::nonce::nonce;
use crate::output;

/// What `holm` can do.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
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
    Checkpoint(checkpoint::CheckpointGroup),
    Container(container::ContainerGroup),
    Image(image::ImageGroup),
    Volume(volume::VolumeGroup),
    Network(network::NetworkGroup),
    Template(template::TemplateGroup),
    Events(events::Events),
    System(system::SystemGroup),
    Info(system::info::Info),
    Doctor(doctor::Doctor),
    Version(version::Version),
    Completion(completion::Completion),
    #[command(hide = true)]
    Manual(manual::Manual),
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
            Self::Checkpoint(group) => group.run(),
            Self::Container(group) => group.run(),
            Self::Image(group) => group.run(),
            Self::Volume(group) => group.run(),
            Self::Network(group) => group.run(),
            Self::Template(group) => group.run(),
            Self::Events(verb) => verb.run(),
            Self::System(group) => group.run(),
            Self::Info(verb) => verb.run(),
            Self::Doctor(verb) => verb.run(),
            Self::Version(verb) => verb.run(),
            Self::Completion(verb) => verb.run(),
            Self::Manual(verb) => verb.run(),
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

fn volumes() -> Result<VolumeStore> {
    Ok(VolumeStore::new(directories()?))
}

fn networks() -> Result<NetworkStore> {
    Ok(NetworkStore::new(directories()?))
}

fn templates() -> Result<TemplateStore> {
    Ok(TemplateStore::new(&directories()?))
}

fn images() -> Result<ImageStore> {
    Ok(ImageStore::open(directories()?.root())?)
}

/// An image of the store by what the user wrote, and the name by which the store has it: as it is, or else completed with
/// the configured default registry. The message about one that is not there names what the user wrote.
fn look_up(store: &ImageStore, name: &str) -> Result<(String, Image), ImageError> {
    let missing = match store.resolve(name) {
        Err(missing @ ImageError::NotFound(_)) if name.parse::<Reference>().is_ok() => missing,
        found => return Ok((name.to_owned(), found?)),
    };
    let completed = RegistryConfig::from_environment()?.complete(name)?.to_string();
    match store.resolve(&completed) {
        Err(ImageError::NotFound(_)) => Err(missing),
        found => Ok((completed, found?)),
    }
}

/// The name by which the store has the image that the user means.
fn stored_name(store: &ImageStore, name: &str) -> Result<String, ImageError> {
    look_up(store, name).map(|(name, _)| name)
}

/// An image of the store by what the user wrote.
pub(crate) fn find_image(store: &ImageStore, name: &str) -> Result<Image, ImageError> {
    look_up(store, name).map(|(_, image)| image)
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
