//! `-l KEY=VALUE`, `--label-file` and `--annotation`: what users note about a container.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Labels by their keys.
pub type Labels = BTreeMap<String, String>;

/// One label; without an equals sign its value is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What it is about.
    pub key: String,
    /// What it says.
    pub value: String,
}

/// A label without a key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid label {0:?}: want KEY=VALUE")]
pub struct LabelError(String);

/// Why a file of labels is refused.
#[derive(Debug, thiserror::Error)]
pub enum LabelFileError {
    /// It cannot be read, or is not UTF-8.
    #[error("cannot read label file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is no label.
    #[error("label file {}, line {line}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: LabelError,
    },
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.trim().is_empty() {
            return Err(LabelError(text.to_owned()));
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

impl Label {
    /// Reads a file of labels: one per line, `#` starts a comment line.
    ///
    /// # Errors
    /// The file cannot be read, or names the line that is no label.
    pub fn read_file(path: &Path) -> Result<Vec<Self>, LabelFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| LabelFileError::Read { path: path.to_owned(), source })?;
        let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        let lines = lines.map(|(index, line)| (index + 1, line.trim_start()));
        let labels = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        labels
            .map(|(line, text)| {
                let refused = |source| LabelFileError::Line { path: path.to_owned(), line, source };
                text.parse().map_err(refused)
            })
            .collect()
    }
}

impl Extend<Label> for Labels {
    fn extend<T: IntoIterator<Item = Label>>(&mut self, labels: T) {
        self.extend(labels.into_iter().map(|label| (label.key, label.value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_labels_win_and_bare_ones_are_empty() {
        let mut labels = Labels::new();
        labels.extend(["a=1", "b", "a=x=y"].map(|text| text.parse::<Label>().unwrap()));
        assert_eq!(labels, [("a", "x=y"), ("b", "")].map(|(k, v)| (k.into(), v.into())).into());
        assert_eq!("=x".parse::<Label>(), Err(LabelError("=x".into())));
    }

    #[test]
    fn files_have_comments_and_clear_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels");
        std::fs::write(&path, "# note\n\n  a=1\nb=two words\n").unwrap();
        let labels = Label::read_file(&path).unwrap();
        assert_eq!(labels, ["a=1", "b=two words"].map(|text| text.parse().unwrap()));
        std::fs::write(&path, "a=1\n=2\n").unwrap();
        assert!(matches!(Label::read_file(&path), Err(LabelFileError::Line { line: 2, .. })));
    }
}
