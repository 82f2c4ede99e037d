//! Which images this host can run.

use std::str::FromStr;

/// As `os/architecture`, in Go's names.
pub(super) const HOST: &str = "linux/amd64";

/// Whether an image of this platform runs here. Empty is what very old images say.
pub(super) fn fits(os: &str, architecture: &str) -> bool {
    matches!(os, "linux" | "") && matches!(architecture, "amd64" | "")
}

/// A platform that this host runs; asking for another one is an error from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform(());

/// Another machine's platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this host runs {HOST} only, not {0}")]
pub struct UnsupportedPlatform(String);

impl FromStr for Platform {
    type Err = UnsupportedPlatform;

    /// `os/architecture`, or either part, in any of the spellings that Docker takes.
    fn from_str(text: &str) -> Result<Self, UnsupportedPlatform> {
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "linux" | "amd64" | "x86_64" | "x86-64" | "linux/amd64" | "linux/x86_64" | "linux/x86-64"
            | "linux/amd64/v1" => Ok(Self(())),
            _ => Err(UnsupportedPlatform(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms() {
        for text in ["linux/amd64", "Linux/x86_64", "amd64", "linux"] {
            assert!(text.parse::<Platform>().is_ok(), "{text}");
        }
        for text in ["linux/arm64", "windows/amd64", "", "linux/amd64/v3"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
