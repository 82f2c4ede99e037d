//! The MP table: how a guest without ACPI learns of its CPUs and its IOAPIC (Intel MultiProcessor Specification 1.4).

use super::BootError;
use crate::layout;
use crate::memory::{Bytes, GuestAddress, GuestRam};

const ISA_BUS: u8 = 0;
const POINTER_BYTES: usize = 16;
const HEADER_BYTES: usize = 44;
/// What KVM's local APIC and IOAPIC report.
const LOCAL_APIC_VERSION: u8 = 0x14;
const IOAPIC_VERSION: u8 = 0x11;

/// Writes the table for `vcpus` CPUs with APIC ids from 0 to where Linux looks for it.
///
/// # Errors
/// Guest memory does not reach that far.
pub fn write(memory: &GuestRam, vcpus: u8) -> Result<(), BootError> {
    Ok(memory.write_slice(&build(vcpus), GuestAddress(layout::MP_TABLE))?)
}

/// The floating pointer structure (section 4.1) and, right behind it, the configuration table (section 4.2).
fn build(vcpus: u8) -> Vec<u8> {
    // An id that no local APIC has.
    let ioapic_id = vcpus;
    let mut entries = Vec::with_capacity(layout::MP_TABLE_MAX_BYTES);
    for id in 0..vcpus {
        entries.extend(processor(id));
    }
    let mut count = u16::from(vcpus);

    // Bus, IOAPIC: sections 4.3.2 and 4.3.3.
    entries.extend([1, ISA_BUS]);
    entries.extend(b"ISA   ");
    entries.extend([2, ioapic_id, IOAPIC_VERSION, 1]);
    entries.extend(layout::IOAPIC.to_le_bytes());
    count += 2;

    // Every line of the IOAPIC as an ISA interrupt of the same number: edge-triggered, active high (section 4.3.4).
    for line in (0_u8..).take(layout::IOAPIC_LINES as usize) {
        entries.extend([3, 0, 0, 0, ISA_BUS, line, ioapic_id, line]);
        count += 1;
    }
    // Local interrupts (section 4.3.5): ExtINT on LINT0 of the boot CPU, NMI on LINT1 of all.
    entries.extend([4, 3, 0, 0, ISA_BUS, 0, 0, 0]);
    entries.extend([4, 1, 0, 0, ISA_BUS, 0, 0xff, 1]);
    count += 2;

    let mut table = pointer().to_vec();
    table.extend(header(&entries, count));
    table.extend(entries);
    table
}

fn pointer() -> [u8; POINTER_BYTES] {
    let mut bytes = [0; POINTER_BYTES];
    let table = u32::try_from(layout::MP_TABLE).unwrap_or(0) + 16;
    bytes[..4].copy_from_slice(b"_MP_");
    bytes[4..8].copy_from_slice(&table.to_le_bytes());
    bytes[8] = 1; // length in units of 16 bytes
    bytes[9] = 4; // specification 1.4
    bytes[10] = checksum(&bytes);
    bytes
}

fn header(entries: &[u8], count: u16) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let length = u16::try_from(HEADER_BYTES + entries.len()).unwrap_or(0);
    bytes[..4].copy_from_slice(b"PCMP");
    bytes[4..6].copy_from_slice(&length.to_le_bytes());
    bytes[6] = 4; // specification 1.4
    bytes[8..16].copy_from_slice(b"HOLM    ");
    bytes[16..28].copy_from_slice(b"MICROVM     ");
    bytes[34..36].copy_from_slice(&count.to_le_bytes());
    bytes[36..40].copy_from_slice(&layout::LOCAL_APIC.to_le_bytes());
    bytes[7] = checksum(&bytes).wrapping_add(checksum(entries));
    bytes
}

/// Section 4.3.1. Signature and features only have to be plausible: Linux asks CPUID.
fn processor(id: u8) -> [u8; 20] {
    const ENABLED: u8 = 1;
    const BOOT: u8 = 2;
    let mut bytes = [0; 20];
    bytes[1] = id;
    bytes[2] = LOCAL_APIC_VERSION;
    bytes[3] = if id == 0 { ENABLED | BOOT } else { ENABLED };
    bytes[4..8].copy_from_slice(&0x600_u32.to_le_bytes());
    bytes[8..12].copy_from_slice(&0x201_u32.to_le_bytes()); // FPU, APIC
    bytes
}

/// What makes the sum of all bytes zero.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, &b| sum.wrapping_add(b)).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use holm_protocol::vm_config::MAX_VCPUS;

    use super::*;

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, &b| sum.wrapping_add(b))
    }

    #[test]
    fn both_checksums_hold_and_lengths_agree() {
        for vcpus in 1..=MAX_VCPUS {
            let table = build(vcpus);
            assert_eq!(sum(&table[..POINTER_BYTES]), 0);
            assert_eq!(sum(&table[POINTER_BYTES..]), 0);
            let length = u16::from_le_bytes([table[20], table[21]]);
            assert_eq!(usize::from(length), table.len() - POINTER_BYTES);
            assert!(table.len() <= layout::MP_TABLE_MAX_BYTES);
        }
    }

    #[test]
    fn entries_are_counted_and_walk_to_the_end() {
        let table = build(4);
        let body = &table[POINTER_BYTES..];
        let count = u16::from_le_bytes([body[34], body[35]]);
        let (mut at, mut seen, mut processors) = (HEADER_BYTES, 0, 0);
        while at < body.len() {
            processors += u32::from(body[at] == 0);
            at += if body[at] == 0 { 20 } else { 8 };
            seen += 1;
        }
        assert_eq!((at, seen, processors), (body.len(), count, 4));
    }

    #[test]
    fn the_pointer_points_behind_itself() {
        let table = build(1);
        assert_eq!(&table[..4], b"_MP_");
        assert_eq!(table[4..8], 0x9_fc10_u32.to_le_bytes());
        assert_eq!(&table[16..20], b"PCMP");
    }
}
