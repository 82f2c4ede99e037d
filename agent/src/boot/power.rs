//! Ending the VM from inside.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use nix::sys::reboot::{RebootMode, reboot};

/// I/O port on which a byte ends the VM: Holm's VMM has no ACPI.
const POWER_PORT: u64 = 0x604;
const POWER_OFF: u8 = 1;

/// Writes everything back and powers off. Returns only when nothing worked.
pub(crate) fn off() {
    nix::unistd::sync();
    let port = OpenOptions::new().write(true).open("/dev/port");
    if let Err(error) = port.and_then(|port| port.write_all_at(&[POWER_OFF], POWER_PORT)) {
        tracing::error!("powering off by port {POWER_PORT:#x}: {error}");
    }
    // Under another VMM the port does nothing.
    let Err(error) = reboot(RebootMode::RB_AUTOBOOT);
    tracing::error!("rebooting: {error}");
}
