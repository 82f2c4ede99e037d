//! Virtual CPUs.
//!
//! - `registers`: the state in which the boot vCPU starts.
//! - `state`: all of a vCPU, for templates.
//! - `run`: the loop around `KVM_RUN`.
//! - `kick`: how another thread gets a vCPU out of `KVM_RUN`.
//! - `threads`: one thread per vCPU, started and stopped together.
//!
//! The local APICs are KVM's: vCPUs but the first wait in the kernel until the guest wakes them by INIT and SIPI.

mod kick;
mod registers;
mod run;
mod state;
mod threads;

use kvm_bindings::{CpuId, kvm_cpuid_entry2};
use kvm_ioctls::{VcpuFd, VmFd};

use crate::boot::cpuid;
use crate::memory::GuestAddress;

pub use kick::install_handler;
pub use registers::flat_32_bit;
pub use state::{VcpuState, msr_indices};
pub use threads::{Stopped, VcpuThreads, start};

/// A vCPU cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VcpuError {
    /// KVM refuses.
    #[error("vCPU {id}: cannot {action}")]
    Kvm {
        /// Index of the vCPU.
        id: u8,
        /// What was tried.
        action: &'static str,
        /// What KVM said.
        source: kvm_ioctls::Error,
    },
    /// More CPUID entries than fit.
    #[error("vCPU {0}: too many CPUID entries")]
    Cpuid(u8),
    /// The kick signal's handler cannot be installed.
    #[error("cannot install the vCPU signal handler")]
    Handler(#[source] vmm_sys_util::errno::Error),
    /// The host has no thread for it.
    #[error("vCPU {id}: cannot start its thread")]
    Thread {
        /// Index of the vCPU.
        id: u8,
        /// What the host said.
        source: std::io::Error,
    },
}

/// A virtual CPU that does not run yet.
#[derive(Debug)]
pub struct Vcpu {
    fd: VcpuFd,
    id: u8,
    cpuid: Vec<kvm_cpuid_entry2>,
}

impl Vcpu {
    /// The `id`th of `count` vCPUs, waiting for its start.
    ///
    /// # Errors
    /// KVM refuses.
    pub fn new(vm: &VmFd, id: u8, count: u8, supported: &CpuId) -> Result<Self, VcpuError> {
        let failed = |action| move |source| VcpuError::Kvm { id, action, source };
        let vcpu = Self::with_cpuid(vm, id, cpuid::entries(supported, cpuid::Vcpu { id, count }))?;
        registers::enable_state_components(&vcpu.fd, &vcpu.cpuid).map_err(failed("set XCR0"))?;
        Ok(vcpu)
    }

    fn with_cpuid(vm: &VmFd, id: u8, cpuid: Vec<kvm_cpuid_entry2>) -> Result<Self, VcpuError> {
        let failed = |action| move |source| VcpuError::Kvm { id, action, source };
        let fd = vm.create_vcpu(id.into()).map_err(failed("create it"))?;
        let entries = CpuId::from_entries(&cpuid).map_err(|_| VcpuError::Cpuid(id))?;
        fd.set_cpuid2(&entries).map_err(failed("set its CPUID"))?;
        Ok(Self { fd, id, cpuid })
    }

    /// Makes this the boot vCPU, starting at the kernel's 64-bit entry point.
    ///
    /// # Errors
    /// KVM refuses.
    pub fn boot_at(&self, entry: GuestAddress) -> Result<(), VcpuError> {
        registers::set_64_bit(&self.fd, entry).map_err(|source| VcpuError::Kvm {
            id: self.id,
            action: "set its registers",
            source,
        })
    }
}
