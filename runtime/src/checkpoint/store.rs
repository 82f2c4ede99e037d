//! The checkpoints of a container.
//!
//! ```text
//! <container>/checkpoints/<name>/about, state, memory, layer.ext4
//! <container>/checkpoints/.draft-<name>/     one that is being made
//! ```
//!
//! They go with the container. Those in a directory of the user's (`<directory>/<name>/`) do not, and another container of the same image
//! may go on from them. A checkpoint is never changed; one that is removed stays for the VMs that have it mapped.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use holm_protocol::vm_config::TemplateConfig;
use time::OffsetDateTime;

use super::{About, AboutError, CheckpointName};
use crate::container::Container;
use crate::durable;
use crate::file_error::{FileError, failed};
use crate::host::{DirectoriesError, create_private_directory};
use crate::storage::{sparse_copy, sparse_sum};
use crate::template::Platform;

const DRAFT: &str = ".draft-";
const ABOUT: &str = "about";
const STATE: &str = "state";
const MEMORY: &str = "memory";
const LAYER: &str = "layer.ext4";

/// The checkpoints of one container.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
    /// For messages.
    container: String,
    /// Its image's id.
    image: String,
}

/// One that is there.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What is known of it.
    pub about: About,
    name: CheckpointName,
    directory: PathBuf,
}

/// One in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub name: CheckpointName,
    /// When it was made; none where it is damaged.
    pub created: Option<OffsetDateTime>,
}

/// One that is being made. It is gone if it is not finished.
#[derive(Debug)]
pub struct Draft {
    /// Where the VMM writes its state.
    pub state: File,
    /// Where it writes memory.
    pub memory: File,
    directory: PathBuf,
    place: PathBuf,
    name: CheckpointName,
}

