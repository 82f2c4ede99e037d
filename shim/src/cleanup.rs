//! `delete`: what containerd has done after a shim that died: nothing of its container is left.

use std::io::Write;

use anyhow::{Context, Result};
use containerd_shim_protos::api::DeleteResponse;
use holm_runtime::oci::{self, OciError};
use protobuf::Message;

use crate::address::Address;
use crate::command_line::CommandLine;
use crate::error::ShimError;
use crate::events::timestamp;
use crate::process::Exit;
use crate::rootfs::Rootfs;
use crate::task::left_in;

/// As a shell says that SIGKILL ended it.
const KILLED: u32 = 128 + 9;

/// Kills and removes the container of a bundle; prints how it ended.
pub(crate) fn delete(words: &CommandLine) -> Result<()> {
    let bundle = std::path::absolute(&words.bundle).context("cannot find the bundle")?;
    let mut response = DeleteResponse::new();
    let exit = Exit::with(KILLED);
    (response.exit_status, response.exited_at) = (exit.status, Some(timestamp(exit.at)).into());
    match left_in(&bundle, &words.id) {
        Ok(container) => {
            response.pid = container.record().map(|record| record.pid).unwrap_or_default();
            oci::delete(&container, true).context("cannot remove the container")?;
        }
        // It was not made yet, or is gone already.
        Err(ShimError::Oci(OciError::NotFound)) => {}
        Err(error) => return Err(error).context("cannot find the container"),
    }
    holm_faults::crash!("shim.cleanup.removed");
    drop(Rootfs::left_in(&bundle));
    let address = Address::of(&words.address, &words.namespace, &words.id);
    if !address.is_served() {
        address.remove().context("cannot remove the shim's socket")?;
    }
    holm_faults::crash!("shim.cleanup.unmounted");
    let bytes = response.write_to_bytes().context("cannot encode the response")?;
    std::io::stdout().write_all(&bytes).context("cannot print the response")
}
