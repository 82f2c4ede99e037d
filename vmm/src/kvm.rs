//! `/dev/kvm`: opened, and checked for all that this VMM builds on. That it can really run a guest kernel is another
//! question, which [`crate::probe`] answers.
#![allow(unsafe_code)] // KVM_SET_USER_MEMORY_REGION

use std::io;

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Cap, Kvm, VmFd};

use crate::memory::{Address, GuestMemory, GuestMemoryRegion, GuestRam};

/// The only version there ever was (Linux `Documentation/virt/kvm/api.rst` section 4.1).
const API_VERSION: i32 = 12;

/// Why KVM cannot be used; what to do about it is part of the message.
#[derive(Debug, thiserror::Error)]
pub enum KvmError {
    /// No such device.
    #[error("/dev/kvm does not exist: load kvm_intel or kvm_amd, and enable virtualization in the firmware")]
    Missing,
    /// The device exists, but not for this user.
    #[error("no permission to open /dev/kvm: add the user to the group that owns it")]
    Permission,
    /// Something else about the device.
    #[error("cannot open /dev/kvm")]
    Open(#[source] io::Error),
    /// Another KVM than the one we know.
    #[error(
        "what is at /dev/kvm is not the KVM that Holm knows (API version {0}, not {API_VERSION}): look at `ls -l /dev/kvm`"
    )]
    ApiVersion(i32),
    /// Something that Linux has had since 4.13 at the latest.
    #[error("KVM lacks {0}: the host's kernel is too old or restricts it")]
    Capability(&'static str),
}

const NEEDED: [(Cap, &str); 9] = [
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    (Cap::Irqchip, "KVM_CAP_IRQCHIP"),
    (Cap::Irqfd, "KVM_CAP_IRQFD"),
    (Cap::Ioeventfd, "KVM_CAP_IOEVENTFD"),
    (Cap::SetTssAddr, "KVM_CAP_SET_TSS_ADDR"),
    (Cap::SetIdentityMapAddr, "KVM_CAP_SET_IDENTITY_MAP_ADDR"),
    (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
    (Cap::TscDeadlineTimer, "KVM_CAP_TSC_DEADLINE_TIMER"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
];

/// Opens `/dev/kvm`.
///
/// # Errors
/// [`KvmError`], each reason apart.
pub fn open() -> Result<Kvm, KvmError> {
    let kvm = Kvm::new().map_err(|error| match error.errno() {
        libc::ENOENT | libc::ENODEV | libc::ENXIO => KvmError::Missing,
        libc::EACCES | libc::EPERM => KvmError::Permission,
        other => KvmError::Open(io::Error::from_raw_os_error(other)),
    })?;
    match kvm.get_api_version() {
        API_VERSION => {}
        other => return Err(KvmError::ApiVersion(other)),
    }
    match NEEDED.into_iter().find(|(capability, _)| !kvm.check_extension(*capability)) {
        Some((_, name)) => Err(KvmError::Capability(name)),
        None => Ok(kvm),
    }
}

/// Gives a new VM its memory.
///
/// # Errors
/// KVM refuses.
pub fn give_memory(vm: &VmFd, memory: &GuestRam) -> Result<(), kvm_ioctls::Error> {
    for (slot, region) in (0..).zip(memory.iter()) {
        let slot = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: region.start_addr().raw_value(),
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
        };
        // SAFETY: the mapping is as long as the slot says, and `memory::allocate`'s are never unmapped. Nothing in this process
        // has a reference into guest memory.
        unsafe { vm.set_user_memory_region(slot) }?;
    }
    Ok(())
}