/// A checkpoint cannot be made, found or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The name is taken.
    #[error("checkpoint with name {name} already exists for container {container}")]
    Exists {
        /// The name.
        name: CheckpointName,
        /// The container's.
        container: String,
    },
    /// There is none.
    #[error("checkpoint {name} does not exist for container {container}")]
    NotFound {
        /// The name.
        name: CheckpointName,
        /// The container's.
        container: String,
    },
    /// It cannot be used.
    #[error("checkpoint {name} is damaged")]
    Damaged {
        /// The name.
        name: CheckpointName,
        /// Why.
        #[source]
        source: AboutError,
    },
    /// It is of a container of another image.
    #[error("checkpoint {name} is of a container of the image {image}, not {wanted}")]
    Image {
        /// The name.
        name: CheckpointName,
        /// That container's.
        image: String,
        /// This one's.
        wanted: String,
    },
    /// Its layer is not what was saved.
    #[error("checkpoint {0} is damaged: the checksum of its layer is wrong")]
    Layer(CheckpointName),
    /// It was made elsewhere.
    #[error(
        "checkpoint {0} goes on only with the installation, the host's kernel and the processor with which it was made"
    )]
    Platform(CheckpointName),
    /// A directory cannot be made.
    #[error(transparent)]
    Directory(#[from] DirectoriesError),
    /// Something about a file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Checkpoints {
    /// Those of a container, which are with it.
    #[must_use]
    pub fn of(container: &Container) -> Self {
        Self::at(container, None)
    }

    /// Those of a container, or those that it may go on from, in a `directory`, if one is given.
    #[must_use]
    pub fn at(container: &Container, directory: Option<&Path>) -> Self {
        Self {
            directory: directory.map_or_else(|| container.checkpoints(), Path::to_owned),
            container: container.name.to_string(),
            image: container.record.image_id.clone(),
        }
    }

    /// Begins one.
    ///
    /// # Errors
    /// The name is taken, or the disk does not take it.
    pub fn begin(&self, name: &CheckpointName) -> Result<Draft, CheckpointError> {
        let place = self.directory.join(name.as_str());
        if place.exists() {
            return Err(CheckpointError::Exists { name: name.clone(), container: self.container.clone() });
        }
        create_private_directory(&self.directory)?;
        let directory = self.directory.join(format!("{DRAFT}{name}"));
        // Of somebody who did not come to an end: one checkpoint of a container is made at a time.
        durable::remove(&directory).map_err(failed("remove", &directory))?;
        holm_faults::fault!("checkpoint.begin").map_err(failed("create", &directory))?;
        create_private_directory(&directory)?;
        holm_faults::crash!("checkpoint.begun");
        let file = |file: &str| {
            let path = directory.join(file);
            let made = File::options().write(true).create_new(true).mode(0o600).open(&path);
            made.map_err(failed("create", &path))
        };
        let (state, memory) = (file(STATE)?, file(MEMORY)?);
        Ok(Draft { state, memory, directory, place, name: name.clone() })
    }

    /// One to go on from, on this `platform`.
    ///
    /// # Errors
    /// There is none of this name, or it is of no use.
    pub fn open(&self, name: &CheckpointName, platform: &Platform) -> Result<Checkpoint, CheckpointError> {
        let directory = self.find(name)?;
        let about = About::read(&directory.join(ABOUT));
        let about = about.map_err(|source| CheckpointError::Damaged { name: name.clone(), source })?;
        if about.platform != *platform {
            return Err(CheckpointError::Platform(name.clone()));
        }
        if about.image != self.image {
            let (name, image, wanted) = (name.clone(), about.image, self.image.clone());
            return Err(CheckpointError::Image { name, image, wanted });
        }
        Ok(Checkpoint { about, name: name.clone(), directory })
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, CheckpointError> {
        let mut found = Vec::new();
        for name in self.names()? {
            let Ok(name) = name.parse::<CheckpointName>() else { continue };
            if self.find(&name).is_err() {
                continue;
            }
            let about = About::read(&self.directory.join(name.as_str()).join(ABOUT));
            found.push(Listed { name, created: about.ok().map(|about| about.created) });
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Removes one. A container that went on from it keeps running.
    ///
    /// # Errors
    /// There is none of this name, or it cannot be removed.
    pub fn remove(&self, name: &CheckpointName) -> Result<(), CheckpointError> {
        let directory = self.find(name)?;
        Ok(holm_faults::fault!("checkpoint.remove")
            .and_then(|()| durable::remove(&directory))
            .map_err(failed("remove", &directory))?)
    }

    /// What is wrong with any of them.
    pub(crate) fn damaged(&self) -> Vec<(PathBuf, AboutError)> {
        let places = self.names().unwrap_or_default().into_iter().filter(|name| !name.starts_with('.'));
        let places = places.map(|name| self.directory.join(name));
        places.filter_map(|place| About::read(&place.join(ABOUT)).err().map(|error| (place, error))).collect()
    }

    /// What killed commands left; the caller holds the container's lock.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let names = self.names().unwrap_or_default().into_iter().filter(|name| name.starts_with('.'));
        names.map(|name| self.directory.join(name)).collect()
    }

    fn find(&self, name: &CheckpointName) -> Result<PathBuf, CheckpointError> {
        let directory = self.directory.join(name.as_str());
        let missing = || CheckpointError::NotFound { name: name.clone(), container: self.container.clone() };
        // What else is in a directory of the user's is not ours.
        directory.join(ABOUT).is_file().then_some(directory).ok_or_else(missing)
    }

    fn names(&self) -> Result<Vec<String>, CheckpointError> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("read", &self.directory))?,
        };
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }
}

impl Draft {
    /// Copies the writable layer, which nobody writes to.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn copy_layer(&self, layer: &Path) -> Result<(), CheckpointError> {
        Ok(holm_faults::fault!("checkpoint.layer.copy")
            .and_then(|()| sparse_copy(layer, &self.directory.join(LAYER)))
            .map_err(failed("copy", layer))?)
    }

    /// All is written: from now on it is found, and survives a power cut. One for a fork is used at once, and not verified.
    ///
    /// # Errors
    /// It cannot be put where it belongs.
    pub fn finish(self, mut about: About) -> Result<(), CheckpointError> {
        let layer = self.directory.join(LAYER);
        if !self.name.is_fork() {
            about.layer_sha256 = Some(sparse_sum(&layer).map_err(failed("read", &layer))?);
        }
        holm_faults::fault!("checkpoint.about.write").map_err(failed("write", &self.directory))?;
        let path = self.directory.join(ABOUT);
        let written = about.write(&path);
        written.map_err(|source| CheckpointError::Damaged { name: self.name.clone(), source })?;
        if !self.name.is_fork() {
            for file in [ABOUT, STATE, MEMORY, LAYER].map(|file| self.directory.join(file)) {
                let synced = holm_faults::fault!("checkpoint.files.sync")
                    .and_then(|()| File::open(&file).and_then(|file| file.sync_all()));
                synced.map_err(failed("write", &file))?;
            }
            holm_faults::fault!("checkpoint.directory.sync")
                .and_then(|()| durable::sync_directory(&self.directory))
                .map_err(failed("write", &self.directory))?;
        }
        holm_faults::fault!("checkpoint.rename")
            .and_then(|()| fs::rename(&self.directory, &self.place))
            .map_err(failed("make", &self.place))?;
        holm_faults::crash!("checkpoint.renamed");
        let parent = self.place.parent().unwrap_or(&self.place);
        Ok(durable::sync_directory(parent).map_err(failed("write", parent))?)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already if it was finished. What stays is removed by the next that begins.
        let _ = durable::remove(&self.directory);
    }
}

