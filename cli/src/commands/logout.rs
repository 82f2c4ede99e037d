//! `holm logout`: credentials for a registry out of Docker's config.json.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::registry::CredentialStore;

use crate::output;

/// Log out from a registry
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm logout registry.example")]
pub(crate) struct Logout {
    /// HOST or HOST:PORT; Docker Hub when there is none
    server: Option<String>,
}

impl Logout {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let registry = super::login::registry(self.server.as_deref());
        if CredentialStore::from_environment().erase(&registry)? {
            output::line(&format!("Removing login credentials for {registry}"));
        } else {
            output::line(&format!("Not logged in to {registry}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
