//! All that KVM knows of a vCPU: taken from one that stands still, and given to a new one (Linux
//! Documentation/virt/kvm/api.rst).
#![allow(unsafe_code)] // KVM_SET_XSAVE

use kvm_bindings::{
    Msrs, kvm_cpuid_entry2, kvm_debugregs, kvm_lapic_state, kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_sregs,
    kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use serde::{Deserialize, Serialize};

use super::{Vcpu, VcpuError};

/// One vCPU at rest.
#[derive(Serialize, Deserialize)]
pub struct VcpuState {
    cpuid: Vec<kvm_cpuid_entry2>,
    tsc_khz: u32,
    mp_state: kvm_mp_state,
    regs: kvm_regs,
    sregs: kvm_sregs,
    xsave: kvm_xsave,
    xcrs: kvm_xcrs,
    debug: kvm_debugregs,
    lapic: kvm_lapic_state,
    msrs: Vec<kvm_msr_entry>,
    events: kvm_vcpu_events,
}

/// The registers that KVM says make up a vCPU's state.
///
/// # Errors
/// KVM refuses.
pub fn msr_indices(kvm: &Kvm) -> Result<Vec<u32>, kvm_ioctls::Error> {
    Ok(kvm.get_msr_index_list()?.as_slice().to_vec())
}

impl Vcpu {
    /// Everything that a vCPU is which would go on like this one. It must have left `KVM_RUN`.
    ///
    /// # Errors
    /// KVM refuses.
    pub fn state(&mut self, msr_indices: &[u32]) -> Result<VcpuState, VcpuError> {
        let id = self.id;
        let failed = |action| move |source| VcpuError::Kvm { id, action, source };
        complete(&mut self.fd).map_err(failed("finish its last access"))?;
        let fd = &self.fd;
        Ok(VcpuState {
            cpuid: self.cpuid.clone(),
            tsc_khz: fd.get_tsc_khz().map_err(failed("read its TSC's frequency"))?,
            // First: it makes KVM take in INITs and SIPIs that wait.
            mp_state: fd.get_mp_state().map_err(failed("read its MP state"))?,
            regs: fd.get_regs().map_err(failed("read its registers"))?,
            sregs: fd.get_sregs().map_err(failed("read its system registers"))?,
            xsave: fd.get_xsave().map_err(failed("read its extended state"))?,
            xcrs: fd.get_xcrs().map_err(failed("read its extended control registers"))?,
            debug: fd.get_debug_regs().map_err(failed("read its debug registers"))?,
            lapic: fd.get_lapic().map_err(failed("read its local APIC"))?,
            msrs: msrs(fd, msr_indices).map_err(failed("read its MSRs"))?,
            events: fd.get_vcpu_events().map_err(failed("read its events"))?,
        })
    }

    /// A vCPU that goes on as `state` says.
    ///
    /// # Errors
    /// KVM refuses.
    pub fn restored(vm: &VmFd, id: u8, state: &VcpuState) -> Result<Self, VcpuError> {
        let failed = |action| move |source| VcpuError::Kvm { id, action, source };
        let vcpu = Self::with_cpuid(vm, id, state.cpuid.clone())?;
        let fd = &vcpu.fd;
        if fd.get_tsc_khz() != Ok(state.tsc_khz) {
            fd.set_tsc_khz(state.tsc_khz).map_err(failed("set its TSC's frequency"))?;
        }
        fd.set_mp_state(state.mp_state).map_err(failed("set its MP state"))?;
        fd.set_regs(&state.regs).map_err(failed("set its registers"))?;
        // With the APIC base, before the local APIC; with XCR0, before the extended state.
        fd.set_sregs(&state.sregs).map_err(failed("set its system registers"))?;
        fd.set_xcrs(&state.xcrs).map_err(failed("set its extended control registers"))?;
        // SAFETY: KVM reads 4096 bytes, the size of the value: more only where a process has asked for larger state
        // components (arch_prctl(2)), which this one has not.
        unsafe { fd.set_xsave(&state.xsave) }.map_err(failed("set its extended state"))?;
        fd.set_debug_regs(&state.debug).map_err(failed("set its debug registers"))?;
        fd.set_lapic(&state.lapic).map_err(failed("set its local APIC"))?;
        // After the local APIC, which holds the timer that the deadline is for.
        set_msrs(fd, &state.msrs).map_err(failed("set its MSRs"))?;
        fd.set_vcpu_events(&state.events).map_err(failed("set its events"))?;
        Ok(vcpu)
    }
}

/// A port or memory access that the VMM has answered takes effect at the next `KVM_RUN`, which then returns at once.
fn complete(fd: &mut VcpuFd) -> Result<(), kvm_ioctls::Error> {
    fd.set_kvm_immediate_exit(1);
    let result = fd.run().map(|_| ());
    fd.set_kvm_immediate_exit(0);
    match result {
        Err(error) if !matches!(error.errno(), libc::EINTR | libc::EAGAIN) => Err(error),
        _ => Ok(()),
    }
}

/// The values of those that can be read and written back: some are for reading only.
fn msrs(fd: &VcpuFd, indices: &[u32]) -> Result<Vec<kvm_msr_entry>, kvm_ioctls::Error> {
    let entry = |index: &u32| kvm_msr_entry { index: *index, ..Default::default() };
    let read = taken(indices.iter().map(entry).collect(), |msrs| fd.get_msrs(msrs))?;
    taken(read, |msrs| fd.set_msrs(msrs))
}

/// What KVM takes of `entries`: it stops at the first that it does not.
fn taken(
    mut entries: Vec<kvm_msr_entry>,
    mut action: impl FnMut(&mut Msrs) -> Result<usize, kvm_ioctls::Error>,
) -> Result<Vec<kvm_msr_entry>, kvm_ioctls::Error> {
    let mut taken = Vec::with_capacity(entries.len());
    while !entries.is_empty() {
        let mut msrs = Msrs::from_entries(&entries).map_err(|_| kvm_ioctls::Error::new(libc::E2BIG))?;
        let count = action(&mut msrs)?.min(entries.len());
        taken.extend(msrs.as_slice().iter().take(count));
        entries.drain(..entries.len().min(count + 1));
    }
    Ok(taken)
}

fn set_msrs(fd: &VcpuFd, entries: &[kvm_msr_entry]) -> Result<(), kvm_ioctls::Error> {
    let refused = || kvm_ioctls::Error::new(libc::EINVAL);
    let msrs = Msrs::from_entries(entries).map_err(|_| refused())?;
    if fd.set_msrs(&msrs)? == entries.len() { Ok(()) } else { Err(refused()) }
}