impl Checkpoint {
    /// For the VMM.
    #[must_use]
    pub fn config(&self) -> TemplateConfig {
        TemplateConfig {
            state: self.directory.join(STATE),
            memory: self.directory.join(MEMORY),
            check_memory: self.about.layer_sha256.is_some(),
            is_checkpoint: true,
            written: Vec::new(),
        }
    }

    /// Puts the layer, verified, at `path`, where nothing is. A fork's goes there itself.
    ///
    /// # Errors
    /// It is damaged, or cannot be copied; there is nothing at `path` then.
    pub fn restore_layer(&self, path: &Path) -> Result<(), CheckpointError> {
        let layer = self.directory.join(LAYER);
        let Some(wanted) = &self.about.layer_sha256 else {
            let moved = holm_faults::fault!("fork.layer.move").and_then(|()| fs::rename(&layer, path));
            return Ok(moved.map_err(failed("move", &layer))?);
        };
        let copied = holm_faults::fault!("resume.layer.copy")
            .and_then(|()| sparse_copy(&layer, path))
            .and_then(|()| sparse_sum(path));
        let refused = match copied {
            Ok(sum) if sum == *wanted => return Ok(()),
            Ok(_) => CheckpointError::Layer(self.name.clone()),
            Err(error) => failed("copy", &layer)(error).into(),
        };
        // The first failure is the one to tell.
        let _ = durable::remove(path);
        Err(refused)
    }

