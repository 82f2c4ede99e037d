//! Which images this host can run.

/// As `os/architecture`, in Go's names.
pub(super) const HOST: &str = "linux/amd64";

/// Whether an image of this platform runs here. Empty is what very old images say.
pub(super) fn fits(os: &str, architecture: &str) -> bool {
    matches!(os, "linux" | "") && matches!(architecture, "amd64" | "")
}
