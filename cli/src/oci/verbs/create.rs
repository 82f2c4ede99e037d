//! `create`: make a container that waits to be started.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use holm_runtime::oci::{self, CgroupForm, CreateRequest, Streams};

use crate::Global;

/// What a container is made of
#[derive(Debug, Args)]
pub(super) struct BundleOptions {
    /// Directory with config.json
    #[arg(short, long, value_name = "DIRECTORY", default_value = ".")]
    bundle: PathBuf,
    /// Unix socket that gets the master of the container's terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// File that gets the pid of the process whose life is the container's
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Ignored: the root is changed inside the VM
    #[arg(long)]
    no_pivot: bool,
    /// Ignored: a VM has keyrings of its own
    #[arg(long)]
    no_new_keyring: bool,
    /// Number of open files that the container gets: none can be given to a VM
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    preserve_fds: u32,
    /// The container's id
    pub(super) id: String,
}

impl BundleOptions {
    pub(super) fn request(&self, global: &Global, foreground: bool) -> Result<CreateRequest> {
        Ok(CreateRequest {
            root: global.root()?,
            sandbox_roots: vec![global.root()?],
            id: self.id.parse()?,
            bundle: self.bundle.clone(),
            pid_file: self.pid_file.clone(),
            console_socket: self.console_socket.clone(),
            foreground,
            preserve_fds: self.preserve_fds,
            root_device: None,
            cgroup_form: if global.systemd_cgroup { CgroupForm::Systemd } else { CgroupForm::Directory },
            global_words: global.words()?,
        })
    }
}

/// Create a container
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    options: BundleOptions,
}

impl Create {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        let request = self.options.request(global, false)?;
        let created = oci::create(&request, Streams::inherited()).context("container create failed")?;
        // It outlives this process; whoever adopts it reaps it.
        drop(created);
        Ok(ExitCode::SUCCESS)
    }
}
