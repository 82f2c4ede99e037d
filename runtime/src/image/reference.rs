//! Image names: Docker's short forms and the full ones that they stand for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Digest;

const DEFAULT_REGISTRY: &str = "docker.io";
/// Docker Hub's name in old configurations.
const LEGACY_REGISTRY: &str = "index.docker.io";
const OFFICIAL: &str = "library";
const DEFAULT_TAG: &str = "latest";
const MAX_REPOSITORY_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 128;

/// A name for an image: registry, repository, and a tag or a digest or both.
///
/// Kept in full (`docker.io/library/busybox:latest`); [`Reference::familiar`] is what people read (`busybox:latest`).
///
/// Grammar: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]` as in github.com/distribution/reference; what precedes the first slash
/// is a host if it has a dot, a colon or a capital letter, or is `localhost`. Parsed by hand: every command parses a
/// name, and compiling the grammar as a regular expression takes longer than all else that looking an image up does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// A string that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image name: {reason}")]
pub struct InvalidReference {
    /// What was given.
    pub text: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

impl Reference {
    /// Host and port of the registry, `docker.io` when none is given.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry, such as `library/busybox`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` when neither tag nor digest is given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The manifest digest, when the name pins one.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// This repository's image of a digest, whatever its tags.
    #[must_use]
    pub fn pinned_to(&self, digest: &Digest) -> Self {
        Self { tag: None, digest: Some(digest.to_string()), ..self.clone() }
    }

    /// This repository's image of a tag; `None` for what is no tag.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Option<Self> {
        is_tag(tag).then(|| Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// Whether both name the same repository of the same registry.
    #[must_use]
    pub fn is_in_repository_of(&self, other: &Self) -> bool {
        (&self.registry, &self.repository) == (&other.registry, &other.repository)
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| digest.parse::<Digest>().is_err()) {
            return Err("a digest must be sha256: and 64 lower-case hex digits");
        }
        let (name, tag) = match rest.rsplit_once(':') {
            // A colon before a slash is a port's.
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("a tag must be 1 to 128 of A-Z a-z 0-9 _ . -, not beginning with . or -");
        }
        if name.is_empty() {
            return Err("it is empty");
        }
        if Digest::from_hex(name).is_ok() {
            return Err("64 hex digits are an image's ID");
        }
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if is_host_like(host) => (host, path),
            _ => (DEFAULT_REGISTRY, name),
        };
        if !is_host(registry) {
            return Err("the registry must be HOST or HOST:PORT");
        }
        if path.len() > MAX_REPOSITORY_BYTES || !path.split('/').all(is_path_component) {
            return Err("the repository must be lower-case letters and digits, with . _ __ or - in between");
        }
        let registry = if registry == LEGACY_REGISTRY { DEFAULT_REGISTRY } else { registry };
        let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
            format!("{OFFICIAL}/{path}")
        } else {
            path.to_owned()
        };
        let tag = tag.or(if digest.is_none() { Some(DEFAULT_TAG) } else { None });
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// Registry and repository as Docker shortens them, without tag and digest: the REPOSITORY column of `images`.
    #[must_use]
    pub fn familiar_repository(&self) -> String {
        let short = match self.repository.strip_prefix("library/") {
            Some(official) if !official.contains('/') => official,
            _ => &self.repository,
        };
        // Without its registry a repository can be somebody else's: what it begins with may look like a host.
        match Self::parse(short) {
            Ok(same) if same.is_in_repository_of(self) => short.to_owned(),
            _ => format!("{}/{}", self.registry, self.repository),
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
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        Self::parse(text).map_err(|reason| InvalidReference { text: text.to_owned(), reason })
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

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG_BYTES
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_host_like(first: &str) -> bool {
    first == "localhost" || first.bytes().any(|byte| matches!(byte, b'.' | b':') || byte.is_ascii_uppercase())
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let label = |label: &str| {
        label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(label) && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Runs of letters and digits with one of `.`, `_`, `__` or any number of `-` between them.
fn is_path_component(component: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends =
        component.bytes().next().is_some_and(plain) && component.bytes().next_back().is_some_and(plain);
    let separator = |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
    ends && component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_that_looks_like_a_registry_is_not_shortened_to_one() {
        for (full, familiar) in [
            ("docker.io/example.com/x:1", "docker.io/example.com/x:1"),
            ("docker.io/localhost/x:1", "docker.io/localhost/x:1"),
            ("docker.io/library/example.com/x:1", "library/example.com/x:1"),
            ("docker.io/library/x:1", "x:1"),
            ("docker.io/a/x:1", "a/x:1"),
        ] {
            let name: Reference = full.parse().unwrap();
            assert_eq!(name.familiar(), familiar);
            assert_eq!(name.familiar().parse::<Reference>().unwrap(), name);
        }
        let digits = "0".repeat(64);
        let name: Reference = format!("docker.io/library/{digits}:1").parse().unwrap();
        assert_eq!(name.familiar_repository(), format!("docker.io/library/{digits}"));
    }

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
            ("Host/a", "Host/a:latest", "Host/a:latest"),
            ("a--b/c__d.e_f:V1.0-x", "docker.io/a--b/c__d.e_f:V1.0-x", "a--b/c__d.e_f:V1.0-x"),
            ("docker.io/a/b/c", "docker.io/a/b/c:latest", "a/b/c:latest"),
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
        let long = "x".repeat(256);
        let hex = "0".repeat(64);
        for text in [
            "",
            ":",
            "@",
            "/",
            "UPPER",
            "a b",
            "-x",
            "x-",
            "../x",
            "x:",
            "x@",
            "x@sha256:12",
            "/x",
            "x/",
            "x//y",
            "x:ta/g",
            "a..b",
            "a___b",
            "a.-b",
            "host:/x",
            "host:p/x",
            "-h.io/x",
            "h..io/x",
            ":80/x",
            "x:.tag",
            "x@y@z",
            "\u{e9}",
            &long,
            &hex,
            &format!("x:{}", "t".repeat(129)),
            &format!("x@sha512:{hex}{hex}"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap_err().text, text);
        }
    }

    #[test]
    fn agrees_with_the_grammar_as_a_regular_expression() {
        use proptest::prelude::*;
        let piece = prop_oneof![
            "[a-c0-1]{1,3}",
            Just(".".to_owned()),
            Just("_".to_owned()),
            Just("-".to_owned()),
            Just("/".to_owned()),
            Just(":".to_owned()),
            Just("localhost".to_owned()),
            Just("docker.io".to_owned()),
            Just("@".to_owned()),
            Just(format!("@sha256:{}", "a".repeat(64))),
        ];
        let text = prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
        let config = ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() };
        proptest::test_runner::TestRunner::new(config)
            .run(&text, |text| {
                let ours = text.parse::<Reference>().ok().map(|reference| reference.to_string());
                // The expression alone lets a path component with a dot pass for a registry.
                let theirs = text.parse::<oci_spec::distribution::Reference>().ok();
                let theirs = theirs.filter(|reference| is_host(reference.registry()));
                prop_assert_eq!(ours, theirs.map(|reference| reference.to_string()), "{:?}", text);
                Ok(())
            })
            .unwrap();
    }
}
