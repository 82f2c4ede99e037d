//! The containers on disk: create, find, list, remove.
//!
//! Any number of command lines and supervisors work on it at once without a daemon: names are taken under a lock, a
//! record is written once, and a state is replaced whole by the one supervisor that owns it.

mod changed;
mod check;
mod create;
mod marks;
mod names;
mod remove;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use super::error::ContainerError;
use super::id::ContainerId;
use super::name::ContainerName;
use super::record::Record;
use super::state::{State, Status};
use crate::durable;
use crate::file_error::{damaged, failed};
use crate::host::Directories;
use crate::image::Digest;

/// All containers of one root.
#[derive(Clone, Debug)]
pub struct ContainerStore {
    directories: Directories,
}

/// One container.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// What was asked.
    pub record: Record,
    /// What it is called now.
    pub name: ContainerName,
    directory: PathBuf,
}

/// How many numbers are tried after a generated name before giving up.
const NAME_ATTEMPTS: u32 = 1000;
/// Directories of containers that are being made, and of those that are being removed, begin so.
const NEW: &str = ".new-";
const OLD: &str = ".old-";
/// Exit code of a workload whose end nobody saw.
const LOST_EXIT_CODE: i32 = 255;

impl ContainerStore {
    /// Works on `directories`, which must have been created.
    #[must_use]
    pub fn new(directories: Directories) -> Self {
        Self { directories }
    }

    /// Where everything lives.
    #[must_use]
    pub fn directories(&self) -> &Directories {
        &self.directories
    }

    /// Finds by name, id, or unambiguous beginning of an id.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn find(&self, name_or_id: &str) -> Result<Container, ContainerError> {
        if let Ok(name) = name_or_id.parse::<ContainerName>()
            && let Ok(owner) = fs::read_to_string(self.directories.names().join(name.as_str()))
            && let Ok(id) = owner.parse()
            && let Ok(container) = self.open(id)
        {
            return Ok(container);
        }
        let mut matching = self.ids()?.into_iter().filter(|id| id.as_str().starts_with(name_or_id));
        match (matching.next(), matching.next()) {
            (Some(id), None) if !name_or_id.is_empty() => self.open(id),
            (Some(_), Some(_)) => Err(ContainerError::Ambiguous(name_or_id.to_owned())),
            _ => Err(ContainerError::NotFound(name_or_id.to_owned())),
        }
    }

    /// Short ids of the containers that were made from an image. Where containers cannot be read, why stands in place of
    /// an id: nobody may take the image for unused.
    #[must_use]
    pub fn users_of(&self, image: &Digest) -> Vec<String> {
        let image_id = image.to_string();
        let containers = match self.list() {
            Ok(containers) => containers,
            Err(error) => return vec![error.to_string()],
        };
        let using = containers.iter().filter(|container| container.record.image_id == image_id);
        using.map(|container| container.id.short().to_owned()).collect()
    }

    /// Every container, newest first. One that is being removed meanwhile is left out.
    ///
    /// # Errors
    /// When the directory cannot be read or a record is damaged.
    pub fn list(&self) -> Result<Vec<Container>, ContainerError> {
        self.sweep();
        let mut containers = Vec::new();
        for id in self.ids()? {
            match self.open(id) {
                Ok(container) => containers.push(container),
                Err(ContainerError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        containers.sort_by_key(|container| std::cmp::Reverse(container.record.created));
        Ok(containers)
    }

    /// As [`ContainerStore::list`], with their states, for people to look at. What is damaged is left out, and said.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list_states(&self) -> Result<Vec<(Container, State)>, ContainerError> {
        self.sweep();
        let mut all = Vec::new();
        for id in self.ids()? {
            let found = self.open(id.clone()).and_then(|container| Ok((container.state()?, container)));
            match found {
                Ok((state, container)) => all.push((container, state)),
                Err(ContainerError::NotFound(_)) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(container = id.short(), error, "left out; `holm system check` tells more");
                }
            }
        }
        all.sort_by_key(|(container, _)| std::cmp::Reverse(container.record.created));
        Ok(all)
    }

    fn ids(&self) -> Result<Vec<ContainerId>, ContainerError> {
        let path = self.directories.containers();
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed("read", &path)(source).into()),
        };
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
    }

    /// Opens by full id.
    ///
    /// # Errors
    /// When there is none of that id, or its record is damaged.
    pub fn open(&self, id: ContainerId) -> Result<Container, ContainerError> {
        let directory = self.directories.containers().join(id.as_str());
        Container::open(id, directory)
    }

    /// Gives the container another name; the old one is free afterwards. A crash in between leaves it both names.
    ///
    /// # Errors
    /// The name is another container's, or a file cannot be written.
    pub fn rename(&self, container: &Container, name: ContainerName) -> Result<(), ContainerError> {
        let renamed = Container { name, ..container.clone() };
        let names = self.lock_names()?;
        names.take(&renamed)?;
        holm_faults::crash!("container.rename.taken");
        write(&renamed.directory.join("name"), renamed.name.as_str().as_bytes())?;
        holm_faults::crash!("container.rename.written");
        names.give_back(&container.name, &container.id)?;
        drop(names);
        renamed.note("rename", &[("oldName", format!("/{}", container.name))]);
        Ok(())
    }
}

