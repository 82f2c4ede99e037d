//! `struct virtio_net_hdr` (virtio 1.2 section 5.1.6), as it stands before every frame. Pure.

use virtio_bindings::virtio_net::{
    VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_TCPV4,
    VIRTIO_NET_HDR_GSO_TCPV6,
};

use super::config::Offloads;

/// Its length in bytes, with `num_buffers`: always there in virtio 1.
pub(super) const HEADER_BYTES: usize = 12;

/// Where `num_buffers` stands.
pub(super) const NUM_BUFFERS_OFFSET: u64 = 10;

/// The header of a frame from the guest for the TAP: only what was negotiated. `None` for one that asks for more; its
/// frame is dropped. Whether offsets lie in the frame is checked by the TAP, which has to in any case.
pub(super) fn check(header: [u8; HEADER_BYTES], offloads: Offloads) -> Option<[u8; HEADER_BYTES]> {
    let [flags, gso_type, rest @ ..] = header;
    let needs_checksum = u32::from(flags) & VIRTIO_NET_HDR_F_NEEDS_CSUM != 0;
    let kind = u32::from(gso_type) & !VIRTIO_NET_HDR_GSO_ECN;
    let is_allowed = match kind {
        VIRTIO_NET_HDR_GSO_NONE => gso_type == 0 && (offloads.host_checksum || !needs_checksum),
        VIRTIO_NET_HDR_GSO_TCPV4 => offloads.host_tso4 && needs_checksum,
        VIRTIO_NET_HDR_GSO_TCPV6 => offloads.host_tso6 && needs_checksum,
        _ => false,
    };
    // ECN is not offered.
    if !is_allowed || u32::from(gso_type) & VIRTIO_NET_HDR_GSO_ECN != 0 {
        return None;
    }
    let flags = flags & u8::try_from(VIRTIO_NET_HDR_F_NEEDS_CSUM).unwrap_or(0);
    // hdr_len, gso_size, csum_start, csum_offset; num_buffers means nothing here.
    let [a, b, c, d, e, f, g, h, ..] = rest;
    Some([flags, gso_type, a, b, c, d, e, f, g, h, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS_CHECKSUM: u8 = 1;
    const VALID: u8 = 2;

    fn header(flags: u8, gso_type: u8) -> [u8; HEADER_BYTES] {
        [flags, gso_type, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    }

    #[test]
    fn only_what_was_negotiated_passes() {
        let all = Offloads { host_checksum: true, host_tso4: true, host_tso6: true, ..Offloads::default() };
        let none = Offloads::default();
        assert_eq!(check([0; HEADER_BYTES], none), Some([0; HEADER_BYTES]));
        assert_eq!(check(header(NEEDS_CHECKSUM, 0), none), None);
        assert_eq!(check(header(NEEDS_CHECKSUM | VALID, 0), all), Some([1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0]));
        for gso_type in [1, 4] {
            assert!(check(header(NEEDS_CHECKSUM, gso_type), all).is_some());
            assert_eq!(check(header(NEEDS_CHECKSUM, gso_type), none), None);
            assert_eq!(check(header(0, gso_type), all), None, "segments without a checksum");
            assert_eq!(check(header(NEEDS_CHECKSUM, gso_type | 0x80), all), None, "ECN");
        }
        for gso_type in [2, 3, 5, 0x80, 0xff] {
            assert_eq!(check(header(NEEDS_CHECKSUM, gso_type), all), None);
        }
    }
}
