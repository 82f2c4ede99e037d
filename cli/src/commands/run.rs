//! `holm run`: make a container from an image and run it.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::attach::{self, AttachOptions, Session};
use crate::container_options::ContainerOptions;
use crate::exit::{self, FAILURE};
use crate::output;

/// Create and run a new container from an image
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  holm run --rm busybox echo hello\n  holm run --rm -it debian bash\n  \
                  holm run -d --name web -m 256m --cpus 1.5 my/server"
)]
pub(crate) struct Run {
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Run the container in the background and print its ID
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    attach: AttachOptions,
    #[command(flatten)]
    container: ContainerOptions,
}

impl Run {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (tty, interactive) = (self.container.tty(), self.container.interactive());
        if tty && interactive && !self.detach && !io::stdin().is_terminal() {
            bail!("the input device is not a TTY");
        }
        // Before anything is made.
        let installation = super::installation()?;
        let store = super::containers()?;
        let container = self.container.create(&store)?;
        let result = super::start::spawn(&installation, &store, &container, None).and_then(|mut client| {
            if self.detach {
                attach::detached(&mut client)?;
                output::line(container.id.as_str());
                Ok(ExitCode::SUCCESS)
            } else {
                let session = Session { tty, stdin: interactive, start: true, options: &self.attach };
                container.note("attach", &[]);
                attach::attached(client, store.directories(), session)
            }
        });
        // What never ran, for no fault of the program's, leaves nothing behind.
        if result.as_ref().is_err_and(|error| exit::code(error) == FAILURE)
            && container.state().is_ok_and(|state| state.started_at.is_none())
        {
            // The first failure is the one to tell.
            let _ = super::rm::remove_ended(&store, &container);
        }
        result
    }
}
