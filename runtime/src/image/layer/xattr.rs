//! Which extended attributes of a layer reach the image.
//!
//! As unpacking with containerd: `trusted.*` never (overlay's own among them, which would change what the guest's
//! overlay shows), namespaces that no file system here knows never, `user.*` on files and directories only.

use super::LayerError;
use super::error::lossy;
use super::tree::Name;
use holm_archive::Kind;

/// Version number of an ACL's stored form (Linux `posix_acl_xattr.h`).
const ACL_VERSION: &[u8] = &[2, 0, 0, 0];
const ACL_ENTRY_BYTES: usize = 8;

/// Those to keep, sorted by name. Of two that have the same name the later one counts.
pub(super) fn keep(
    path: &[u8],
    kind: &Kind,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    max_bytes: u64,
) -> Result<Vec<(Name, Name)>, LayerError> {
    let mut kept = Vec::new();
    let mut bytes = 0;
    for (name, value) in xattrs {
        if !is_kept(&name, kind) {
            continue;
        }
        let out_of_range = |field, value: String| LayerError::Metadata { path: lossy(path), field, value };
        if name.len() > 255 || name.contains(&0) || name.ends_with(b".") {
            return Err(out_of_range("extended attribute name", lossy(&name)));
        }
        bytes += (name.len() + value.len()) as u64;
        if value.len() > usize::from(u16::MAX) || bytes > max_bytes {
            return Err(LayerError::Limit {
                what: "bytes of extended attributes on a file",
                limit: max_bytes,
            });
        }
        if name.starts_with(b"system.") && !is_acl(&value) {
            return Err(out_of_range("access control list", format!("of {} bytes", value.len())));
        }
        kept.push((Name(name.into()), Name(value.into())));
    }
    kept.reverse();
    // Stable, so the latest of each name comes first.
    kept.sort_by(|(a, _), (b, _): &(Name, Name)| a.cmp(b));
    kept.dedup_by(|(later, _), (first, _)| later == first);
    Ok(kept)
}

fn is_kept(name: &[u8], kind: &Kind) -> bool {
    match name {
        b"system.posix_acl_access" => !matches!(kind, Kind::Symlink(_)),
        b"system.posix_acl_default" => matches!(kind, Kind::Directory),
        _ if name.starts_with(b"user.") => matches!(kind, Kind::Regular | Kind::Directory),
        _ => name.starts_with(b"security."),
    }
}

/// Whether Linux would take it: a malformed one makes a file inaccessible.
fn is_acl(value: &[u8]) -> bool {
    let Some(entries) = value.strip_prefix(ACL_VERSION) else { return false };
    let known = |tag: u8| matches!(tag, 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20);
    entries.len().is_multiple_of(ACL_ENTRY_BYTES)
        && entries.chunks_exact(ACL_ENTRY_BYTES).all(|entry| match entry {
            [tag, 0, permissions, 0, ..] => known(*tag) && *permissions <= 7,
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(kind: &Kind, names: &[&str]) -> Vec<String> {
        let acl = [ACL_VERSION, &[1, 0, 7, 0, 255, 255, 255, 255]].concat();
        let all = names.iter().map(|name| (name.as_bytes().to_vec(), acl.clone())).collect();
        keep(b"f", kind, all, 1000)
            .unwrap()
            .into_iter()
            .map(|(name, _)| String::from_utf8_lossy(&name.0).into_owned())
            .collect()
    }

    #[test]
    fn only_what_unpacking_would_set() {
        let all = [
            "trusted.overlay.opaque",
            "trusted.x",
            "user.overlay.opaque",
            "security.capability",
            "system.posix_acl_access",
            "system.posix_acl_default",
            "system.other",
            "btrfs.compression",
        ];
        assert_eq!(
            kept(&Kind::Directory, &all),
            [
                "security.capability",
                "system.posix_acl_access",
                "system.posix_acl_default",
                "user.overlay.opaque"
            ]
        );
        assert_eq!(
            kept(&Kind::Regular, &all),
            ["security.capability", "system.posix_acl_access", "user.overlay.opaque"]
        );
        assert_eq!(kept(&Kind::Symlink(vec![]), &all), ["security.capability"]);
    }

    #[test]
    fn the_later_of_two_of_one_name_counts() {
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let all = vec![pair("user.b", "1"), pair("user.a", "2"), pair("user.b", "3"), pair("user.a", "")];
        let kept = keep(b"f", &Kind::Regular, all, 1000).unwrap();
        let kept: Vec<_> = kept.into_iter().map(|(name, value)| (name.0, value.0)).collect();
        assert_eq!(kept, [(b"user.a"[..].into(), b""[..].into()), (b"user.b"[..].into(), b"3"[..].into())]);
    }

    #[test]
    fn hostile_ones_are_refused() {
        let refused = |name: &str, value: &[u8]| {
            keep(b"f", &Kind::Regular, vec![(name.as_bytes().to_vec(), value.to_vec())], 1 << 20).is_err()
        };
        assert!(refused("user.", b""));
        assert!(refused(&format!("user.{}", "x".repeat(300)), b""));
        assert!(refused("user.x", &vec![0; 65_536]));
        assert!(refused("system.posix_acl_access", b"nonsense"));
        assert!(refused("system.posix_acl_access", &[2, 0, 0, 0, 1]));
        assert!(refused("system.posix_acl_access", &[2, 0, 0, 0, 3, 0, 7, 0, 0, 0, 0, 0]));
        assert!(!refused("user.x", &vec![0; 65_535]));
    }
}
