//! What a guest does first of all when the host wants something of it, whether it has just booted or goes on from a template.
//!
//! Guests of one template are the same to the last bit until then. Random numbers, clock, memory and devices make each its own, before
//! anything of a container exists.

use std::time::Duration;

use holm_protocol::agent::messages::{Awakening, MmioDevice};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

use crate::fault::{At, Fault};
use crate::memory;
use crate::plug;
use crate::sys::random;

/// Acts on what the host tells. A request for a further container of the same guest tells nothing.
pub(crate) fn awaken(awakening: &Awakening) -> Result<(), Fault> {
    if !awakening.entropy.is_empty() {
        random::reseed(&awakening.entropy).at("reseeding the kernel's random numbers")?;
    }
    if awakening.realtime_ns != 0 {
        let now = TimeSpec::from_duration(Duration::from_nanos(awakening.realtime_ns));
        clock_settime(ClockId::CLOCK_REALTIME, now).at("setting the clock")?;
    }
    memory::grow(&awakening.memory_blocks).at("taking memory into use")?;
    for device in &awakening.devices {
        plug::plug(device).at(format_args!("finding the device in slot {}", device.slot))?;
    }
    if !awakening.late_devices.is_empty() {
        tokio::spawn(plug_late(awakening.late_devices.clone()));
    }
    Ok(())
}

/// A container is meant to run by now. Entropy it had from the host; memory that nobody has used yet need not be given back.
const LATE: Duration = Duration::from_secs(1);

/// Finds what no container waits for.
async fn plug_late(devices: Vec<MmioDevice>) {
    tokio::time::sleep(LATE).await;
    for device in devices {
        if let Err(error) = plug::plug(&device) {
            tracing::warn!("the guest goes without the device in slot {}: {error}", device.slot);
        }
    }
}
