//! `holm exec`: one more process in a running container.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::bundle::ExecRequest;
use holm_runtime::container::settings::EnvVar;
use holm_runtime::container::{Container, ContainerStore};
use holm_runtime::supervisor::Client;
use holm_runtime::supervisor::protocol::Report;

use crate::attach::{self, AttachOptions, DetachKeys, Session};
use crate::exit::Failure;
use crate::nonce::nonce;

/// Execute a command in a running container
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm exec web cat /etc/hosts\n  holm exec -it web sh\n  holm exec -u www-data -w /srv web ls"
)]
pub(crate) struct Exec {
    /// Detached mode: run command in the background
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS", default_value_t)]
    detach_keys: DetachKeys,
    /// Set environment variables
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<EnvVar>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Give extended privileges to the command, inside the VM
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-terminal
    #[arg(short, long)]
    tty: bool,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Name or ID
    container: String,
    /// Command and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What a process ends with when its container is killed.
const KILLED: u8 = 137;

impl Exec {
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.tty && self.interactive && !self.detach && !io::stdin().is_terminal() {
            bail!("the input device is not a TTY");
        }
        let store = super::containers()?;
        let container = store.find(&self.container)?;
        let (tty, stdin, detach) = (self.tty, self.interactive && !self.detach, self.detach);
        let options = AttachOptions { detach_keys: self.detach_keys.clone(), sig_proxy: true };
        let mut client = self.execute(&store, &container)?;
        if detach {
            return match client.next_report()? {
                Report::Failed { code, message } => Err(Failure { code, message }.into()),
                _ => Ok(ExitCode::SUCCESS),
            };
        }
        let result = attach::attached(
            client,
            store.directories(),
            Session { tty, stdin, start: false, options: &options },
        );
        let ended = !container.state().is_ok_and(|state| state.status.is_active());
        if result.is_err() && ended { Ok(ExitCode::from(KILLED)) } else { result }
    }

    fn execute(self, store: &ContainerStore, container: &Container) -> Result<Client> {
        if !container.state()?.status.is_active() {
            bail!("container {} is not running", container.name);
        }
        let mut env = Vec::new();
        for file in &self.env_file {
            env.extend(EnvVar::read_file(file)?);
        }
        env.extend(self.env);
        let from_caller = |name: &str| std::env::var(name).ok();
        let request = ExecRequest {
            id: nonce()?,
            arguments: self.command,
            env: env.iter().filter_map(|variable| variable.pinned(from_caller)).collect(),
            user: self.user,
            working_dir: self.workdir,
            tty: self.tty,
            stdin: self.interactive && !self.detach,
            outputs: !self.detach,
            privileged: self.privileged,
        };
        Ok(Client::execute(store.directories(), container, request)?)
    }
}
