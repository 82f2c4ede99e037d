//! Image names: Docker's short forms and the full ones that they stand for.

use std::fmt;
use std::str::FromStr;

use oci_spec::distribution;
use serde::{Deserialize, Serialize};

/// A name for an image: registry, repository, and a tag or a digest or both.
///
/// Kept in full (`docker.io/library/busybox:latest`); [`Reference::familiar`] is what people read (`busybox:latest`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference(distribution::Reference);

/// A string that names no image.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not an image name")]
pub struct InvalidReference {
    /// What was given.
    pub text: String,
    /// The rule that it breaks.
    #[source]
    pub source: distribution::ParseError,
}

impl Reference {
    /// Host and port of the registry, `docker.io` when none is given.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// The repository within the registry, such as `library/busybox`.
    #[must_use]
    pub fn repository(&self) -> &str {
        self.0.repository()
    }

    /// The tag; `latest` when neither tag nor digest is given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.0.tag()
    }

    /// The manifest digest, when the name pins one.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.0.digest()
    }

    /// Registry and repository as Docker shortens them, without tag and digest: the REPOSITORY column of `images`.
    #[must_use]
    pub fn familiar_repository(&self) -> String {
        match (self.registry(), self.repository()) {
            ("docker.io", repository) => match repository.strip_prefix("library/") {
                Some(official) if !official.contains('/') => official.to_owned(),
                _ => repository.to_owned(),
            },
            (registry, repository) => format!("{registry}/{repository}"),
        }
    }

    /// The whole name as Docker shortens it.
    #[must_use]
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_repository();
        if let Some(tag) = self.tag() {
            text.extend([":", tag]);
        }
        if let Some(digest) = self.digest() {
            text.extend(["@", digest]);
        }
        text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        text.parse().map(Self).map_err(|source| InvalidReference { text: text.to_owned(), source })
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidReference;

    fn try_from(text: String) -> Result<Self, InvalidReference> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_stand_for_full_ones() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = format!("busybox@{digest}");
        for (short, full, familiar) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
            ("library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("someone/tool:v1", "docker.io/someone/tool:v1", "someone/tool:v1"),
            ("localhost/tool", "localhost/tool:latest", "localhost/tool:latest"),
            ("localhost:5000/a/b/c:x", "localhost:5000/a/b/c:x", "localhost:5000/a/b/c:x"),
            ("quay.io/a/b", "quay.io/a/b:latest", "quay.io/a/b:latest"),
            (&pinned, &format!("docker.io/library/{pinned}"), &pinned),
        ] {
            let reference: Reference = short.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(familiar.parse::<Reference>().unwrap(), reference);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "UPPER", "a b", "-x", "../x", "x:", "x@sha256:12", "/x", "x//y", "x:ta/g"] {
            assert_eq!(text.parse::<Reference>().unwrap_err().text, text);
        }
    }
}
