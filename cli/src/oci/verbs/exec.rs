//! `exec`: one more process in a running container.

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use holm_cli::raw_mode::RawMode;
use holm_runtime::oci::{self, Bundle, ExecRequest, Streams};
use oci_spec::runtime::{Capability, Process};

use crate::Global;

/// Execute a process inside a container
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Unix socket that gets the master of the process's terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Working directory
    #[arg(long, value_name = "DIRECTORY")]
    cwd: Option<PathBuf>,
    /// Environment variables
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// User and group by their numbers
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// Further groups
    #[arg(short = 'g', long, value_name = "GID")]
    additional_gids: Vec<u32>,
    /// File with the process as in config.json
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,
    /// Return when it runs
    #[arg(short, long)]
    detach: bool,
    /// File that gets the pid of the process that stands for it
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Ignored: the guest kernel has no SELinux
    #[arg(long, value_name = "LABEL", hide = true)]
    process_label: Option<String>,
    /// Ignored: the guest kernel has no AppArmor
    #[arg(long, value_name = "PROFILE", hide = true)]
    apparmor: Option<String>,
    /// It cannot gain privileges
    #[arg(long)]
    no_new_privs: bool,
    /// Further capabilities
    #[arg(short, long, value_name = "CAPABILITY")]
    cap: Vec<String>,
    /// Number of open files that it gets: none can be given to a VM
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    preserve_fds: u32,
    /// The container's id
    id: String,
    /// Program and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Exec {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        self.execute(global).context("exec failed")
    }

    fn execute(&self, global: &Global) -> Result<ExitCode> {
        if self.preserve_fds > 0 {
            bail!("a process in a VM cannot have open files of the host (--preserve-fds)");
        }
        let absolute = |path: &Option<PathBuf>| path.as_deref().map(std::path::absolute).transpose();
        let request = ExecRequest {
            process: self.process(global)?,
            root: global.root()?,
            id: self.id.clone(),
            console_socket: absolute(&self.console_socket)?,
            pid_file: absolute(&self.pid_file)?,
        };
        let has_terminal = request.process.terminal().unwrap_or(false);
        if self.detach {
            if has_terminal && request.console_socket.is_none() {
                bail!("cannot allocate tty if runtime will detach without setting console socket");
            }
            oci::execute_detached(&request, &global.words()?, Streams::inherited())?;
            return Ok(ExitCode::SUCCESS);
        }
        let is_callers = has_terminal && request.console_socket.is_none();
        let raw = (is_callers && std::io::stdin().is_terminal()).then(RawMode::enter).transpose()?;
        let code = oci::execute(&request, |_| ());
        drop(raw);
        Ok(ExitCode::from(code?))
    }

    /// As the file says, or the container's own process with what was asked for instead.
    fn process(&self, global: &Global) -> Result<Process> {
        if let Some(path) = &self.process {
            let json = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            return serde_json::from_slice(&json)
                .with_context(|| format!("{} is no process", path.display()));
        }
        if self.command.is_empty() {
            bail!("process args cannot be empty");
        }
        let bundle = Bundle::load(&super::find(global, &self.id)?.record()?.bundle)?;
        let mut process = bundle.process()?.clone();
        process.set_args(Some(self.command.clone())).set_terminal(Some(self.tty));
        if let Some(cwd) = &self.cwd {
            process.set_cwd(cwd.clone());
        }
        if self.no_new_privs {
            process.set_no_new_privileges(Some(true));
        }
        let mut env = process.env().clone().unwrap_or_default();
        env.extend(self.env.iter().cloned());
        process.set_env(Some(env));
        self.set_user(&mut process)?;
        self.add_capabilities(&mut process)?;
        Ok(process)
    }

    fn set_user(&self, process: &mut Process) -> Result<()> {
        let user = process.user_mut();
        if let Some(asked) = &self.user {
            let (uid, gid) = asked.split_once(':').unwrap_or((asked, ""));
            let number = |text: &str| text.parse().with_context(|| format!("{asked:?} is no UID[:GID]"));
            user.set_uid(number(uid)?);
            if !gid.is_empty() {
                user.set_gid(number(gid)?);
            }
        }
        if !self.additional_gids.is_empty() {
            let mut groups = user.additional_gids().clone().unwrap_or_default();
            groups.extend(&self.additional_gids);
            user.set_additional_gids(Some(groups));
        }
        Ok(())
    }

    fn add_capabilities(&self, process: &mut Process) -> Result<()> {
        if self.cap.is_empty() {
            return Ok(());
        }
        let named = |name: &String| {
            let short = name.to_ascii_uppercase();
            let short = short.strip_prefix("CAP_").unwrap_or(&short);
            short.parse::<Capability>().with_context(|| format!("there is no capability {name}"))
        };
        let added = self.cap.iter().map(named).collect::<Result<Vec<_>>>()?;
        let mut all = process.capabilities().clone().unwrap_or_default();
        let extended = |set: &Option<std::collections::HashSet<Capability>>| {
            let mut set = set.clone().unwrap_or_default();
            set.extend(&added);
            Some(set)
        };
        let (bounding, effective) = (extended(all.bounding()), extended(all.effective()));
        let permitted = extended(all.permitted());
        all.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
        process.set_capabilities(Some(all));
        Ok(())
    }
}
