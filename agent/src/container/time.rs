//! Offsets of a time namespace (config-linux.md "timeOffsets", time_namespaces(7)).

use std::collections::HashMap;

use crate::fault::Fault;
use crate::oci::TimeOffset;

/// The content of `/proc/self/timens_offsets` that sets these offsets.
pub(crate) fn table(offsets: &HashMap<String, TimeOffset>) -> Result<String, Fault> {
    let mut lines = String::new();
    for (clock, offset) in offsets {
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            return Err(Fault::invalid(format!("there is no time offset for clock {clock:?}")));
        }
        lines.push_str(&format!("{clock} {} {}\n", offset.secs, offset.nanosecs));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines() {
        let one = HashMap::from([("boottime".to_owned(), TimeOffset { secs: -7, nanosecs: 5 })]);
        assert_eq!(table(&one).unwrap(), "boottime -7 5\n");
        assert!(table(&HashMap::from([("realtime".to_owned(), TimeOffset::default())])).is_err());
    }
}
