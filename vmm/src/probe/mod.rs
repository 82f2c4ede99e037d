//! Whether KVM runs guest kernels as hardware does.
//!
//! Some hosts have a `/dev/kvm` that answers every ioctl and yet interprets the guest's kernel mode, a few million
//! instructions a second. Opening the device proves nothing, so a throwaway VM counts down in ring 0 and is timed.
//!
//! ```text
//!  200,000 instructions ──► fast, over 2 ms? ──► that is the speed
//!             ▲                  │ no
//!             └── twice as many ─┴─► over 50 ms? ──► that is the speed
//! ```
//! Short rounds are mostly entering and leaving the guest, so a slow one proves nothing; an interpreter stays slow.

mod report;
mod spin;

use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::sync::mpsc;
use std::time::Duration;

use kvm_ioctls::Kvm;

use crate::kvm::{self, KvmError};
use crate::thread;

pub use report::report;

/// A round this long is timed well enough.
const LONG_ENOUGH: Duration = Duration::from_millis(2);
/// A slow round this long is slow for no other reason than the guest's own speed.
const LONG_ENOUGH_TO_BE_SLOW: Duration = Duration::from_millis(50);
/// A guest that has not answered by then will not. An interpreter takes some 120 ms.
const PATIENCE: Duration = Duration::from_secs(2);
/// Hardware does a billion and more, nested or emulated by a translator too, unless the host is badly overloaded;
/// interpreters do one to three million.
pub const ENOUGH_INSTRUCTIONS_PER_SECOND: u64 = 25_000_000;

/// KVM does not run guest kernels as hardware does.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No KVM at all.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// A call that every KVM takes is refused.
    #[error("cannot {action} for a test VM")]
    Setup {
        /// What was tried.
        action: &'static str,
        /// What the host said.
        source: kvm_ioctls::Error,
    },
    /// The test VM has no memory.
    #[error("cannot map memory for a test VM")]
    Memory(#[source] crate::memory::MemoryError),
    /// The guest did something else than count down.
    #[error("a test VM ended with {0} instead of counting down")]
    UnexpectedExit(String),
    /// The guest runs, but not on hardware.
    #[error(
        "this KVM interprets guest kernels ({instructions_per_second} instructions a second): use bare metal, a VM \
         with nested virtualization, or the lab"
    )]
    Interpreted {
        /// What was measured.
        instructions_per_second: u64,
    },
    /// The test did not end.
    #[error("a test VM did not count down within {} ms: this KVM does not run guest kernels", PATIENCE.as_millis())]
    Stuck,
    /// The host has no thread for the test.
    #[error("cannot start a thread for a test VM")]
    Thread(#[source] std::io::Error),
}

/// Measures on a throwaway VM, in about 10 ms on hardware. Instructions per second.
///
/// # Errors
/// KVM is missing, or does not run guest kernels as hardware does.
pub fn measure() -> Result<u64, ProbeError> {
    let kvm = kvm::open()?;
    let (sender, receiver) = mpsc::channel();
    // On a thread of its own: a guest that hangs can then be left behind.
    let body = move || drop(sender.send(spin::measure(&kvm)));
    thread::spawn("probe".into(), None, body).map_err(ProbeError::Thread)?;
    match receiver.recv_timeout(PATIENCE).map_err(|_| ProbeError::Stuck)?? {
        speed if speed < ENOUGH_INSTRUCTIONS_PER_SECOND => {
            Err(ProbeError::Interpreted { instructions_per_second: speed })
        }
        speed => Ok(speed),
    }
}

/// Before a VM is started: measures if there is a doubt, which costs a start nothing where there is none.
///
/// # Errors
/// As [`measure`].
pub fn refuse_interpretation(_: &Kvm) -> Result<(), ProbeError> {
    if has_hardware_virtualization() { Ok(()) } else { measure().map(drop) }
}

/// Whether this CPU shows VMX or SVM: without either, KVM must be something else.
fn has_hardware_virtualization() -> bool {
    const VMX: u32 = 1 << 5;
    const SVM: u32 = 1 << 2;
    let vmx = __cpuid(1).ecx & VMX != 0;
    let svm = __cpuid(0x8000_0000).eax > 0x8000_0000 && __cpuid_count(0x8000_0001, 0).ecx & SVM != 0;
    vmx || svm
}
