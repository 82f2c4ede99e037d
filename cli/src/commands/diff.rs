//! `holm diff`: what a container changed of its image.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::sandbox::Transfer;

use crate::output;

/// Inspect changes to files or directories on a container's filesystem
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm diff web\n\nA: added, C: changed, D: deleted")]
pub(crate) struct Diff {
    /// Name or ID
    container: String,
}

/// Longest list that is taken from a guest: a million paths.
const MAX_BYTES: u64 = 256 << 20;

impl Diff {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        let container = store.find(&self.container)?;
        // What was never started has changed nothing, and has no layer yet.
        if container.layer().exists() {
            let files = super::files(&store, &container)?;
            let list = files.fetch(super::transfer(Transfer::ListChanges)?, MAX_BYTES)?;
            for (kind, path) in changes(&list)? {
                output::line(&format!("{kind} {}", output::printable(&String::from_utf8_lossy(path))));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Kind and path of each change, by path.
fn changes(list: &[u8]) -> Result<Vec<(char, &[u8])>> {
    let mut changes = Vec::new();
    let Some(list) = list.strip_suffix(b"\0") else {
        return if list.is_empty() { Ok(changes) } else { bail!("the guest sent half a list of changes") };
    };
    for record in list.split(|byte| *byte == 0) {
        match record.split_first() {
            Some((kind @ (b'A' | b'C' | b'D'), path)) => changes.push((char::from(*kind), path)),
            _ => bail!("the guest sent no list of changes"),
        }
    }
    changes.sort_unstable_by_key(|(_, path)| *path);
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_in_the_order_of_their_paths() {
        let found = changes(b"C/etc\0A/etc/b\0D/bin/sh\0A/etc-x\0").unwrap();
        let lines: Vec<_> =
            found.iter().map(|(kind, path)| format!("{kind} {}", String::from_utf8_lossy(path))).collect();
        assert_eq!(lines, ["D /bin/sh", "C /etc", "A /etc-x", "A /etc/b"]);
        assert!(changes(b"").unwrap().is_empty());
    }

    #[test]
    fn what_no_agent_sends_is_refused() {
        for list in [&b"A/half"[..], b"X/etc\0", b"\0"] {
            assert!(changes(list).is_err(), "{list:?}");
        }
    }
}
