//! Good layers with random damage: converted or refused, never a panic, and what is converted can be merged or refused.

use proptest::prelude::*;

use super::rootfs::tree;
use super::tarball::{one_of_everything, seal};

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_damage(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        sealed in prop::bool::weighted(0.9),
    ) {
        let mut bytes = one_of_everything();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
            if sealed {
                // Otherwise the checksum would stop nearly every change of a header.
                let start = index - index % 512;
                if let Some(block) = bytes.get_mut(start..start + 512)
                    && &block[257..262] == b"ustar"
                {
                    let mut header: [u8; 512] = block.try_into().unwrap();
                    seal(&mut header);
                    block.copy_from_slice(&header);
                }
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(tree) = tree(&[one_of_everything(), bytes]) {
            for (path, file) in &tree.files {
                if file.mode & 0o170_000 == 0o100_000 && file.size_bytes < 1 << 20 {
                    tree.content(path);
                }
            }
        }
    }
}
