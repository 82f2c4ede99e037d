//! What a guest does first of all when the host wants something of it, whether it has just booted or goes on from a template.
//!
//! Guests of one template are the same to the last bit until then. Random numbers, clock and devices make each its own, before
//! anything of a container exists.

use std::time::Duration;

use holm_protocol::agent::messages::Awakening;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

use crate::fault::{At, Fault};
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
    for device in &awakening.devices {
        plug::plug(device).at(format_args!("finding the device in slot {}", device.slot))?;
    }
    Ok(())
}
