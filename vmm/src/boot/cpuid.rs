//! What CPUID tells the guest: what KVM supports, minus nested virtualization and the host's topology.
//!
//! Sources: Intel SDM volume 2A "CPUID", AMD APM volume 3 appendix E, Linux `Documentation/virt/kvm/x86/cpuid.rst`.
//!
//! # Nested virtualization
//! With VMX and SVM absent from CPUID, KVM itself refuses the rest: setting CR4.VMXE or EFER.SVME is #GP, the VMX MSRs
//! are #GP, and VMXON and VMRUN are #UD because those enable bits can never be set. No MSR filter is needed, on hosts
//! with `nested=1` either.
//!
//! # Topology
//! One package, one thread per core, APIC id = vCPU index, in every leaf that says so.

use kvm_bindings::{CpuId, kvm_cpuid_entry2};

/// What is needed beside KVM's list.
#[derive(Clone, Copy, Debug)]
pub struct Vcpu {
    /// Index and APIC id.
    pub id: u8,
    /// How many vCPUs the guest has.
    pub count: u8,
}

const fn bit(n: u32) -> u32 {
    1 << n
}

/// Leaves that are taken out: extended topology v2 (0xb says the same), performance monitoring, SGX, Intel PT, AMD SVM,
/// AMD extended topology.
const HIDDEN_LEAVES: [u32; 6] = [0xa, 0x12, 0x14, 0x1f, 0x8000_000a, 0x8000_0026];

/// The entries for one vCPU, from what `KVM_GET_SUPPORTED_CPUID` lists.
#[must_use]
pub fn entries(supported: &CpuId, vcpu: Vcpu) -> Vec<kvm_cpuid_entry2> {
    let mut entries: Vec<_> = supported
        .as_slice()
        .iter()
        .filter(|e| !HIDDEN_LEAVES.contains(&e.function) && e.function != 0xb)
        .copied()
        .collect();
    let max_basic_leaf = entries.iter().find(|e| e.function == 0).map_or(0, |e| e.eax);
    for entry in &mut entries {
        adjust(entry, vcpu);
    }
    if max_basic_leaf >= 0xb {
        entries.extend(extended_topology(vcpu));
    }
    entries
}

fn adjust(entry: &mut kvm_cpuid_entry2, vcpu: Vcpu) {
    let last_core = u32::from(vcpu.count.saturating_sub(1));
    match (entry.function, entry.index) {
        (0x1, _) => {
            // Initial APIC id, number of APIC ids, cache line size (kept).
            entry.ebx = u32::from(vcpu.id) << 24 | u32::from(vcpu.count) << 16 | entry.ebx & 0xffff;
            entry.ecx &= !(bit(2) | bit(5) | bit(6) | bit(15)); // DTES64, VMX, SMX, PDCM
            // KVM's own timer for a tickless guest (not in the list: KVM_CAP_TSC_DEADLINE_TIMER); "runs on a hypervisor".
            entry.ecx |= bit(24) | bit(31);
            entry.edx &= !(bit(21) | bit(28)); // debug store, HTT
            if vcpu.count > 1 {
                entry.edx |= bit(28);
            }
        }
        // Intel caches: the first two levels belong to a core, the rest to the package.
        (0x4, _) if entry.eax & 0x1f != 0 => {
            let level = entry.eax >> 5 & 0x7;
            let sharing = if level < 3 { 0 } else { last_core };
            entry.eax = entry.eax & 0x3fff | sharing << 14 | last_core << 26;
        }
        (0x7, 0) => {
            entry.ebx &= !(bit(2) | bit(25)); // SGX, Intel PT
            entry.ecx &= !bit(30); // SGX launch control
        }
        (0x8000_0001, _) => {
            entry.ecx &= !(bit(2) | bit(12) | bit(10)); // SVM, SKINIT, IBS
            entry.ecx &= !(bit(23) | bit(24) | bit(28)); // performance counters
            entry.ecx &= !bit(1);
            if vcpu.count > 1 {
                entry.ecx |= bit(1); // CmpLegacy: several cores, not threads
            }
        }
        (0x8000_0008, _) => entry.ecx = last_core | apic_id_bits(vcpu.count) << 12,
        // AMD caches: as leaf 4.
        (0x8000_001d, _) if entry.eax & 0x1f != 0 => {
            let level = entry.eax >> 5 & 0x7;
            let sharing = if level < 3 { 0 } else { last_core };
            entry.eax = entry.eax & 0x3fff | sharing << 14;
        }
        (0x8000_001e, _) => {
            entry.eax = u32::from(vcpu.id);
            entry.ebx = u32::from(vcpu.id); // core id; one thread per core
            entry.ecx = 0; // node 0 of 1
        }
        _ => {}
    }
}

