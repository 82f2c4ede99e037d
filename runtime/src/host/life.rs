//! Which life of the host this is: from one boot to the next, or until the volatile state is lost some other way.
//!
//! `<run>/life` names it: the boot's id, for where the volatile state is kept over one, and a number that nobody had before.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const RANDOM_ID: &str = "/proc/sys/kernel/random/uuid";
const FILE: &str = "life";

/// What the kernel calls the time since it booted.
///
/// # Errors
/// There is no /proc.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string(BOOT_ID)?.trim_end().to_owned())
}

/// What this life is called in the volatile state `run`, in hexadecimal digits.
///
/// # Errors
/// There is no name, or that of an earlier life: nobody has [begun](begin) this one.
pub(super) fn current(run: &Path) -> io::Result<String> {
    let name = fs::read_to_string(run.join(FILE))?;
    let is_current = name.starts_with(&digits(&boot_id()?));
    if is_current { Ok(name) } else { Err(io::Error::from(io::ErrorKind::NotFound)) }
}

/// Gives this life a name, if it has none yet.
///
/// # Errors
/// The directory cannot be written to.
pub(super) fn begin(run: &Path) -> io::Result<()> {
    if current(run).is_ok() {
        return Ok(());
    }
    let directory = File::open(run)?;
    directory.lock()?;
    if current(run).is_ok() {
        return Ok(());
    }
    let random = fs::read_to_string(RANDOM_ID)?;
    let mut file = tempfile::Builder::new().tempfile_in(run)?;
    write!(file, "{}{}", digits(&boot_id()?), digits(&random))?;
    file.persist(run.join(FILE)).map_err(|error| error.error)?;
    Ok(())
}

fn digits(uuid: &str) -> String {
    uuid.chars().filter(char::is_ascii_hexdigit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_has_one_name() {
        let run = tempfile::tempdir().unwrap();
        assert!(current(run.path()).is_err());
        begin(run.path()).unwrap();
        let first = current(run.path()).unwrap();
        assert!(first.len() == 64 && first.chars().all(|c| c.is_ascii_hexdigit()), "{first}");
        begin(run.path()).unwrap();
        assert_eq!(current(run.path()).unwrap(), first);
        assert_eq!(fs::read_dir(run.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_another_boot_left_names_no_life() {
        let run = tempfile::tempdir().unwrap();
        for left in ["", "0123", &"0".repeat(64)] {
            fs::write(run.path().join(FILE), left).unwrap();
            assert!(current(run.path()).is_err(), "{left}");
            begin(run.path()).unwrap();
            assert_ne!(current(run.path()).unwrap(), left);
        }
    }
}
