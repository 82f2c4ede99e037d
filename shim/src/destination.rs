//! Where containerd wants an output: the path of a FIFO, or a URI (containerd, runtime/v2/README.md, "IO" and "Logging").

use std::path::{Path, PathBuf};

use form_urlencoded::parse;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::error::ShimError;

/// Where an output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Nowhere,
    /// A client may be there to read it.
    Fifo(PathBuf),
    /// It is appended.
    File(PathBuf),
    /// To a program, with the other output.
    Program(LogProgram),
}

/// A logging binary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) struct LogProgram {
    pub(crate) path: PathBuf,
    /// Keys and values of the URI's query, in turn.
    pub(crate) arguments: Vec<String>,
}

impl Destination {
    /// What containerd's word means.
    pub(crate) fn of(word: &str) -> Result<Self, ShimError> {
        if word.is_empty() {
            return Ok(Self::Nowhere);
        }
        let (scheme, rest) = word.split_once("://").unwrap_or(("", word));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let decoded = || percent_decode_str(path).decode_utf8().ok().map(|path| PathBuf::from(&*path));
        let path = if scheme.is_empty() { Some(PathBuf::from(word)) } else { decoded() };
        let path = path.filter(|path| path.is_absolute());
        match (scheme, path) {
            ("" | "fifo", Some(path)) => Ok(Self::Fifo(path)),
            ("file", Some(path)) => Ok(Self::File(path)),
            ("binary", Some(path)) => {
                let pairs = parse(query.as_bytes()).flat_map(|(key, value)| [key, value]);
                let arguments = pairs.map(|word| word.into_owned()).collect();
                Ok(Self::Program(LogProgram { path, arguments }))
            }
            _ => Err(ShimError::Impossible(format!(
                "streams go to FIFOs, files (file://) and logging binaries (binary://), and {word:?} is none of these"
            ))),
        }
    }

    /// The path of a FIFO: nothing else is read from.
    pub(crate) fn fifo(word: &str) -> Result<PathBuf, ShimError> {
        match Self::of(word)? {
            Self::Fifo(path) => Ok(path),
            _ => {
                Err(ShimError::Impossible(format!("standard input comes from a FIFO, and {word:?} is none")))
            }
        }
    }
}

impl LogProgram {
    /// For messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_paths_or_uris() {
        let of = |word: &str| Destination::of(word).unwrap();
        assert_eq!(of(""), Destination::Nowhere);
        assert_eq!(of("/run/a%20?b"), Destination::Fifo("/run/a%20?b".into()));
        assert_eq!(of("fifo:///run/a"), Destination::Fifo("/run/a".into()));
        assert_eq!(of("file:///var/log/a%20b"), Destination::File("/var/log/a b".into()));
        let program = |path: &str, words: &[&str]| {
            let arguments = words.iter().map(ToString::to_string).collect();
            Destination::Program(LogProgram { path: path.into(), arguments })
        };
        assert_eq!(of("binary:///bin/log"), program("/bin/log", &[]));
        let words = ["id", "a b", "-x", "", "id", "2"];
        assert_eq!(of("binary:////bin/log?id=a+b&-x&id=%32"), program("//bin/log", &words));
    }

    #[test]
    fn other_words_are_refused() {
        for word in ["relative", "file://relative", "binary://", "http:///a", "file:///%ff"] {
            let refused = Destination::of(word).unwrap_err().to_string();
            assert!(refused.contains(word), "{refused}");
        }
        assert!(Destination::fifo("file:///a").is_err());
        assert_eq!(Destination::fifo("/a").unwrap(), Path::new("/a"));
    }
}
