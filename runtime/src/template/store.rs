//! Where templates are kept.
//!
//! ```text
//! <templates>/<name>/about.json    the key, for lists and for whoever looks for templates that are of no use any more
//!                   /state, memory what the VMM wrote
//!                   /checked       which file of memory was verified, and in which life of the host
//!                   /written.json  what its guests write to soon, when one of them has
//! <templates>/.refused-<name>      why this host's KVM cannot go on from templates of this key: nobody makes one again
//! <templates>/.draft/              one that is being made, by whoever has the lock
//!                   /vm/           sockets of the VM, when it runs for nothing else
//! <templates>/.lock
//! ```
//!
//! Nothing is synced: what a power cut leaves of a template is refused by its checksums, and made anew. State and memory of a template
//! never change; one that is removed stays for the VMs that have it mapped.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use holm_protocol::vm_config::{PageRun, TemplateConfig};

use super::TemplateKey;
use crate::durable;
use crate::file_error::{FileError, failed};
use crate::host::{Directories, DirectoriesError, boot_id, create_private_directory};

/// Most templates; the oldest goes first. Each is of one number of vCPUs and one size to boot with, and some 50 MiB.
const MAX_TEMPLATES: usize = 16;
const ABOUT: &str = "about.json";
const CHECKED: &str = "checked";
const WRITTEN: &str = "written.json";
const REFUSED: &str = ".refused-";
const DRAFT: &str = ".draft";
const VM: &str = "vm";
const LOCK: &str = ".lock";

/// All templates.
#[derive(Clone, Debug)]
pub struct TemplateStore {
    directory: PathBuf,
}

/// One that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// For the VMM.
    pub config: TemplateConfig,
}

/// One in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub directory: PathBuf,
    /// When it was made.
    pub made: SystemTime,
    /// What it depends on, where that can be told.
    pub key: Option<TemplateKey>,
}

/// One that is being made. It is gone if it is not finished.
#[derive(Debug)]
pub struct Draft {
    /// Where the VMM writes its state.
    pub state: File,
    /// Where it writes memory.
    pub memory: File,
    key: TemplateKey,
    store: TemplateStore,
    _lock: File,
}

/// The templates cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A directory cannot be made.
    #[error(transparent)]
    Directory(#[from] DirectoriesError),
    /// Something about a file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl TemplateStore {
    /// The store of these directories.
    #[must_use]
    pub fn new(directories: &Directories) -> Self {
        Self { directory: directories.templates() }
    }

    /// The template of this key, if there is one.
    #[must_use]
    pub fn find(&self, key: &TemplateKey) -> Option<Template> {
        let name = key.name();
        let directory = self.directory.join(&name);
        let (state, memory) = (directory.join("state"), directory.join("memory"));
        let stamp = stamp(&memory).ok()?;
        let was_checked = fs::read_to_string(directory.join(CHECKED)).is_ok_and(|checked| checked == stamp);
        let written = Vec::new();
        let mut config =
            TemplateConfig { state, memory, check_memory: !was_checked, is_checkpoint: false, written };
        // Without them, or with others, a start is only slower.
        let written = fs::read(directory.join(WRITTEN)).ok();
        config.written = written.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        if config.check().is_err() {
            config.written.clear();
        }
        Some(Template { name, config })
    }

    /// Notes that the VMM has verified the template's memory: it need not be again until the host boots.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn note_checked(&self, template: &Template) -> Result<(), TemplateError> {
        let note = self.directory.join(&template.name).join(CHECKED);
        let written = holm_faults::fault!("template.checked.write")
            .and_then(|()| stamp(&template.config.memory))
            .and_then(|stamp| durable::write(&note, stamp.as_bytes()));
        Ok(written.map_err(failed("write", &note))?)
    }

    /// Notes what the template's guests write to soon.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn note_written(&self, template: &Template, written: &[PageRun]) -> Result<(), TemplateError> {
        let note = self.directory.join(&template.name).join(WRITTEN);
        let json = serde_json::to_vec(written).map_err(io::Error::from);
        let json = json.and_then(|json| holm_faults::fault!("template.written.write").map(|()| json));
        Ok(json.and_then(|json| durable::write(&note, &json)).map_err(failed("write", &note))?)
    }

    /// Removes a template and notes that there is to be none of its key, because the host cannot use it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn refuse(&self, name: &str, why: &str) -> Result<(), TemplateError> {
        let note = self.refusal_of(name);
        fs::write(&note, why).map_err(failed("write", &note))?;
        self.remove(name)
    }

    /// Whether there is to be no template of this key.
    #[must_use]
    pub fn is_refused(&self, key: &TemplateKey) -> bool {
        self.refusal_of(&key.name()).exists()
    }

    /// Why templates cannot be used on this host, if one was refused.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let entries = fs::read_dir(&self.directory).ok()?.flatten();
        let mut notes =
            entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(REFUSED.as_bytes()));
        fs::read_to_string(notes.next()?.path()).ok()
    }

    fn refusal_of(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{REFUSED}{name}"))
    }

    /// Begins a template; `None` when it is there, or somebody makes one just now.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn begin(&self, key: TemplateKey) -> Result<Option<Draft>, TemplateError> {
        create_private_directory(&self.directory)?;
        let lock_path = self.directory.join(LOCK);
        let lock = File::create(&lock_path).map_err(failed("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &lock_path)(error).into()),
        }
        if self.find(&key).is_some() {
            return Ok(None);
        }
        let directory = self.directory.join(DRAFT);
        // Of somebody who did not come to an end.
        remove_tree(&directory).map_err(failed("remove", &directory))?;
        holm_faults::fault!("template.begin").map_err(failed("create", &directory))?;
        create_private_directory(&directory)?;
        holm_faults::crash!("template.begun");
        let file = |name: &str| {
            let path = directory.join(name);
            let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
            file.map_err(failed("create", &path))
        };
        Ok(Some(Draft {
            state: file("state")?,
            memory: file("memory")?,
            key,
            store: self.clone(),
            _lock: lock,
        }))
    }

    /// All templates, the oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, TemplateError> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("read", &self.directory))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed("read", &self.directory))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let directory = entry.path();
            let made = fs::metadata(directory.join("state")).and_then(|state| state.modified());
            let about = fs::read(directory.join(ABOUT)).ok();
            let key = about.and_then(|about| serde_json::from_slice(&about).ok());
            found.push(Listed { name, directory, made: made.unwrap_or(SystemTime::UNIX_EPOCH), key });
        }
        found.sort_by_key(|template| template.made);
        Ok(found)
    }

    /// Forgets that this host could not use templates of some keys: the next start tries again.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn forget_refusals(&self) -> Result<(), TemplateError> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Ok(()) };
        for entry in entries.flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(REFUSED.as_bytes()) {
                fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// Removes a template; fine when it is not there.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn remove(&self, name: &str) -> Result<(), TemplateError> {
        let directory = self.directory.join(name);
        Ok(remove_tree(&directory).map_err(failed("remove", &directory))?)
    }
}

