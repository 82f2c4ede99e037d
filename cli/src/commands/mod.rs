//! The verbs, one per file.

mod attach;
mod container;
mod container_inspect;
mod create;
mod doctor;
mod exec;
mod image;
mod images;
mod import;
mod inspect;
mod kill;
mod load;
mod logs;
mod pause;
mod ps;
mod rename;
mod restart;
mod rm;
mod rmi;
mod run;
mod start;
mod stats;
mod stop;
mod supervise;
mod tag;
mod top;
mod unpause;
mod version;
mod wait;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use holm_runtime::container::{Container, ContainerStore};
use holm_runtime::host::Directories;
use holm_runtime::image::ImageStore;
use holm_runtime::supervisor::Client;
use holm_runtime::supervisor::protocol::{Report, Request};

use crate::output;

/// What `holm` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<run::Run>),
    Create(Box<create::Create>),
    Start(start::Start),
    Stop(stop::Stop),
    Restart(restart::Restart),
    Kill(kill::Kill),
    Pause(pause::Pause),
    Unpause(unpause::Unpause),
    Wait(wait::Wait),
    Attach(attach::Attach),
    Exec(Box<exec::Exec>),
    Rename(rename::Rename),
    Ps(ps::Ps),
    Logs(logs::Logs),
    Stats(stats::Stats),
    Top(top::Top),
    Rm(rm::Rm),
    Images(images::Images),
    Rmi(rmi::Rmi),
    Load(load::Load),
    Import(import::Import),
    Tag(tag::Tag),
    Container(container::ContainerGroup),
    Image(image::ImageGroup),
    Inspect(inspect::Inspect),
    Doctor(doctor::Doctor),
    Version(version::Version),
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
            Self::Run(verb) => verb.run(),
            Self::Create(verb) => verb.run(),
            Self::Start(verb) => verb.run(),
            Self::Stop(verb) => verb.run(),
            Self::Restart(verb) => verb.run(),
            Self::Kill(verb) => verb.run(),
            Self::Pause(verb) => verb.run(),
            Self::Unpause(verb) => verb.run(),
            Self::Wait(verb) => verb.run(),
            Self::Attach(verb) => verb.run(),
            Self::Exec(verb) => verb.run(),
            Self::Rename(verb) => verb.run(),
            Self::Ps(verb) => verb.run(),
            Self::Logs(verb) => verb.run(),
            Self::Stats(verb) => verb.run(),
            Self::Top(verb) => verb.run(),
            Self::Rm(verb) => verb.run(),
            Self::Images(verb) => verb.run(),
            Self::Rmi(verb) => verb.run(),
            Self::Load(verb) => verb.run(),
            Self::Import(verb) => verb.run(),
            Self::Tag(verb) => verb.run(),
            Self::Container(verb) => verb.run(),
            Self::Image(verb) => verb.run(),
            Self::Inspect(verb) => verb.run(),
            Self::Doctor(verb) => verb.run(),
            Self::Version(verb) => verb.run(),
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

fn containers() -> Result<ContainerStore> {
    Ok(ContainerStore::new(directories()?))
}

fn images() -> Result<ImageStore> {
    Ok(ImageStore::open(directories()?.root())?)
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
