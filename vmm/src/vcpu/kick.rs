//! Getting a vCPU out of `KVM_RUN`: a signal whose handler sets `immediate_exit`.
//!
//! The signal alone could arrive just before `KVM_RUN` and be lost; with `immediate_exit` set, that `KVM_RUN` returns at
//! once (Linux `Documentation/virt/kvm/api.rst` section 5).
#![allow(unsafe_code)] // a signal handler, and the pointer that it needs

use std::cell::Cell;
use std::ptr;

use kvm_bindings::kvm_run;
use kvm_ioctls::VcpuFd;
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

use super::{Vcpu, VcpuError};

thread_local! {
    /// This thread's vCPU's shared page, while it has one. Const-initialised and without a destructor, so a handler may
    /// use it.
    static RUN_PAGE: Cell<*mut kvm_run> = const { Cell::new(ptr::null_mut()) };
}

/// The signal.
pub(super) fn signal() -> libc::c_int {
    SIGRTMIN()
}

/// Installs the handler, for the whole process and once: the jail takes that call away.
///
/// # Errors
/// The kernel refuses.
pub fn install_handler() -> Result<(), VcpuError> {
    extern "C" fn handle(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
        let page = RUN_PAGE.get();
        if !page.is_null() {
            // SAFETY: `Kickable` sets the pointer only while the page is mapped, on the thread that runs this handler.
            // The kernel and this handler are the field's only users while `KVM_RUN` is under way.
            unsafe { ptr::write_volatile(&raw mut (*page).immediate_exit, 1) };
        }
    }
    register_signal_handler(signal(), handle).map_err(VcpuError::Handler)
}

/// A vCPU on the thread that runs it.
pub(super) struct Kickable {
    /// Before the vCPU, so that it is undone before the page is unmapped.
    _tie: Tie,
    vcpu: Vcpu,
}

/// Undone when the vCPU leaves the thread.
struct Tie;

impl Kickable {
    /// Ties the vCPU to this thread: from here on the signal ends its `KVM_RUN`.
    pub(super) fn new(mut vcpu: Vcpu) -> Self {
        RUN_PAGE.set(ptr::from_mut(vcpu.fd.get_kvm_run()));
        Self { _tie: Tie, vcpu }
    }

    pub(super) fn fd(&mut self) -> &mut VcpuFd {
        &mut self.vcpu.fd
    }

    pub(super) fn id(&self) -> u8 {
        self.vcpu.id
    }

    /// The vCPU, for another thread.
    pub(super) fn untie(self) -> Vcpu {
        let Self { _tie: tie, mut vcpu } = self;
        drop(tie);
        // A kick that came meanwhile was for this thread.
        vcpu.fd.set_kvm_immediate_exit(0);
        vcpu
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        RUN_PAGE.set(ptr::null_mut());
    }
}
