//! As much of a PC keyboard controller as `reboot=k` needs: a status that is always "ready", and the reset command.

/// Status when read, command when written.
pub const COMMAND_PORT: u16 = 0x64;
/// Pulses the CPU's reset line.
const RESET: u8 = 0xfe;

/// The status register: neither buffer is full.
pub const STATUS: u8 = 0;

/// Whether a write to [`COMMAND_PORT`] asks for a reset.
#[must_use]
pub fn is_reset(data: &[u8]) -> bool {
    data.first() == Some(&RESET)
}
