//! Holm's own files: the VMM, the guest kernel and the initramfs.
//!
//! Found beside the running program (`<prefix>/bin/holm` -> `<prefix>/libexec/holm`, `<prefix>/share/holm`), or where
//! `HOLM_VMM`, `HOLM_KERNEL` and `HOLM_INITRAMFS` say.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The installed files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The running program, started again as a supervisor.
    pub holm: PathBuf,
    /// `holm-vmm`.
    pub vmm: PathBuf,
    /// ELF vmlinux.
    pub kernel: PathBuf,
    /// cpio with the agent.
    pub initramfs: PathBuf,
}

/// A file of the installation is missing.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// The running program's own path is unknown.
    #[error("cannot find the running program")]
    Program(#[source] io::Error),
    /// A part cannot be read.
    #[error("the {part} is missing: cannot read {} (install Holm with 'make install', or set {variable})", path.display())]
    Missing {
        /// What it is, in words.
        part: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// What overrides the place.
        variable: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Installation {
    /// Finds the files without looking whether they are there.
    ///
    /// # Errors
    /// When the running program cannot be found.
    pub fn find() -> Result<Self, InstallationError> {
        let holm = std::env::current_exe().map_err(InstallationError::Program)?;
        let prefix = holm.parent().and_then(Path::parent).unwrap_or(Path::new("/usr/local")).to_owned();
        let place = |variable: &str, default: &str| {
            let given = std::env::var_os(variable).filter(|v| !v.is_empty());
            given.map_or_else(|| prefix.join(default), PathBuf::from)
        };
        Ok(Self {
            vmm: place("HOLM_VMM", "libexec/holm/holm-vmm"),
            kernel: place("HOLM_KERNEL", "share/holm/vmlinux"),
            initramfs: place("HOLM_INITRAMFS", "share/holm/initramfs.cpio"),
            holm,
        })
    }

    /// Checks that every part is there.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check(&self) -> Result<(), InstallationError> {
        for (part, path, variable) in [
            ("VMM", &self.vmm, "HOLM_VMM"),
            ("guest kernel", &self.kernel, "HOLM_KERNEL"),
            ("guest initramfs", &self.initramfs, "HOLM_INITRAMFS"),
        ] {
            let readable = fs::File::open(path).and_then(|file| file.metadata());
            match readable {
                Ok(metadata) if metadata.is_file() => {}
                Ok(_) => {
                    let source = io::Error::other("not a regular file");
                    return Err(InstallationError::Missing { part, path: path.clone(), variable, source });
                }
                Err(source) => {
                    return Err(InstallationError::Missing { part, path: path.clone(), variable, source });
                }
            }
        }
        Ok(())
    }

    /// The guest kernel's release, as its build wrote it beside the kernel; `None` for a kernel of another origin.
    #[must_use]
    pub fn kernel_release(&self) -> Option<String> {
        let mut path = self.kernel.clone().into_os_string();
        path.push(".version");
        let text = fs::read_to_string(path).ok()?;
        text.lines().next().map(str::to_owned)
    }
}
