//! The power-off port: any write to it ends the VM.
//!
//! The port that QEMU's PM1a control block uses; a guest without ACPI writes to it through `/dev/port`.

/// The port.
pub const POWER_OFF_PORT: u16 = 0x604;
