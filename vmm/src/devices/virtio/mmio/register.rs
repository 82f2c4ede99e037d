//! The register window's layout (virtio 1.2 table 4.1).

/// Offset of QueueNotify.
pub(super) const QUEUE_NOTIFY: u64 = 0x50;
/// The configuration space starts here.
pub(super) const CONFIG: u64 = 0x100;

/// "virt".
pub(super) const MAGIC: u32 = 0x7472_6976;
/// Not the legacy interface.
pub(super) const VERSION: u32 = 2;
/// "HOLM".
pub(super) const VENDOR: u32 = u32::from_le_bytes(*b"HOLM");

/// A register, with its direction in the driver's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    /// Read: [`MAGIC`].
    MagicValue,
    /// Read: [`VERSION`].
    Version,
    /// Read.
    DeviceId,
    /// Read: [`VENDOR`].
    VendorId,
    /// Read: 32 bits of the offer, chosen by DeviceFeaturesSel.
    DeviceFeatures,
    /// Write.
    DeviceFeaturesSel,
    /// Write: 32 bits of the choice, chosen by DriverFeaturesSel.
    DriverFeatures,
    /// Write.
    DriverFeaturesSel,
    /// Write: which queue the next registers are about.
    QueueSel,
    /// Read: 0 for a queue that does not exist.
    QueueNumMax,
    /// Write.
    QueueNum,
    /// Both.
    QueueReady,
    /// Write: a queue's index. KVM takes these before they get here.
    QueueNotify,
    /// Read.
    InterruptStatus,
    /// Write.
    InterruptAck,
    /// Both.
    Status,
    /// Write: low half of an address.
    QueueLow(Area),
    /// Write: high half of an address.
    QueueHigh(Area),
    /// Read: shared memory regions do not exist, so length and base are all ones (section 4.2.2).
    SharedMemory,
    /// Read.
    ConfigGeneration,
}

/// The three parts of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Area {
    Descriptors,
    Driver,
    Device,
}

impl Register {
    /// The register at `offset`, which is below [`CONFIG`].
    pub(super) const fn at(offset: u64) -> Option<Self> {
        Some(match offset {
            0x00 => Self::MagicValue,
            0x04 => Self::Version,
            0x08 => Self::DeviceId,
            0x0c => Self::VendorId,
            0x10 => Self::DeviceFeatures,
            0x14 => Self::DeviceFeaturesSel,
            0x20 => Self::DriverFeatures,
            0x24 => Self::DriverFeaturesSel,
            0x30 => Self::QueueSel,
            0x34 => Self::QueueNumMax,
            0x38 => Self::QueueNum,
            0x44 => Self::QueueReady,
            QUEUE_NOTIFY => Self::QueueNotify,
            0x60 => Self::InterruptStatus,
            0x64 => Self::InterruptAck,
            0x70 => Self::Status,
            0x80 => Self::QueueLow(Area::Descriptors),
            0x84 => Self::QueueHigh(Area::Descriptors),
            0x90 => Self::QueueLow(Area::Driver),
            0x94 => Self::QueueHigh(Area::Driver),
            0xa0 => Self::QueueLow(Area::Device),
            0xa4 => Self::QueueHigh(Area::Device),
            0xb0 | 0xb4 | 0xb8 | 0xbc => Self::SharedMemory,
            0xfc => Self::ConfigGeneration,
            _ => return None,
        })
    }
}
