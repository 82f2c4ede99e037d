//! What the host asks of a VM that runs: devices that come and go, other rates, a template or a checkpoint of it.
//!
//! One request and one reply at a time, each a JSON document in a packet of a `SOCK_SEQPACKET` socket pair; descriptors
//! that belong to a request come in the same packet (`SCM_RIGHTS`).
//!
//! ```text
//!   add:     VMM fills a free slot ──reply: where──> the agent names the place to the guest's kernel
//!   remove:  the agent takes the driver off ──> VMM empties the slot
//! ```
//!
//! Trust: the host's runtime asks; nothing here comes from a guest.

use serde::{Deserialize, Serialize};

use crate::vm_config::{DiskConfig, DiskRates, NetworkDevice, NetworkRates, PageRun};

/// Longest packet in bytes, in both directions.
pub const MAX_CONTROL_BYTES: usize = 16 << 10;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ControlRequest {
    /// A network device over the TAP in this packet, with a descriptor for each of its queues. Answered with [`ControlReply::Plugged`].
    AddNetwork(NetworkDevice),
    /// A disk over the open files in this packet, one for each of its segments; their paths are for messages only. Whoever asks has seen
    /// that they are as long as the segments. Answered with [`ControlReply::Plugged`].
    AddDisk(DiskConfig),
    /// Takes away what is in a slot; afterwards nothing of it is open. Answered with [`ControlReply::Done`].
    RemoveDevice {
        /// The slot.
        slot: u32,
    },
    /// Limits disks to these rates from now on, instead of those that they had. Answered with [`ControlReply::Done`].
    SetDiskRates {
        /// Which, by its id in the configuration; all when absent.
        disk: Option<String>,
        /// What holds then.
        rates: DiskRates,
    },
    /// The same for all network devices that there are. Answered with [`ControlReply::Done`].
    SetNetworkRates(NetworkRates),
    /// One more share: the directory in this packet, which is one of those below [`LATE_SHARES`]. Answered with
    /// [`ControlReply::Done`].
    AddShare {
        /// By which the guest finds it: one that no share of this VM had before.
        number: u32,
        /// As in [`crate::vm_config::ShareConfig`].
        only: Option<String>,
        /// Enforced by the VMM.
        read_only: bool,
    },
    /// Takes a share away: no file of it can be used from then on, and in a moment none is open. Answered with [`ControlReply::Done`].
    RemoveShare {
        /// Which.
        number: u32,
    },
    /// Writes the VM into the two empty files in this packet: first the state, then memory. Answered with [`ControlReply::Done`].
    Save(SaveScope),
    /// Lets a VM go on that stands still since it was saved. Answered with [`ControlReply::Done`].
    GoOn,
    /// How the VM started. Answered with [`ControlReply::Origin`].
    Origin,
    /// What the guest of a VM that went on from a template has written to until now. Answered with [`ControlReply::Written`].
    Written,
}

/// Where, in the mount namespace of a VMM that may get shares later, the runtime mounts them: all that such a VMM may open beside the
/// shares that it has from the start.
pub const LATE_SHARES: &str = "/shares";

/// How much of a VM is saved, and what becomes of it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaveScope {
    /// As a template: what every VM has. It stands still meanwhile and then goes on. Refused once the guest uses a device that it
    /// was told of.
    Template,
    /// As a checkpoint: all devices and all memory. It stands still from then on, and nothing of it writes to its disks, until
    /// [`ControlRequest::GoOn`]. Refused for a VM with shares, whose open files are the host's.
    Everything,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ControlReply {
    /// The device is there.
    Plugged(DevicePlace),
    /// It was done.
    Done,
    /// How the VM started.
    Origin(Origin),
    /// What the guest has written to, as a template has it ([`crate::vm_config::TemplateConfig::written`]).
    Written(Vec<PageRun>),
    /// It was not, and why.
    Refused(String),
}

/// How a VM started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Origin {
    /// It booted, as it was meant to.
    Boot,
    /// It went on from its template.
    Template,
    /// It booted because its template cannot be used.
    TemplateRefused {
        /// Why.
        why: String,
        /// Whether another one of the same kind could be: this one's files are at fault.
        is_damaged: bool,
    },
}

/// The first virtio-mmio device's registers.
pub const VIRTIO_MMIO_BASE: u64 = 0xd000_0000;
/// Distance from one virtio-mmio device to the next, in bytes.
pub const VIRTIO_MMIO_STRIDE: u64 = 0x1000;
/// The first virtio-mmio device's interrupt line. Lower lines belong to PC devices by convention.
pub const FIRST_VIRTIO_GSI: u32 = 5;

impl DevicePlace {
    /// The place of a slot, whether there is a device in it or not.
    #[must_use]
    pub const fn of_slot(slot: u32) -> Self {
        Self {
            slot,
            address: VIRTIO_MMIO_BASE + slot as u64 * VIRTIO_MMIO_STRIDE,
            gsi: FIRST_VIRTIO_GSI + slot,
        }
    }
}

/// Where the guest finds a virtio-mmio device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevicePlace {
    /// Which of the places it is, from 0. The guest's kernel knows the device as `virtio-mmio.SLOT`.
    pub slot: u32,
    /// Guest physical address of its registers.
    pub address: u64,
    /// Its interrupt line.
    pub gsi: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm_config::{MAX_WRITTEN_RUNS, SegmentConfig};

    #[test]
    fn messages_survive_the_wire_and_odd_ones_are_refused() {
        let network =
            NetworkDevice { mac: [2, 0, 0, 0, 0, 1], mtu_bytes: 1500, rates: NetworkRates::default() };
        let segment = SegmentConfig { path: "/layer".into(), offset_bytes: 0, length_bytes: 4096 };
        let disk = DiskConfig {
            id: "layer".to_owned(),
            read_only: false,
            segments: vec![segment],
            rates: DiskRates::default(),
        };
        for request in [
            ControlRequest::AddNetwork(network),
            ControlRequest::AddDisk(disk),
            ControlRequest::RemoveDevice { slot: 3 },
            ControlRequest::SetDiskRates { disk: Some("layer".to_owned()), rates: DiskRates::default() },
            ControlRequest::SetNetworkRates(NetworkRates::default()),
            ControlRequest::AddShare { number: 2, only: Some("hosts".to_owned()), read_only: true },
            ControlRequest::RemoveShare { number: 2 },
            ControlRequest::Save(SaveScope::Everything),
            ControlRequest::GoOn,
        ] {
            let json = serde_json::to_vec(&request).unwrap();
            assert_eq!(serde_json::from_slice::<ControlRequest>(&json).unwrap(), request);
        }
        let longest = ControlReply::Written(vec![PageRun(u64::MAX >> 12, u32::MAX); MAX_WRITTEN_RUNS]);
        assert!(serde_json::to_vec(&longest).unwrap().len() <= MAX_CONTROL_BYTES);
        let place = DevicePlace { slot: 4, address: 0xd000_4000, gsi: 9 };
        let json = serde_json::to_vec(&ControlReply::Plugged(place)).unwrap();
        assert_eq!(serde_json::from_slice::<ControlReply>(&json).unwrap(), ControlReply::Plugged(place));
        assert!(serde_json::from_str::<ControlRequest>(r#"{"remove_device":{"slot":1,"x":2}}"#).is_err());
    }
}