impl Draft {
    /// A directory for the sockets of a VM that runs for nothing but this. It is not of the template.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn vm_directory(&self) -> Result<PathBuf, TemplateError> {
        let directory = self.store.directory.join(DRAFT).join(VM);
        create_private_directory(&directory)?;
        Ok(directory)
    }

    /// The VMM has written it: from now on it is found. Those that are of no use beside it go.
    ///
    /// # Errors
    /// It cannot be put where it belongs.
    pub fn finish(self) -> Result<(), TemplateError> {
        let store = &self.store;
        let directory = store.directory.join(DRAFT);
        let about = directory.join(ABOUT);
        let sockets = directory.join(VM);
        remove_tree(&sockets).map_err(failed("remove", &sockets))?;
        let json = serde_json::to_vec(&self.key).map_err(io::Error::from);
        let json = json.and_then(|json| holm_faults::fault!("template.about.write").map(|()| json));
        json.and_then(|json| fs::write(&about, json)).map_err(failed("write", &about))?;
        let place = store.directory.join(self.key.name());
        // What somebody who was killed left of one that was to be removed.
        remove_tree(&place).map_err(failed("remove", &place))?;
        holm_faults::fault!("template.rename")
            .and_then(|()| fs::rename(&directory, &place))
            .map_err(failed("make", &place))?;
        holm_faults::crash!("template.renamed");
        let all = store.list()?;
        let surplus = all.len().saturating_sub(MAX_TEMPLATES);
        for (index, listed) in all.into_iter().enumerate() {
            if index < surplus || listed.key.is_none_or(|key| key.platform != self.key.platform) {
                store.remove(&listed.name)?;
            }
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already if it was finished. What stays is removed by the next that begins.
        let _ = remove_tree(&self.store.directory.join(DRAFT));
    }
}

