//! The configuration space (virtio 1.2 section 5.2.4) and the limits that it announces.

/// Descriptors of data in one request. With header and status they fill the ring.
pub(super) const MAX_DATA_BUFFERS: usize = 254;
/// Descriptors in the queue.
pub(super) const QUEUE_SIZE: u16 = 256;
/// Ranges in one discard or write-zeroes request.
pub(super) const MAX_RANGES: usize = 16;
/// Sectors in one range of a discard or write-zeroes request: 1 GiB.
pub(super) const MAX_RANGE_SECTORS: u32 = 1 << 21;
/// Discarded ranges should start at a multiple of this many sectors: a page of the host's page cache.
const DISCARD_ALIGNMENT_SECTORS: u32 = 8;

/// `struct virtio_blk_config` up to `write_zeroes_may_unmap`.
pub(super) fn space(capacity_sectors: u64) -> [u8; 60] {
    let mut space = [0; 60];
    let mut put = |offset: usize, value: &[u8]| {
        if let Some(field) = space.get_mut(offset..offset + value.len()) {
            field.copy_from_slice(value);
        }
    };
    put(0, &capacity_sectors.to_le_bytes());
    put(12, &u32::try_from(MAX_DATA_BUFFERS).unwrap_or(1).to_le_bytes()); // seg_max
    put(34, &1_u16.to_le_bytes()); // num_queues
    put(36, &MAX_RANGE_SECTORS.to_le_bytes()); // max_discard_sectors
    put(40, &u32::try_from(MAX_RANGES).unwrap_or(1).to_le_bytes()); // max_discard_seg
    put(44, &DISCARD_ALIGNMENT_SECTORS.to_le_bytes());
    put(48, &MAX_RANGE_SECTORS.to_le_bytes()); // max_write_zeroes_sectors
    put(52, &u32::try_from(MAX_RANGES).unwrap_or(1).to_le_bytes()); // max_write_zeroes_seg
    put(56, &[1]); // write_zeroes_may_unmap
    space
}
