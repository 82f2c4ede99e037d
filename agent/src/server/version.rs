//! `Version`.

use holm_protocol::agent::messages::VersionResponse;

use crate::fault::{At, Fault};

/// Which agent and kernel these are.
pub(super) fn version() -> Result<VersionResponse, Fault> {
    let names = nix::sys::utsname::uname().at("asking for the kernel's name")?;
    Ok(VersionResponse {
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        kernel_release: names.release().to_string_lossy().into_owned(),
        ..Default::default()
    })
}
