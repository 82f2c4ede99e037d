//! `-e NAME=value`, `-e NAME` and `--env-file`: environment variables.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A variable with its value, or one to take from the caller's environment (and to leave out when it is not there).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EnvVar(String);

/// Why a variable is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvVarError {
    /// No name before the equals sign.
    #[error("invalid environment variable: {0:?}")]
    NoName(String),
    /// A NUL cannot be passed to a program.
    #[error("environment variable {0:?} contains a NUL")]
    Nul(String),
}

/// Why an environment file is refused.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    /// It cannot be read, or is not UTF-8.
    #[error("cannot read environment file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line is no variable.
    #[error("environment file {}, line {line}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: EnvVarError,
    },
    /// A name with white space in it.
    #[error("environment file {}, line {line}: variable {name:?} contains whitespaces", path.display())]
    Whitespace {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What stands before the equals sign.
        name: String,
    },
}

impl EnvVar {
    /// `NAME=value`, asking `lookup` for the value of a bare name; `None` when that knows none.
    #[must_use]
    pub fn resolve(&self, lookup: impl Fn(&str) -> Option<String>) -> Option<String> {
        if self.0.contains('=') {
            return Some(self.0.clone());
        }
        lookup(&self.0).map(|value| format!("{}={value}", self.0))
    }

    /// Puts the value of a bare name in place; a name that the caller's environment lacks disappears.
    #[must_use]
    pub fn pinned(&self, lookup: impl Fn(&str) -> Option<String>) -> Option<Self> {
        self.resolve(lookup).map(Self)
    }

    /// Reads an environment file: a variable per line, `#` starts a comment line, no quoting.
    ///
    /// # Errors
    /// When the file cannot be read, or names the line that is no variable.
    pub fn read_file(path: &Path) -> Result<Vec<Self>, EnvFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| EnvFileError::Read { path: path.to_owned(), source })?;
        let mut variables = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line_number = index + 1;
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let name = line.split('=').next().unwrap_or(line);
            if name.contains(char::is_whitespace) {
                return Err(EnvFileError::Whitespace {
                    path: path.to_owned(),
                    line: line_number,
                    name: name.to_owned(),
                });
            }
            variables.push(line.parse().map_err(|source| EnvFileError::Line {
                path: path.to_owned(),
                line: line_number,
                source,
            })?);
        }
        Ok(variables)
    }
}

impl FromStr for EnvVar {
    type Err = EnvVarError;

    fn from_str(text: &str) -> Result<Self, EnvVarError> {
        if text.is_empty() || text.starts_with('=') {
            return Err(EnvVarError::NoName(text.to_owned()));
        }
        if text.contains('\0') {
            return Err(EnvVarError::Nul(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_come_from_the_caller() {
        let lookup = |name: &str| (name == "HERE").then(|| "x".to_owned());
        let resolved = |text: &str| text.parse::<EnvVar>().unwrap().resolve(lookup);
        assert_eq!(resolved("A=b=c"), Some("A=b=c".into()));
        assert_eq!(resolved("A="), Some("A=".into()));
        assert_eq!(resolved("HERE"), Some("HERE=x".into()));
        assert_eq!(resolved("GONE"), None);
        assert!("=x".parse::<EnvVar>().is_err());
    }

    #[test]
    fn files_have_comments_and_clear_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        std::fs::write(&path, "# note\n\nA=1\n  B=two words \nHERE\n").unwrap();
        let names: Vec<_> = EnvVar::read_file(&path).unwrap();
        assert_eq!(names, ["A=1", "B=two words ", "HERE"].map(|t| t.parse().unwrap()));
        std::fs::write(&path, "A=1\nB C=2\n").unwrap();
        assert!(matches!(EnvVar::read_file(&path), Err(EnvFileError::Whitespace { line: 2, .. })));
        std::fs::write(&path, "=2\n").unwrap();
        assert!(matches!(EnvVar::read_file(&path), Err(EnvFileError::Line { line: 1, .. })));
    }
}
