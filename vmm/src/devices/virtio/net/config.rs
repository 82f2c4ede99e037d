//! The configuration space (virtio 1.2 section 5.1.4), and the features behind it (section 5.1.3).

use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4,
    VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_MAC,
    VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU,
};

/// Descriptors in each queue of a pair.
pub(super) const QUEUE_SIZE: u16 = 256;
/// Descriptors in the control queue, on which a driver waits for one command at a time.
pub(super) const CONTROL_QUEUE_SIZE: u16 = 64;

/// What the device offers beside the ring's features and its link's offloads.
pub(super) const FEATURES: u64 = 1 << VIRTIO_NET_F_MAC | 1 << VIRTIO_NET_F_MTU | 1 << VIRTIO_NET_F_MRG_RXBUF;

/// What it offers beside that when it has several pairs of queues.
pub(super) const SEVERAL: u64 = 1 << VIRTIO_NET_F_CTRL_VQ | 1 << VIRTIO_NET_F_MQ;

/// What a link may be able to carry.
pub(super) const OFFLOADS: u64 = 1 << VIRTIO_NET_F_CSUM
    | 1 << VIRTIO_NET_F_GUEST_CSUM
    | 1 << VIRTIO_NET_F_HOST_TSO4
    | 1 << VIRTIO_NET_F_HOST_TSO6
    | 1 << VIRTIO_NET_F_GUEST_TSO4
    | 1 << VIRTIO_NET_F_GUEST_TSO6;

/// What was negotiated of the offloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// The driver sends packets whose checksum is not computed yet.
    pub host_checksum: bool,
    /// The driver sends TCP segments over IPv4 that are to be cut.
    pub host_tso4: bool,
    /// The same over IPv6.
    pub host_tso6: bool,
    /// The driver takes packets whose checksum is not computed.
    pub guest_checksum: bool,
    /// The driver takes TCP segments over IPv4 that are not cut.
    pub guest_tso4: bool,
    /// The same over IPv6.
    pub guest_tso6: bool,
}

impl Offloads {
    pub(super) fn of_features(features: u64) -> Self {
        let has = |bit: u32| features & 1 << bit != 0;
        // Section 5.1.3.1: segments need checksums. A driver that breaks the rule gets less.
        let (host_checksum, guest_checksum) = (has(VIRTIO_NET_F_CSUM), has(VIRTIO_NET_F_GUEST_CSUM));
        Self {
            host_checksum,
            host_tso4: host_checksum && has(VIRTIO_NET_F_HOST_TSO4),
            host_tso6: host_checksum && has(VIRTIO_NET_F_HOST_TSO6),
            guest_checksum,
            guest_tso4: guest_checksum && has(VIRTIO_NET_F_GUEST_TSO4),
            guest_tso6: guest_checksum && has(VIRTIO_NET_F_GUEST_TSO6),
        }
    }
}

/// `struct virtio_net_config` up to `mtu`.
pub(super) fn space(mac: [u8; 6], mtu: u16, pairs: u16) -> [u8; 12] {
    let [a, b, c, d, e, f] = mac;
    let ([pairs_low, pairs_high], [mtu_low, mtu_high]) = (pairs.to_le_bytes(), mtu.to_le_bytes());
    // status belongs to a feature that is not offered.
    [a, b, c, d, e, f, 0, 0, pairs_low, pairs_high, mtu_low, mtu_high]
}
