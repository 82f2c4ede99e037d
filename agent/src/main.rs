//! `holm-agent`: PID 1 of a Holm guest, and the only program that is Holm's in it.
//!
//! One thread: an async runtime that serves ttrpc to the host ([`control`], [`server`]) and moves stdio ([`stdio`]).
//! Containers are made by cloning it ([`child`]), and so are the processes that transfer files ([`files`]). When it fails for
//! good it ends, the kernel panics, and the VMM reports that; the reason is the last line of the kernel's log.

mod awaken;
mod boot;
mod child;
mod container;
mod control;
mod disk;
mod fault;
mod files;
mod klog;
mod memory;
mod mount_points;
mod names;
mod oci;
mod plug;
mod reaper;
mod registry;
mod rootfs;
mod server;
mod shared_memory;
mod shares;
mod sockets;
mod stdio;
mod sys;
mod volumes;

use std::process::ExitCode;
use std::sync::Arc;

use fault::{At, Fault};
use holm_protocol::agent::service::create_agent;
use reaper::Reaper;
use registry::Registry;
use server::AgentServer;

fn main() -> ExitCode {
    if std::process::id() != 1 {
        return ExitCode::from(2);
    }
    let prepared = boot::prepare();
    klog::install();
    match prepared.and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Fault> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().at("starting the runtime")?;
    runtime.block_on(async {
        let registry = Arc::new(Registry::default());
        let streams = stdio::listener::bind().at("listening for streams")?;
        tokio::spawn(stdio::listener::serve(streams, Arc::clone(&registry)));
        let reaper = Reaper::start()?;
        let server = AgentServer::new(registry, reaper);
        // While the host answers the call: it takes a while and every container needs it. Making one tries again, and says
        // what is wrong.
        tokio::spawn(async { container::cgroup::enable_controllers().unwrap_or_default() });
        control::serve(create_agent(Arc::new(server))).await
    })
}
