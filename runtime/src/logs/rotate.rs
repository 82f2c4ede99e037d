//! Makes room for a new log file: the current one becomes `.1`, `.1` becomes `.2`, and the oldest goes.

use std::fs;
use std::io;

use super::files::LogFiles;

/// Afterwards there is no current file. When it fails half-way, calling again goes on and loses nothing more.
///
/// # Errors
/// Any failure of the file system other than that a file is not there.
pub(super) fn rotate(files: &LogFiles) -> io::Result<()> {
    if files.max_rotated() == 0 {
        // Removed rather than emptied: a reader that has it open can finish it.
        return missing_is_fine(fs::remove_file(files.path()));
    }
    // Only up to the first free name: one that is missing was moved by an attempt that did not get to its end.
    let free = (1..=files.max_rotated()).find(|age| !files.aged(*age).exists());
    for age in (0..free.unwrap_or(files.max_rotated())).rev() {
        missing_is_fine(fs::rename(files.aged(age), files.aged(age + 1)))?;
    }
    Ok(())
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn names(dir: &Path) -> Vec<(String, String)> {
        let mut found: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        found.sort();
        found
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn files_grow_older_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let files = LogFiles::new(dir.path().join("log"), 3);
        for text in ["a", "b", "c", "d"] {
            fs::write(files.path(), text).unwrap();
            rotate(&files).unwrap();
        }
        assert_eq!(names(dir.path()), pairs(&[("log.1", "d"), ("log.2", "c")]));
        rotate(&files).unwrap();
        assert_eq!(names(dir.path()), pairs(&[("log.2", "d")]), "nothing to rotate moves on, as in Docker");
    }

    #[test]
    fn one_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let files = LogFiles::new(dir.path().join("log"), 1);
        fs::write(files.path(), "a").unwrap();
        rotate(&files).unwrap();
        assert!(names(dir.path()).is_empty());
        rotate(&files).unwrap();
    }

    #[test]
    fn an_interrupted_rotation_is_continued() {
        let dir = tempfile::tempdir().unwrap();
        let files = LogFiles::new(dir.path().join("log"), 4);
        // .1 was already moved to .2.
        for (age, text) in [(0, "new"), (2, "b"), (3, "c")] {
            fs::write(files.aged(age), text).unwrap();
        }
        rotate(&files).unwrap();
        assert_eq!(names(dir.path()), pairs(&[("log.1", "new"), ("log.2", "b"), ("log.3", "c")]));
    }
}
