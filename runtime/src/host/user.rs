//! Who runs Holm: root, or an ordinary user, who gets as far as his own rights go (docs/decisions/0027-rootless.md).

use nix::unistd::geteuid;

/// Whether the host's networks and other people's files are out of reach.
#[must_use]
pub fn is_rootless() -> bool {
    !geteuid().is_root()
}
