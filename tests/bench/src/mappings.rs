//! What a VMM maps: the guest's memory, and its own.

use std::fs;

use anyhow::{Context, Result};

/// What spans as much is the guest's memory, or room that was set aside for it.
const GUEST_KIB: u64 = 64 << 10;
/// In the path of a template's memory, of which the guest's is mapped in many parts.
const TEMPLATES: &str = "/templates/";

/// One mapping of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// In KiB, as all here.
    size_kib: u64,
    /// Resident.
    pub(crate) rss_kib: u64,
    /// Resident, what is shared by so many counted so many times less.
    pub(crate) pss_kib: u64,
    /// Whether it is the guest's memory.
    pub(crate) is_guest: bool,
}

/// The mappings of a process.
pub(crate) fn of(pid: u32) -> Result<Vec<Mapping>> {
    let path = format!("/proc/{pid}/smaps");
    parse(&fs::read_to_string(&path).with_context(|| path)?)
}

/// Sums up.
pub(crate) fn mib(kib: impl IntoIterator<Item = u64>) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "less than 2^52")]
    let sum = kib.into_iter().sum::<u64>() as f64;
    sum / 1024.0
}

fn parse(smaps: &str) -> Result<Vec<Mapping>> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in smaps.lines() {
        let mut fields = line.split_whitespace();
        let name = fields.next().unwrap_or_default();
        if !name.ends_with(':') {
            let is_guest = line.contains(TEMPLATES);
            mappings.push(Mapping { size_kib: 0, rss_kib: 0, pss_kib: 0, is_guest });
            continue;
        }
        let mapping = mappings.last_mut().context("smaps begins with no mapping")?;
        let place = match name {
            "Size:" => &mut mapping.size_kib,
            "Rss:" => &mut mapping.rss_kib,
            "Pss:" => &mut mapping.pss_kib,
            _ => continue,
        };
        *place = fields.next().and_then(|text| text.parse().ok()).context("smaps")?;
    }
    mark_guest(&mut mappings);
    Ok(mappings)
}

/// What lies between two parts of a template is the guest's, too.
fn mark_guest(mappings: &mut [Mapping]) {
    let first = mappings.iter().position(|mapping| mapping.is_guest);
    let last = mappings.iter().rposition(|mapping| mapping.is_guest);
    for (index, mapping) in mappings.iter_mut().enumerate() {
        let is_between = first.is_some_and(|first| index >= first) && last.is_some_and(|last| index <= last);
        mapping.is_guest = is_between || mapping.size_kib >= GUEST_KIB;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_memory_is_told_from_the_rest() {
        let smaps = "00400000-00500000 r-xp 0 0 0 /holm-vmm\nSize: 1024 kB\nRss: 1024 kB\nPss: 512 kB\n\
                     7f0000000000-7f0000001000 rw-p 0 0 0 /r/templates/k/memory\nSize: 4 kB\nRss: 4 kB\nPss: 2 kB\n\
                     7f0000001000-7f0000002000 rw-p 0 0 0\nSize: 4 kB\nRss: 4 kB\nPss: 4 kB\n\
                     7f0000002000-7f0000003000 rw-p 0 0 0 /r/templates/k/memory\nSize: 4 kB\nRss: 0 kB\nPss: 0 kB\n\
                     7f0000003000-7f0020000000 rw-p 0 0 0\nSize: 524276 kB\nRss: 2048 kB\nPss: 2048 kB\n";
        let mappings = parse(smaps).unwrap();
        assert_eq!(mappings.iter().map(|m| m.is_guest).collect::<Vec<_>>(), [false, true, true, true, true]);
        let own = mappings.iter().filter(|mapping| !mapping.is_guest);
        assert!((mib(own.map(|mapping| mapping.pss_kib)) - 0.5).abs() < f64::EPSILON);
        assert!((mib(mappings.iter().map(|m| m.rss_kib)) - 3.0078125).abs() < 1e-9);
        assert!(parse("Rss: 4 kB\n").is_err());
    }
}
