//! Guest memory: the one place that names the `vm-memory` types, so that a new release of them changes one file.
//!
//! Everything in this memory is written by the guest at any moment, also while the VMM reads it: read a value once, check
//! the copy. The types only give volatile access, never a Rust reference into it.

pub use vm_memory::{
    Address, ByteValued, Bytes, GuestAddress, GuestMemory, GuestMemoryError, GuestMemoryRegion, VolatileSlice,
};

/// The memory of one guest, mapped into this process. Shared as `Arc<GuestRam>` by everything that reads or writes it.
pub type GuestRam = vm_memory::GuestMemoryMmap<()>;
