//! `delete`: remove what a container left.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::oci::{self, OciError};

use crate::Global;

/// Delete a container that has stopped
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Kill it first if it runs; one that does not exist is fine
    #[arg(short, long)]
    force: bool,
    /// The container's id
    id: String,
}

impl Delete {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode> {
        let deleted = super::find(global, &self.id);
        let deleted = deleted.and_then(|container| Ok(oci::delete(&container, self.force)?));
        match deleted {
            Err(error) if self.force && matches!(error.downcast_ref(), Some(OciError::NotFound)) => {}
            other => other?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