    /// Forgets one that was made for one start, now that its VM has it open.
    pub fn used(&self) {
        if self.name.is_fork()
            && let Err(error) = durable::remove(&self.directory)
        {
            tracing::warn!(%error, "the files of a fork were not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::host::Installation;
    use crate::sandbox::VmShape;

    struct Fixture {
        directory: tempfile::TempDir,
        checkpoints: Checkpoints,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            for name in ["holm", "vmm", "kernel", "initramfs"] {
                fs::write(directory.path().join(name), name).unwrap();
            }
            let layer = File::create(directory.path().join("layer")).unwrap();
            layer.set_len(8 << 20).unwrap();
            layer.write_all_at(b"head", 0).unwrap();
            layer.write_all_at(b"tail", (5 << 20) + 4090).unwrap();
            let checkpoints = Checkpoints {
                directory: directory.path().join("checkpoints"),
                container: "web".to_owned(),
                image: "image".to_owned(),
            };
            Self { directory, checkpoints }
        }

        fn platform(&self) -> Platform {
            let file = |name: &str| self.directory.path().join(name);
            let installation = Installation {
                holm: file("holm"),
                vmm: file("vmm"),
                kernel: file("kernel"),
                initramfs: file("initramfs"),
            };
            Platform::of(&installation, &[]).unwrap()
        }

        fn make(&self, name: &CheckpointName) -> Result<(), CheckpointError> {
            let mut draft = self.checkpoints.begin(name)?;
            draft.memory.write_all(b"memory").unwrap();
            draft.copy_layer(&self.directory.path().join("layer"))?;
            draft.finish(About {
                created: OffsetDateTime::UNIX_EPOCH,
                image: "image".to_owned(),
                platform: self.platform(),
                shape: VmShape { vcpus: 1, memory_mib: 512 },
                guest_id: "0".repeat(64),
                network_slots: vec![5],
                serves_names: false,
                layer_sha256: None,
            })
        }

        fn open(&self, name: &CheckpointName) -> Result<Checkpoint, CheckpointError> {
            self.checkpoints.open(name, &self.platform())
        }
    }

    fn name(text: &str) -> CheckpointName {
        text.parse().unwrap()
    }

    #[test]
    fn a_checkpoint_is_there_once_it_is_finished_until_it_is_removed() {
        let fixture = Fixture::new();
        let checkpoints = &fixture.checkpoints;
        assert!(checkpoints.list().unwrap().is_empty());
        drop(checkpoints.begin(&name("one")).unwrap());
        let missing = fixture.open(&name("one")).unwrap_err().to_string();
        assert_eq!(missing, "checkpoint one does not exist for container web");
        fixture.make(&name("one")).unwrap();
        fixture.make(&name("two")).unwrap();
        let taken = fixture.make(&name("one")).unwrap_err().to_string();
        assert_eq!(taken, "checkpoint with name one already exists for container web");
        let names: Vec<_> = checkpoints.list().unwrap().into_iter().map(|listed| listed.name).collect();
        assert_eq!(names, [name("one"), name("two")]);
        let restored = fixture.directory.path().join("restored");
        fixture.open(&name("two")).unwrap().restore_layer(&restored).unwrap();
        assert_eq!(fs::read(&restored).unwrap(), fs::read(fixture.directory.path().join("layer")).unwrap());
        checkpoints.remove(&name("one")).unwrap();
        assert!(matches!(checkpoints.remove(&name("one")), Err(CheckpointError::NotFound { .. })));
        assert!(checkpoints.leftovers().is_empty() && checkpoints.damaged().is_empty());
    }

    #[test]
    fn a_flipped_bit_of_description_or_layer_is_refused() {
        let fixture = Fixture::new();
        fixture.make(&name("one")).unwrap();
        let directory = fixture.checkpoints.directory.join("one");
        let about = directory.join(ABOUT);
        let (sound, platform) = (fs::read(&about).unwrap(), fixture.platform());
        for bit in 0..sound.len() * 8 {
            let mut flipped = sound.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&about, flipped).unwrap();
            assert!(fixture.checkpoints.open(&name("one"), &platform).is_err(), "bit {bit}");
        }
        assert_eq!(fixture.checkpoints.damaged().len(), 1);
        fs::write(&about, sound).unwrap();
        let (layer, restored) = (directory.join(LAYER), fixture.directory.path().join("restored"));
        for at in [0, (1 << 20) + 7, (5 << 20) + 4092] {
            let file = File::options().read(true).write(true).open(&layer).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at).unwrap();
            let refused = fixture.open(&name("one")).unwrap().restore_layer(&restored).unwrap_err();
            assert!(matches!(refused, CheckpointError::Layer(_)), "{refused}");
            assert!(!restored.exists());
            file.write_all_at(&byte, at).unwrap();
        }
        fixture.open(&name("one")).unwrap().restore_layer(&restored).unwrap();
    }

    #[test]
    fn one_of_another_installation_is_refused() {
        let fixture = Fixture::new();
        fixture.make(&name("one")).unwrap();
        fs::write(fixture.directory.path().join("vmm"), "a newer one").unwrap();
        assert!(matches!(fixture.open(&name("one")), Err(CheckpointError::Platform(_))));
    }

    #[test]
    fn one_of_another_image_is_refused() {
        let fixture = Fixture::new();
        fixture.make(&name("one")).unwrap();
        let others = Checkpoints { image: "another".to_owned(), ..fixture.checkpoints.clone() };
        let refused = others.open(&name("one"), &fixture.platform());
        assert!(matches!(refused, Err(CheckpointError::Image { .. })));
    }

    #[test]
    fn what_is_beside_checkpoints_is_neither_listed_nor_removed() {
        let fixture = Fixture::new();
        fixture.make(&name("one")).unwrap();
        let other = fixture.checkpoints.directory.join("photos");
        fs::create_dir(&other).unwrap();
        assert_eq!(fixture.checkpoints.list().unwrap().len(), 1);
        let kept = fixture.checkpoints.remove(&name("photos"));
        assert!(matches!(kept, Err(CheckpointError::NotFound { .. })) && other.exists());
    }

    #[test]
    fn a_forks_is_used_once_and_listed_nowhere() {
        let fixture = Fixture::new();
        fixture.make(&CheckpointName::fork()).unwrap();
        assert!(fixture.checkpoints.list().unwrap().is_empty());
        assert_eq!(fixture.checkpoints.leftovers().len(), 1);
        let checkpoint = fixture.open(&CheckpointName::fork()).unwrap();
        assert!(!checkpoint.config().check_memory);
        let restored = fixture.directory.path().join("restored");
        checkpoint.restore_layer(&restored).unwrap();
        checkpoint.used();
        assert!(restored.exists() && fixture.checkpoints.leftovers().is_empty());
    }
}
