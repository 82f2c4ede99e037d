//! Which commands of ioctl(2) are allowed (Linux `include/uapi/linux/kvm.h`, `if_tun.h`).

use std::mem::size_of;

use kvm_bindings::{
    kvm_clock_data, kvm_debugregs, kvm_ioeventfd, kvm_irqchip, kvm_irqfd, kvm_lapic_state, kvm_mp_state,
    kvm_msr_list, kvm_msrs, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use vmm_sys_util::ioctl::{_IOC_NONE, _IOC_READ, _IOC_WRITE, ioctl_expr};

/// Of a vCPU: the guest runs, and what its driver says of a network's frames is passed on to the host's kernel.
pub(super) const OF_VCPUS: &[u32] = &[kvm::<()>(_IOC_NONE, 0x80), TUNSETOFFLOAD, TUNSETQUEUE];

/// Of a network of several queues: which of them the host's kernel gives frames to.
pub(super) const OF_QUEUES: &[u32] = &[TUNSETQUEUE];

/// Of whoever changes and saves the machine: devices are wired, a TAP that comes later is looked at, vCPUs and VM are read. It makes
/// no VM, no vCPU and no memory. The threads that it starts have no more than it has.
pub(super) const OF_THE_MACHINE: &[u32] = &[
    kvm::<()>(_IOC_NONE, 0x80),                        // KVM_RUN
    kvm::<kvm_msr_list>(_IOC_READ | _IOC_WRITE, 0x02), // KVM_GET_MSR_INDEX_LIST
    kvm::<kvm_irqchip>(_IOC_READ | _IOC_WRITE, 0x62),  // KVM_GET_IRQCHIP
    kvm::<kvm_irqfd>(_IOC_WRITE, 0x76),                // KVM_IRQFD
    kvm::<kvm_ioeventfd>(_IOC_WRITE, 0x79),            // KVM_IOEVENTFD
    kvm::<kvm_clock_data>(_IOC_READ, 0x7c),            // KVM_GET_CLOCK
    kvm::<kvm_regs>(_IOC_READ, 0x81),                  // KVM_GET_REGS
    kvm::<kvm_sregs>(_IOC_READ, 0x83),                 // KVM_GET_SREGS
    kvm::<kvm_msrs>(_IOC_READ | _IOC_WRITE, 0x88),     // KVM_GET_MSRS
    // Those that were read are written back, to see which can be.
    kvm::<kvm_msrs>(_IOC_WRITE, 0x89),       // KVM_SET_MSRS
    kvm::<kvm_lapic_state>(_IOC_READ, 0x8e), // KVM_GET_LAPIC
    kvm::<kvm_mp_state>(_IOC_READ, 0x98),    // KVM_GET_MP_STATE
    kvm::<kvm_vcpu_events>(_IOC_READ, 0x9f), // KVM_GET_VCPU_EVENTS
    kvm::<kvm_debugregs>(_IOC_READ, 0xa1),   // KVM_GET_DEBUGREGS
    kvm::<()>(_IOC_NONE, 0xa3),              // KVM_GET_TSC_KHZ
    kvm::<kvm_xsave>(_IOC_READ, 0xa4),       // KVM_GET_XSAVE
    kvm::<kvm_xcrs>(_IOC_READ, 0xa6),        // KVM_GET_XCRS
    narrow(libc::TUNGETIFF),
    narrow(libc::TUNSETVNETHDRSZ),
    TUNSETOFFLOAD,
    TUNSETQUEUE,
    // Sockets of vsock.
    narrow(libc::FIONBIO),
];

const TUNSETOFFLOAD: u32 = narrow(libc::TUNSETOFFLOAD);
const TUNSETQUEUE: u32 = narrow(libc::TUNSETQUEUE);

const KVMIO: u32 = 0xae;

#[allow(clippy::cast_possible_truncation)] // structures of a few KiB
const fn kvm<T>(direction: u32, number: u32) -> u32 {
    narrow(ioctl_expr(direction, KVMIO, number, size_of::<T>() as u32))
}

#[allow(clippy::cast_possible_truncation)] // numbers of requests have 32 bits
const fn narrow(request: libc::c_ulong) -> u32 {
    request as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_the_header() {
        // As strace names them on x86_64.
        for (command, number) in [
            (OF_VCPUS[0], 0xae80),
            (kvm::<kvm_msr_list>(_IOC_READ | _IOC_WRITE, 0x02), 0xc004_ae02),
            (kvm::<kvm_irqfd>(_IOC_WRITE, 0x76), 0x4020_ae76),
            (kvm::<kvm_regs>(_IOC_READ, 0x81), 0x8090_ae81),
            (kvm::<kvm_msrs>(_IOC_READ | _IOC_WRITE, 0x88), 0xc008_ae88),
            (kvm::<kvm_xsave>(_IOC_READ, 0xa4), 0x9000_aea4),
        ] {
            assert_eq!(command, number, "{command:#x}");
            assert!(OF_THE_MACHINE.contains(&command));
        }
        assert!(OF_VCPUS.iter().all(|command| OF_THE_MACHINE.contains(command)), "vCPUs are started by it");
    }
}
