//! The other side: what a test arms, and what it learns.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Fault;

/// The directory that [`crate::VARIABLE`] names. One fault at a time.
#[derive(Clone, Debug)]
pub struct Director {
    directory: PathBuf,
}

impl Director {
    /// Works in a directory that is there; nothing is armed, and nothing passed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn in_directory(directory: &Path) -> io::Result<Self> {
        let director = Self { directory: directory.to_owned() };
        director.disarm()?;
        Ok(director)
    }

    /// The value of [`crate::VARIABLE`].
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Has this happen in every process that begins from now on and passes the point for the `nth` time.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn arm(&self, point: &str, fault: Fault, nth: u32) -> io::Result<()> {
        self.disarm()?;
        fs::write(self.directory.join("armed"), format!("{point} {} {nth}\n", fault.word()))
    }

    /// Nothing happens in processes that begin from now on; what passed is forgotten.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn disarm(&self) -> io::Result<()> {
        fs::write(self.directory.join("armed"), "")?;
        fs::write(self.directory.join("passed"), "")
    }

    /// The points that were passed, in the order of the first time, each with the most times that one process passed it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn passed(&self) -> io::Result<Vec<(String, u32)>> {
        let lines = fs::read_to_string(self.directory.join("passed"))?;
        let mut order: Vec<String> = Vec::new();
        let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for (name, pid) in lines.lines().filter_map(|line| line.split_once(' ')) {
            if !order.iter().any(|known| known == name) {
                order.push(name.to_owned());
            }
            *counts.entry((name, pid)).or_default() += 1;
        }
        let most = |name: &str| {
            counts.iter().filter(|((of, _), _)| *of == name).map(|(_, count)| *count).max().unwrap_or(0)
        };
        Ok(order.iter().map(|name| (name.clone(), most(name))).collect())
    }

    /// Whether what is armed has happened: a process passed this point that often.
    #[must_use]
    pub fn has_happened(&self, point: &str, nth: u32) -> bool {
        self.passed().is_ok_and(|passed| passed.iter().any(|(name, count)| name == point && *count >= nth))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_one_process_counts() {
        let directory = tempfile::tempdir().unwrap();
        let director = Director::in_directory(directory.path()).unwrap();
        fs::write(directory.path().join("passed"), "b 1\na 1\na 2\na 2\nb 3\n").unwrap();
        assert_eq!(director.passed().unwrap(), [("b".to_owned(), 1), ("a".to_owned(), 2)]);
        assert!(director.has_happened("a", 2) && !director.has_happened("b", 2));
        director.arm("a", Fault::Kill, 1).unwrap();
        assert!(!director.has_happened("a", 1));
    }
}
