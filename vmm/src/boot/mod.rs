//! Everything that happens to guest memory and vCPU state before the first guest instruction.
//!
//! Boot protocol: Linux's own for 64-bit mode (Linux Documentation/arch/x86/boot.rst) at the entry of an ELF vmlinux: one
//! structure, no real mode, no decompression. PVH would do as well, but its kernel code looks for Xen first, with 256 CPUID
//! instructions that each leave the guest.
//!
//! Trust: kernel, initramfs and configuration come from the host. No guest code runs yet.

pub mod boot_params;
pub mod cmdline;
pub mod cpuid;
pub mod initramfs;
pub mod kernel;
pub mod mptable;
pub mod page_tables;

use std::io;
use std::path::PathBuf;

use crate::memory::GuestMemoryError;

/// Why a guest cannot be set up to boot.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A boot file cannot be opened or measured.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// The kernel file is not a loadable ELF, or does not fit into memory.
    #[error("cannot load the kernel {}", path.display())]
    Kernel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: linux_loader::loader::Error,
    },
    /// The file has no PVH note, by which a kernel for virtual machines is told from any other program.
    #[error("{} is no kernel for virtual machines: it has no PVH note (CONFIG_PVH)", .0.display())]
    NotAKernel(PathBuf),
    /// The initramfs and the kernel do not fit into memory together.
    #[error(
        "the initramfs {} ({initramfs_bytes} bytes) does not fit into memory beside the kernel",
        path.display()
    )]
    InitramfsTooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        initramfs_bytes: u64,
    },
    /// The initramfs cannot be read.
    #[error("cannot read the initramfs {}", path.display())]
    Initramfs {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: GuestMemoryError,
    },
    /// The command line is longer than the kernel takes.
    #[error("the kernel command line has {0} bytes; at most {max} fit", max = crate::layout::CMDLINE_MAX_BYTES - 1)]
    CmdlineTooLong(usize),
    /// A boot structure cannot be written into guest memory.
    #[error("cannot write boot structures into guest memory")]
    Memory(#[from] GuestMemoryError),
}