/// Which file this is, that nobody wrote to it, and which life of the host this is: a file that was not synced may be another
/// after the next boot.
fn stamp(path: &Path) -> io::Result<String> {
    let boot = boot_id()?;
    let m = fs::metadata(path)?;
    let times = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
    Ok(format!("{} {} {times:?} {boot}", m.ino(), m.len()))
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::host::Installation;
    use crate::sandbox::VmShape;

    struct Fixture {
        directory: tempfile::TempDir,
        store: TemplateStore,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            for name in ["holm", "vmm", "kernel", "initramfs"] {
                fs::write(directory.path().join(name), name).unwrap();
            }
            let directories = Directories::at(directory.path().join("root"), directory.path().join("run"));
            directories.create().unwrap();
            Self { store: TemplateStore::new(&directories), directory }
        }

        fn key(&self, memory_mib: u32) -> TemplateKey {
            let file = |name: &str| self.directory.path().join(name);
            let installation = Installation {
                holm: file("holm"),
                vmm: file("vmm"),
                kernel: file("kernel"),
                initramfs: file("initramfs"),
            };
            TemplateKey::of(&installation, &[], VmShape { vcpus: 1, memory_mib }).unwrap()
        }

        fn make(&self, memory_mib: u32) -> Template {
            let mut draft = self.store.begin(self.key(memory_mib)).unwrap().unwrap();
            draft.memory.write_all(b"memory").unwrap();
            draft.finish().unwrap();
            self.store.find(&self.key(memory_mib)).unwrap()
        }
    }

    #[test]
    fn a_template_is_there_once_it_is_finished() {
        let fixture = Fixture::new();
        let (store, key) = (&fixture.store, fixture.key(64));
        drop(store.begin(key.clone()).unwrap().unwrap());
        assert_eq!(store.find(&key), None);
        let draft = store.begin(key.clone()).unwrap().unwrap();
        assert!(store.begin(fixture.key(128)).unwrap().is_none(), "one at a time");
        assert_eq!(store.find(&key), None);
        draft.finish().unwrap();
        assert!(store.find(&key).is_some());
        assert!(store.begin(key).unwrap().is_none());
    }

    #[test]
    fn memory_is_checked_until_somebody_has_and_again_when_it_was_touched() {
        let fixture = Fixture::new();
        let template = fixture.make(64);
        assert!(template.config.check_memory);
        fixture.store.note_checked(&template).unwrap();
        let find = || fixture.store.find(&fixture.key(64)).unwrap();
        assert!(!find().config.check_memory);
        fs::write(&template.config.memory, b"mEmory").unwrap();
        assert!(find().config.check_memory);
    }

    #[test]
    fn what_guests_write_to_is_known_once_it_was_noted_and_only_if_it_is_little() {
        let fixture = Fixture::new();
        let template = fixture.make(64);
        assert_eq!(template.config.written, []);
        for (noted, known) in [(PageRun(7, 2), &[PageRun(7, 2)][..]), (PageRun(7, 1 << 20), &[])] {
            fixture.store.note_written(&template, &[noted]).unwrap();
            assert_eq!(fixture.store.find(&fixture.key(64)).unwrap().config.written, known);
        }
    }

    #[test]
    fn templates_of_another_platform_go_and_so_do_the_oldest_of_too_many() {
        let fixture = Fixture::new();
        fixture.make(64);
        fs::write(fixture.directory.path().join("kernel"), "a newer kernel").unwrap();
        for memory_mib in 64..64 + 20 {
            fixture.make(memory_mib);
        }
        let left = fixture.store.list().unwrap();
        assert_eq!(left.len(), MAX_TEMPLATES);
        assert!(
            left.iter().all(|listed| listed
                .key
                .as_ref()
                .is_some_and(|key| key.platform == fixture.key(64).platform))
        );
        assert!(fixture.store.find(&fixture.key(64)).is_none());
        assert!(fixture.store.find(&fixture.key(83)).is_some());
    }

    #[test]
    fn a_template_that_the_host_cannot_use_is_not_made_again() {
        let fixture = Fixture::new();
        let template = fixture.make(64);
        assert_eq!((fixture.store.refusal(), fixture.store.is_refused(&fixture.key(64))), (None, false));
        fixture.store.refuse(&template.name, "KVM: no").unwrap();
        assert!(fixture.store.is_refused(&fixture.key(64)) && !fixture.store.is_refused(&fixture.key(128)));
        assert_eq!(fixture.store.refusal().as_deref(), Some("KVM: no"));
        fixture.store.forget_refusals().unwrap();
        assert_eq!((fixture.store.refusal(), fixture.store.is_refused(&fixture.key(64))), (None, false));
        assert!(fixture.store.list().unwrap().is_empty());
    }

    #[test]
    fn what_crashes_left_is_no_obstacle() {
        let fixture = Fixture::new();
        let template = fixture.make(64);
        fs::remove_file(&template.config.memory).unwrap();
        fixture.make(64);
        let draft = fixture.store.directory.join(DRAFT);
        fs::create_dir(&draft).unwrap();
        fs::write(draft.join("state"), "half").unwrap();
        fixture.make(128);
        assert_eq!(fixture.store.list().unwrap().len(), 2);
    }
}
