//! The verbs, one per file.

mod doctor;
mod images;
mod import;
mod inspect;
mod load;
mod logs;
mod ps;
mod rm;
mod rmi;
mod run;
mod supervise;
mod version;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use holm_runtime::container::ContainerStore;
use holm_runtime::host::Directories;
use holm_runtime::image::ImageStore;

/// What `holm` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<run::Run>),
    Ps(ps::Ps),
    Logs(logs::Logs),
    Rm(rm::Rm),
    Images(images::Images),
    Rmi(rmi::Rmi),
    Load(load::Load),
    Import(import::Import),
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
            Self::Ps(verb) => verb.run(),
            Self::Logs(verb) => verb.run(),
            Self::Rm(verb) => verb.run(),
            Self::Images(verb) => verb.run(),
            Self::Rmi(verb) => verb.run(),
            Self::Load(verb) => verb.run(),
            Self::Import(verb) => verb.run(),
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