/// Leaf 0xb: level 0 is the thread (one per core), level 1 the core (all in the package), level 2 the end.
fn extended_topology(vcpu: Vcpu) -> [kvm_cpuid_entry2; 3] {
    /// `KVM_CPUID_FLAG_SIGNIFCANT_INDEX`.
    const BY_INDEX: u32 = 1;
    const THREADS: u32 = 1 << 8;
    const CORES: u32 = 2 << 8;
    let level = |index: u32, eax, ebx, kind| kvm_cpuid_entry2 {
        function: 0xb,
        index,
        flags: BY_INDEX,
        eax,
        ebx,
        ecx: index | kind,
        edx: u32::from(vcpu.id),
        ..Default::default()
    };
    [
        level(0, 0, 1, THREADS),
        level(1, apic_id_bits(vcpu.count), u32::from(vcpu.count), CORES),
        level(2, 0, 0, 0),
    ]
}

/// Bits that tell `count` APIC ids apart.
const fn apic_id_bits(count: u8) -> u32 {
    u8::BITS - count.saturating_sub(1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(function: u32, index: u32) -> kvm_cpuid_entry2 {
        let all = u32::MAX;
        kvm_cpuid_entry2 { function, index, eax: all, ebx: all, ecx: all, edx: all, ..Default::default() }
    }

    fn supported() -> CpuId {
        let mut entries = vec![kvm_cpuid_entry2 { eax: 0x1f, ..Default::default() }];
        entries.extend([1, 4, 7, 0xa, 0xb, 0x1f].map(|leaf| entry(leaf, 0)));
        entries.extend([0x8000_0001, 0x8000_0008, 0x8000_000a, 0x8000_001e].map(|leaf| entry(leaf, 0)));
        CpuId::from_entries(&entries).unwrap()
    }

    fn find(entries: &[kvm_cpuid_entry2], function: u32, index: u32) -> kvm_cpuid_entry2 {
        *entries.iter().find(|e| (e.function, e.index) == (function, index)).unwrap()
    }

    #[test]
    fn nested_virtualization_is_hidden() {
        let entries = entries(&supported(), Vcpu { id: 0, count: 1 });
        assert_eq!(find(&entries, 1, 0).ecx & bit(5), 0);
        assert_eq!(find(&entries, 0x8000_0001, 0).ecx & bit(2), 0);
        assert!(entries.iter().all(|e| e.function != 0x8000_000a));
    }

    #[test]
    fn every_leaf_names_the_same_apic_id() {
        for id in 0..32 {
            let entries = entries(&supported(), Vcpu { id, count: 32 });
            let id = u32::from(id);
            assert_eq!(find(&entries, 1, 0).ebx >> 24, id);
            assert_eq!(find(&entries, 0xb, 0).edx, id);
            assert_eq!(find(&entries, 0xb, 1).edx, id);
            assert_eq!(find(&entries, 0x8000_001e, 0).eax, id);
        }
    }

    #[test]
    fn no_leaf_comes_twice() {
        let entries = entries(&supported(), Vcpu { id: 3, count: 4 });
        let mut names: Vec<_> = entries.iter().map(|e| (e.function, e.index)).collect();
        names.sort_unstable();
        let length = names.len();
        names.dedup();
        assert_eq!(names.len(), length);
    }

    #[test]
    fn the_id_width_covers_all_ids() {
        assert_eq!([1, 2, 3, 4, 5, 32].map(apic_id_bits), [0, 1, 2, 2, 3, 5]);
    }

    #[test]
    fn cores_are_counted() {
        let entries = entries(&supported(), Vcpu { id: 1, count: 4 });
        assert_eq!(find(&entries, 1, 0).ebx >> 16 & 0xff, 4);
        assert_eq!(find(&entries, 4, 0).eax >> 26, 3);
        assert_eq!(find(&entries, 0x8000_0008, 0).ecx & 0xff, 3);
        assert_eq!(find(&entries, 0xb, 1).ebx, 4);
    }
}
