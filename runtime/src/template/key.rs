//! What a template depends on.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::host::Installation;
use crate::sandbox::VmShape;

/// A name holds so many bytes of the key's hash.
const NAME_BYTES: usize = 16;
/// The first processor's lines of /proc/cpuinfo are far fewer; further processors are not asked for.
const CPUINFO_BYTES: u64 = 4096;
/// What tells processors apart whose state means the same. (Others change from one look to the next.)
const CPUINFO_LINES: [&str; 6] = ["vendor_id", "cpu family", "model", "stepping", "microcode", "flags"];

/// Everything that a saved VM depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateKey {
    /// Where it goes on.
    pub platform: Platform,
    /// Its size.
    pub shape: VmShape,
}

/// What all templates that are of use have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    kernel: FileIdentity,
    initramfs: FileIdentity,
    vmm: FileIdentity,
    /// The kernel's command line beside what the VMM puts there.
    cmdline: Vec<String>,
    host_kernel: String,
    processor: Vec<String>,
}

/// A file that was not replaced and not written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileIdentity {
    path: PathBuf,
    inode: u64,
    length_bytes: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl TemplateKey {
    /// The key for VMs of this size here and now.
    ///
    /// # Errors
    /// A file of the installation, or what the kernel says of itself, cannot be read.
    pub fn of(installation: &Installation, cmdline: &[String], shape: VmShape) -> io::Result<Self> {
        Ok(Self { platform: Platform::of(installation, cmdline)?, shape })
    }

    /// The template's name.
    #[must_use]
    pub fn name(&self) -> String {
        // Cannot fail: all of it is plain data.
        let digest = Sha256::digest(serde_json::to_vec(self).unwrap_or_default());
        hex::encode(digest.get(..NAME_BYTES).unwrap_or_default())
    }
}

impl Platform {
    /// Here and now.
    ///
    /// # Errors
    /// A file of the installation, or what the kernel says of itself, cannot be read.
    pub fn of(installation: &Installation, cmdline: &[String]) -> io::Result<Self> {
        Ok(Self {
            kernel: FileIdentity::of(&installation.kernel)?,
            initramfs: FileIdentity::of(&installation.initramfs)?,
            vmm: FileIdentity::of(&installation.vmm)?,
            cmdline: cmdline.to_vec(),
            host_kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            processor: processor(&cpuinfo()?),
        })
    }
}

impl FileIdentity {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            inode: metadata.ino(),
            length_bytes: metadata.len(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        })
    }
}

fn cpuinfo() -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open("/proc/cpuinfo")?.take(CPUINFO_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The first processor, in words.
fn processor(cpuinfo: &str) -> Vec<String> {
    let first = cpuinfo.split("\n\n").next().unwrap_or_default();
    let tells = |line: &&str| line.split(':').next().is_some_and(|name| CPUINFO_LINES.contains(&name.trim()));
    first.lines().filter(tells).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_does_not_change_by_itself_counts_of_a_processor() {
        let text = "processor\t: 0\nvendor_id\t: A\nmodel\t\t: 1\nmodel name\t: X\ncpu MHz\t\t: 2100.1\nflags\t\t: a b\n\n\
                    processor\t: 1\nvendor_id\t: B\n";
        assert_eq!(processor(text), ["vendor_id\t: A", "model\t\t: 1", "flags\t\t: a b"]);
        assert!(!processor(&cpuinfo().unwrap()).is_empty());
    }

    #[test]
    fn each_part_of_the_key_changes_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = directory.path().join(name);
            fs::write(&path, name).unwrap();
            path
        };
        let installation = Installation {
            holm: file("holm"),
            vmm: file("vmm"),
            kernel: file("kernel"),
            initramfs: file("initramfs"),
        };
        let shape = VmShape { vcpus: 1, memory_mib: 128 };
        let key = |shape| TemplateKey::of(&installation, &["a".to_owned()], shape).unwrap();
        let before = key(shape);
        assert_eq!(before.name(), key(shape).name());
        assert_ne!(before.name(), key(VmShape { vcpus: 2, ..shape }).name());
        assert_ne!(before.name(), TemplateKey::of(&installation, &[], shape).unwrap().name());
        fs::write(&installation.initramfs, "another agent").unwrap();
        assert_ne!(before.name(), key(shape).name());
    }
}