impl Container {
    /// Reads what is in a container's directory, wherever that is at the moment.
    fn open(id: ContainerId, directory: PathBuf) -> Result<Self, ContainerError> {
        let path = directory.join("record.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ContainerError::NotFound(id.to_string()));
            }
            Err(source) => return Err(failed("read", &path)(source).into()),
        };
        let record: Record = serde_json::from_slice(&bytes).map_err(damaged(&path))?;
        let renamed = fs::read_to_string(directory.join("name")).ok().and_then(|name| name.parse().ok());
        let name = renamed.unwrap_or_else(|| record.name.clone());
        Ok(Self { id, record, name, directory })
    }

    /// Its directory on disk.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its writable layer.
    #[must_use]
    pub fn layer(&self) -> PathBuf {
        self.directory.join("layer.ext4")
    }

    /// Where a layer is put that is to be [`Container::layer`] once its VM runs.
    #[must_use]
    pub fn next_layer(&self) -> PathBuf {
        self.directory.join("next-layer.ext4")
    }

    /// Its checkpoints ([`crate::checkpoint`]).
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.directory.join("checkpoints")
    }

    /// Its log, of the json-file driver ([`crate::logs`]); rotated files stand beside it.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join(format!("{}-json.log", self.id))
    }

    /// The state. One that a supervisor left when it was killed is put right first: its workload is gone, and how it ended
    /// is not known (exit code 255, as after a crash of Docker's daemon).
    ///
    /// # Errors
    /// When it cannot be read, put right, or is damaged.
    pub fn state(&self) -> Result<State, ContainerError> {
        let state = self.read_state()?;
        if !state.status.is_active() {
            return Ok(state);
        }
        let Some(_lock) = self.try_lock()? else { return Ok(state) };
        // The supervisor may have written its last between our reading and its end.
        let mut state = self.read_state()?;
        if state.status.is_active() {
            state = State {
                status: Status::Exited,
                exit_code: LOST_EXIT_CODE,
                error: "the container's supervisor was killed".to_owned(),
                finished_at: Some(OffsetDateTime::now_utc()),
                pid: 0,
                supervisor_pid: 0,
                vm_cpus: 0,
                vm_memory_mib: 0,
                ..state
            };
            holm_faults::crash!("container.state.lost");
            self.write_state(&state)?;
            self.note("die", &[("exitCode", state.exit_code.to_string())]);
        }
        Ok(state)
    }

    fn read_state(&self) -> Result<State, ContainerError> {
        let path = self.directory.join("state.json");
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ContainerError::NotFound(self.id.to_string()),
            _ => failed("read", &path)(source).into(),
        })?;
        Ok(serde_json::from_slice(&bytes).map_err(damaged(&path))?)
    }

    /// Replaces the state.
    ///
    /// # Errors
    /// When it cannot be written; the old state stands.
    pub fn write_state(&self, state: &State) -> Result<(), ContainerError> {
        let path = self.directory.join("state.json");
        let bytes = serde_json::to_vec(state).map_err(damaged(&path))?;
        Ok(holm_faults::fault!("container.state.write")
            .and_then(|()| durable::rewrite(&path, &bytes, self.record.settings.durability()))
            .map_err(failed("write", &path))?)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ContainerError> {
    Ok(durable::write(path, bytes).map_err(failed("write", path))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::settings::Settings;
    use time::OffsetDateTime;

    fn store(dir: &Path) -> ContainerStore {
        let directories = Directories::at(dir.join("root"), dir.join("run"));
        directories.create().unwrap();
        ContainerStore::new(directories)
    }

    fn record(nonce: &str) -> Record {
        Record {
            created: OffsetDateTime::UNIX_EPOCH,
            nonce: nonce.into(),
            image_id: "sha256:0".into(),
            image: "busybox".into(),
            name: ContainerName::generated(0),
            settings: Settings::default(),
        }
    }

    #[test]
    fn a_container_is_found_by_name_id_and_prefix_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let made = store.create(record("a"), Some("web".parse().unwrap())).unwrap();
        for key in ["web", made.id.as_str(), made.id.short(), &made.id.as_str()[..3]] {
            assert_eq!(store.find(key).unwrap().id, made.id, "{key}");
        }
        assert_eq!(made.state().unwrap(), State::default());
        store.remove(&made).unwrap();
        assert!(matches!(store.find("web"), Err(ContainerError::NotFound(_))));
        assert!(store.list().unwrap().is_empty());
        store.create(record("b"), Some("web".parse().unwrap())).unwrap();
    }

    #[test]
    fn what_killed_commands_left_is_swept_and_what_is_being_made_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let containers = store.directories().containers();
        let leave = |name: &str| {
            let path = containers.join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("layer.ext4"), "x").unwrap();
            path
        };
        let id = "1".repeat(64);
        let (new, old, busy) = (leave(".new-2"), leave(&format!(".old-{id}")), leave(".new-3"));
        let lock = fs::File::create(busy.join("lock")).unwrap();
        lock.lock().unwrap();
        let names = store.directories().names();
        fs::write(names.join("gone"), &id).unwrap();
        fs::write(names.join(".new-x"), "half").unwrap();
        let kept = store.create(record("a"), Some("kept".parse().unwrap())).unwrap();
        assert!(!new.exists() && !old.exists());
        assert!(busy.exists(), "its maker lives");
        assert!(!names.join("gone").exists() && !names.join(".new-x").exists());
        assert_eq!(store.list().unwrap().len(), 1);
        assert_eq!(store.find("kept").unwrap().id, kept.id);
        drop(lock);
        store.list().unwrap();
        assert!(!busy.exists());
    }

    #[test]
    fn what_is_of_one_life_is_not_there_in_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let names = || -> Vec<String> {
            let containers = fs::read_dir(store.directories().containers()).unwrap().flatten();
            containers.map(|entry| entry.file_name().into_string().unwrap()).collect()
        };
        let settings = Settings { auto_remove: true, ..Settings::default() };
        let brief = |nonce: &str| {
            let record = Record { settings: settings.clone(), ..record(nonce) };
            store.create(record, Some(format!("web{nonce}").parse().unwrap())).unwrap()
        };
        let removed = brief("a");
        assert_eq!((names().len(), store.list().unwrap().len()), (2, 1), "there is a mark beside");
        store.remove(&removed).unwrap();
        assert_eq!(names(), [] as [String; 0]);

        let lasting = store.create(record("b"), None).unwrap();
        let (half, running) = (brief("c"), brief("d"));
        for file in ["record.json", "state.json", "name"] {
            fs::write(half.directory().join(file), "").unwrap();
        }
        let lock = running.try_lock().unwrap().unwrap();
        fs::remove_dir_all(store.directories().run()).unwrap();
        store.directories().create().unwrap();
        let ids = || -> Vec<_> { store.list().unwrap().into_iter().map(|container| container.id).collect() };
        let left = ids();
        assert!(left.len() == 2 && left.contains(&lasting.id) && left.contains(&running.id), "{left:?}");
        assert!(!half.directory().exists() && !store.directories().names().join("webc").exists());
        assert!(names().len() > 2, "somebody has that container: it has its mark still");
        drop(lock);
        assert_eq!((ids(), names()), (vec![lasting.id.clone()], vec![lasting.id.to_string()]));
    }

    #[test]
    fn one_that_is_being_removed_is_shown_as_that_and_not_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let made = store.create(record("a"), Some("web".parse().unwrap())).unwrap();
        assert!(store.list_removing().unwrap().is_empty());
        let lock = made.try_lock().unwrap().unwrap();
        let old = store.directories().containers().join(format!("{OLD}{}", made.id));
        fs::rename(made.directory(), &old).unwrap();
        let seen = store.list_removing().unwrap();
        let [(container, state)] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((&container.id, container.name.as_str()), (&made.id, "web"));
        assert_eq!(state.status.to_string(), "removing");
        assert!(store.list_states().unwrap().is_empty() && store.find("web").is_err());
        drop(lock);
        assert!(store.list_removing().unwrap().is_empty(), "its remover was killed");
    }

    #[test]
    fn one_damaged_container_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let broken = store.create(record("a"), None).unwrap();
        let whole = store.create(record("b"), None).unwrap();
        for file in ["record.json", "state.json"] {
            fs::write(broken.directory.join(file), "{").unwrap();
            let seen = store.list_states().unwrap();
            assert_eq!(seen.iter().map(|(container, _)| &container.id).collect::<Vec<_>>(), [&whole.id]);
        }
        // Who asks what is in use must not be told half of it.
        assert!(store.list().is_err());
    }

    #[test]
    fn a_renamed_container_has_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let made = store.create(record("a"), Some("old".parse().unwrap())).unwrap();
        let other = store.create(record("b"), Some("other".parse().unwrap())).unwrap();
        assert!(matches!(
            store.rename(&made, "other".parse().unwrap()),
            Err(ContainerError::NameTaken { .. })
        ));
        store.rename(&made, "new".parse().unwrap()).unwrap();
        let found = store.find("new").unwrap();
        assert_eq!((found.id.clone(), found.name.to_string()), (made.id, "new".to_owned()));
        assert!(matches!(store.find("old"), Err(ContainerError::NotFound(_))));
        store.rename(&found, "newer".parse().unwrap()).unwrap();
        store.remove(&store.find("newer").unwrap()).unwrap();
        store.rename(&other, "new".parse().unwrap()).unwrap();
    }

    #[test]
    fn what_a_killed_supervisor_left_is_put_right() {
        let dir = tempfile::tempdir().unwrap();
        let made = store(dir.path()).create(record("a"), None).unwrap();
        let running = State { status: Status::Running, pid: 7, supervisor_pid: 6, ..State::default() };
        let lock = made.try_lock().unwrap().unwrap();
        made.write_state(&running).unwrap();
        assert_eq!(made.state().unwrap(), running, "its supervisor lives");
        assert!(made.try_lock().unwrap().is_none());
        drop(lock);
        let state = made.state().unwrap();
        assert_eq!((state.status, state.exit_code, state.pid), (Status::Exited, 255, 0));
        assert_eq!(made.state().unwrap(), state);
    }

    #[test]
    fn a_check_finds_what_was_changed_and_what_crashes_left() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let made = store.create(record("a"), Some("web".parse().unwrap())).unwrap();
        let findings = || {
            let mut found = Vec::new();
            store.check(&mut |finding| found.push((finding.is_leftover, finding.problem))).unwrap();
            found
        };
        // There is no image store.
        let image = (false, "no such image: sha256:0".to_owned());
        assert_eq!(findings(), std::slice::from_ref(&image));
        fs::create_dir(store.directories().containers().join(".old-1")).unwrap();
        fs::create_dir(store.directories().run_of(&"2".repeat(64))).unwrap();
        fs::write(store.directories().names().join("gone"), "3".repeat(64)).unwrap();
        made.write_state(&State { status: Status::Running, ..State::default() }).unwrap();
        let checkpoints = made.checkpoints();
        fs::create_dir_all(checkpoints.join(".draft-one")).unwrap();
        fs::write(made.next_layer(), "half").unwrap();
        assert_eq!(findings().iter().filter(|(is_leftover, _)| *is_leftover).count(), 6);
        store.repair().unwrap();
        assert_eq!(findings(), std::slice::from_ref(&image));
        fs::create_dir(checkpoints.join("one")).unwrap();
        fs::write(checkpoints.join("one/about"), "no checksum").unwrap();
        assert!(
            findings()
                .iter()
                .any(|(_, problem)| problem.contains("the checksum of its description is wrong"))
        );
        fs::remove_dir_all(&checkpoints).unwrap();
        assert_eq!(findings(), [image]);
        let path = made.directory().join("record.json");
        fs::write(&path, fs::read_to_string(&path).unwrap().replace("busybox", "busyfox")).unwrap();
        fs::remove_file(store.directories().names().join("web")).unwrap();
        let problems: Vec<_> = findings().into_iter().map(|(_, problem)| problem).collect();
        assert!(
            problems[0].contains("somebody changed it") && problems[1].contains("whose name"),
            "{problems:?}"
        );
    }

    #[test]
    fn the_id_is_the_hash_of_the_record() {
        let dir = tempfile::tempdir().unwrap();
        let made = store(dir.path()).create(record("a"), None).unwrap();
        let bytes = fs::read(made.directory().join("record.json")).unwrap();
        assert_eq!(ContainerId::of_record(&bytes), made.id);
    }

    #[test]
    fn given_names_collide_and_generated_ones_are_numbered() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let name: ContainerName = "web".parse().unwrap();
        store.create(record("a"), Some(name.clone())).unwrap();
        assert!(matches!(store.create(record("b"), Some(name)), Err(ContainerError::NameTaken { .. })));
        assert_eq!(store.list().unwrap().len(), 1, "the refused container leaves nothing");
        let first = store.create(record("c"), None).unwrap();
        let second = store.create(record("d"), None).unwrap();
        assert_ne!(first.record.name, second.record.name);
    }

    #[test]
    fn a_name_whose_container_never_came_to_be_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        fs::write(store.directories().names().join("web"), "0".repeat(64)).unwrap();
        let made = store.create(record("a"), Some("web".parse().unwrap())).unwrap();
        assert_eq!(store.find("web").unwrap().id, made.id);
    }
}
