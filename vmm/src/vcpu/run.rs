//! The loop around `KVM_RUN`.

use std::sync::atomic::{AtomicBool, Ordering};

use holm_protocol::vm_exit::VmExit;
use kvm_ioctls::VcpuExit;

use super::kick::Kickable;
use crate::devices::bus::Bus;

/// Runs the guest until it ends, or until `stop` is set and the vCPU kicked (then `None`).
pub(super) fn run(vcpu: &mut Kickable, bus: &Bus, stop: &AtomicBool) -> Option<VmExit> {
    let id = vcpu.id();
    while !stop.load(Ordering::Acquire) {
        if let Err(exit) = step(vcpu, id, bus) {
            return Some(exit);
        }
    }
    None
}

/// One `KVM_RUN` and what it asks for.
fn step(vcpu: &mut Kickable, id: u8, bus: &Bus) -> Result<(), VmExit> {
    match vcpu.fd().run() {
        Ok(VcpuExit::IoOut(port, data)) => bus.write_port(port, data).map_or(Ok(()), Err),
        Ok(VcpuExit::IoIn(port, data)) => {
            bus.ports().read(port, data);
            Ok(())
        }
        Ok(VcpuExit::MmioRead(address, data)) => {
            bus.read(address, data);
            Ok(())
        }
        Ok(VcpuExit::MmioWrite(address, data)) => {
            bus.write(address, data);
            Ok(())
        }
        Ok(VcpuExit::Shutdown) => Err(bus.ports().panicked_or(VmExit::TripleFault)),
        Ok(VcpuExit::Intr) => Ok(()),
        Ok(VcpuExit::InternalError) => {
            Err(VmExit::Internal(format!("vCPU {id}: KVM cannot emulate an instruction of the guest")))
        }
        Ok(VcpuExit::FailEntry(reason, _)) => {
            Err(VmExit::Internal(format!("vCPU {id}: the hardware refuses to enter the guest ({reason:#x})")))
        }
        Ok(other) => Err(VmExit::Internal(format!("vCPU {id}: unexpected KVM exit {other:?}"))),
        Err(error) => match error.errno() {
            libc::EINTR => {
                // Kicked; whoever kicked has set `stop` before.
                vcpu.fd().set_kvm_immediate_exit(0);
                Ok(())
            }
            libc::EAGAIN => Ok(()),
            _ => Err(VmExit::Internal(format!("vCPU {id}: KVM_RUN: {error}"))),
        },
    }
}
