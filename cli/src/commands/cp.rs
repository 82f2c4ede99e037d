//! `holm cp`: files between a container and the host.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_archive::Keep;
use holm_runtime::events::Journal;

use crate::copy::{self, Place};
use crate::output;

/// Copy files/folders between a container and the local filesystem
#[derive(Debug, Args)]
#[command(
    override_usage = "holm cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n       holm cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    after_help = "Examples:\n  holm cp web:/etc/hosts .\n  holm cp -a site/. web:/srv\n\n\
                  Use '-' as the source to read a tar archive from stdin and extract it to a directory of a container.\n\
                  Use '-' as the destination to write a tar archive of a container's file to stdout.\n\
                  On the host, files belong to you and have no set-user-ID bits unless -a is given; devices are not made."
)]
pub(crate) struct Cp {
    /// Archive mode (copy all uid/gid information)
    #[arg(short, long)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Suppress progress output during copy
    #[arg(short, long)]
    quiet: bool,
    /// What to copy
    #[arg(value_name = "SRC_PATH", hide = true)]
    source: Place,
    /// Where to
    #[arg(value_name = "DEST_PATH", hide = true)]
    destination: Place,
}

impl Cp {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (name, inward) = match (&self.source, &self.destination) {
            (Place::Container(..), Place::Container(..)) => {
                bail!("copying between containers is not supported")
            }
            (Place::Container(name, _), _) => (name.clone(), false),
            (_, Place::Container(name, _)) => (name.clone(), true),
            _ => bail!("must specify at least one container source"),
        };
        if !inward && self.destination == Place::Stream && io::stdout().is_terminal() {
            bail!("cowardly refusing to write a tar to a terminal, redirect it");
        }
        let store = super::containers()?;
        let container = store.find(&name)?;
        if inward && container.record.settings.read_only_rootfs {
            bail!("container rootfs is marked read-only");
        }
        let files = super::files(&store, &container)?;
        let (from, to) = (shown(&self.source), shown(&self.destination));
        let keep = if self.archive { Keep::Owners } else { Keep::Contents };
        let follow = self.follow_link;
        let journal = Journal::of(store.directories().root());
        let journal = journal.directory();
        let bytes = match (self.source, &self.destination) {
            (Place::Container(_, path), Place::Host(to)) => {
                copy::tree_out(&files, &name, (path, follow), (to, keep), journal)?
            }
            (Place::Container(_, path), _) => copy::stream_out(&files, &name, (path, follow), journal)?,
            (Place::Host(from), Place::Container(_, to)) => copy::tree_in(&files, &name, &from, follow, to)?,
            (_, Place::Container(_, to)) => copy::stream_in(&files, &name, to)?,
            // Refused above.
            _ => 0,
        };
        container.note(if inward { "extract-to-dir" } else { "archive-path" }, &[]);
        if !self.quiet && io::stdout().is_terminal() {
            output::note(&format!("Successfully copied {} from {from} to {to}", output::size(bytes)));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn shown(place: &Place) -> String {
    match place {
        Place::Container(name, path) => format!("{name}:{}", path.0.path),
        Place::Host(path) => path.path.clone(),
        Place::Stream => "-".to_owned(),
    }
}
