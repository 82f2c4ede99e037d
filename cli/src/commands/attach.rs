//! `holm attach`: the caller's stdio, connected with a running workload's.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::container::Status;
use holm_runtime::supervisor::Client;

use crate::attach::{self, AttachOptions, Session};

/// Attach local standard input, output and error streams to a running container
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm attach --detach-keys ctrl-x web")]
pub(crate) struct Attach {
    /// Do not attach stdin
    #[arg(long)]
    no_stdin: bool,
    #[command(flatten)]
    options: AttachOptions,
    /// Name or ID
    container: String,
}

impl Attach {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        let container = store.find(&self.container)?;
        match container.state()?.status {
            Status::Running => {}
            Status::Paused => bail!("you cannot attach to a paused container, unpause it first"),
            Status::Restarting => {
                bail!("you cannot attach to a restarting container, wait until it is running")
            }
            Status::Created | Status::Exited | Status::Removing | Status::Dead => {
                bail!("you cannot attach to a stopped container, start it first")
            }
        }
        let settings = &container.record.settings;
        let stdin = settings.open_stdin && !self.no_stdin;
        let session = Session { tty: settings.tty, stdin, start: false, options: &self.options };
        let client = Client::connect(store.directories(), &container)?;
        container.note("attach", &[]);
        attach::attached(client, store.directories(), session)
    }
}
