//! `-v`, `--mount` and `--volumes-from`: what a user asks to see of the host. Pure; what the paths stand for is looked up
//! when the container is made ([`crate::volume::plan`]).

use std::path::PathBuf;
use std::str::FromStr;

use super::label::Labels;
use super::tmpfs_mount::{TmpfsMount, TmpfsMountError};
use crate::volume::{VolumeName, VolumeNameError};

/// One mount that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountRequest {
    /// What is to be mounted.
    pub source: MountSource,
    /// Absolute path in the container, without `.` and `..`.
    pub destination: String,
    /// `ro`.
    pub read_only: bool,
}

/// What is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A path of the host, relative to the working directory where it is not absolute.
    Bind {
        /// The path.
        path: PathBuf,
        /// Make a directory where nothing is, as `-v` does.
        make: bool,
    },
    /// A volume.
    Volume {
        /// `None`: an anonymous one.
        name: Option<VolumeName>,
        /// `nocopy`.
        no_copy: bool,
        /// Of a volume that is made.
        labels: Labels,
    },
    /// Memory.
    Tmpfs(TmpfsMount),
}

/// `-v [SOURCE:]DESTINATION[:OPTIONS]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFlag(pub MountRequest);

/// `--mount type=bind,source=...,target=...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountFlag(pub MountRequest);

/// `--volumes-from CONTAINER[:ro|rw]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumesFrom {
    /// Name or id.
    pub container: String,
    /// `None`: each as the container has it.
    pub read_only: Option<bool>,
}

/// Why a mount is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MountRequestError {
    /// Not of the form.
    #[error("invalid volume specification: '{0}'")]
    Form(String),
    /// Not absolute.
    #[error("invalid mount path: '{0}' mount path must be absolute")]
    NotAbsolute(String),
    /// The container's root itself.
    #[error("invalid specification: destination can't be '/'")]
    Root,
    /// A name that no volume can have.
    #[error(transparent)]
    Name(#[from] VolumeNameError),
    /// An option that is not known.
    #[error("invalid mode: {0}")]
    Mode(String),
    /// A propagation between the host's mounts and the container's.
    #[error(
        "mount propagation {0:?} is not possible: the container has a kernel of its own, so only private is"
    )]
    Propagation(String),
    /// `--mount` with a key that is not known.
    #[error("unexpected key '{key}' in '{field}'")]
    Key {
        /// The key.
        key: String,
        /// The whole field.
        field: String,
    },
    /// `--mount` with a field that has no value.
    #[error("invalid field '{0}' must be a key=value pair")]
    Field(String),
    /// `--mount` with a value that its key cannot have.
    #[error("invalid value for {key}: {value}")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// `--mount` with a type that is not known.
    #[error("mount type unknown: \"{0}\"")]
    Type(String),
    /// `--mount` without a needed field.
    #[error("{0} is required")]
    Missing(&'static str),
    /// A key that belongs to another type.
    #[error("cannot mix '{key}' with mount type '{kind}'")]
    Mixed {
        /// The key.
        key: String,
        /// The type.
        kind: String,
    },
    /// Options of a tmpfs.
    #[error(transparent)]
    Tmpfs(#[from] TmpfsMountError),
}

/// A path of the container, cleaned.
fn destination(text: &str) -> Result<String, MountRequestError> {
    if !text.starts_with('/') {
        return Err(MountRequestError::NotAbsolute(text.to_owned()));
    }
    let mut names: Vec<&str> = Vec::new();
    for name in text.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    if names.is_empty() { Err(MountRequestError::Root) } else { Ok(format!("/{}", names.join("/"))) }
}

/// Whether a word is a propagation that can be had; one that cannot is an error.
fn is_private(word: &str) -> Result<bool, MountRequestError> {
    match word {
        "private" | "rprivate" => Ok(true),
        "shared" | "rshared" | "slave" | "rslave" => Err(MountRequestError::Propagation(word.to_owned())),
        _ => Ok(false),
    }
}

impl FromStr for VolumeFlag {
    type Err = MountRequestError;

    fn from_str(text: &str) -> Result<Self, MountRequestError> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, modes) = match parts[..] {
            [target] => (None, target, ""),
            [source, target] => (Some(source), target, ""),
            [source, target, modes] => (Some(source), target, modes),
            _ => return Err(MountRequestError::Form(text.to_owned())),
        };
        if source.is_some_and(str::is_empty) || target.is_empty() {
            return Err(MountRequestError::Form(text.to_owned()));
        }
        let destination = destination(target)?;
        let (mut read_only, mut no_copy) = (false, false);
        let is_path = source.is_some_and(|source| source.starts_with(['/', '.', '~']));
        for mode in modes.split(',').filter(|mode| !mode.is_empty()) {
            match mode {
                "ro" => read_only = true,
                "rw" => read_only = false,
                "nocopy" if !is_path => no_copy = true,
                // Labels of a security module, and hints of other platforms.
                "z" | "Z" | "consistent" | "cached" | "delegated" => {}
                mode if is_path && is_private(mode)? => {}
                mode => return Err(MountRequestError::Mode(mode.to_owned())),
            }
        }
        let source = match source {
            Some(path) if is_path => MountSource::Bind { path: path.into(), make: true },
            name => MountSource::Volume {
                name: name.map(str::parse).transpose()?,
                no_copy,
                labels: Labels::default(),
            },
        };
        Ok(Self(MountRequest { source, destination, read_only }))
    }
}

/// A boolean as Docker reads it.
fn boolean(key: &str, value: Option<&str>) -> Result<bool, MountRequestError> {
    match value {
        None | Some("1" | "true" | "True" | "TRUE" | "t" | "T") => Ok(true),
        Some("0" | "false" | "False" | "FALSE" | "f" | "F") => Ok(false),
        Some(value) => Err(MountRequestError::Value { key: key.to_owned(), value: value.to_owned() }),
    }
}

impl FromStr for MountFlag {
    type Err = MountRequestError;

    fn from_str(text: &str) -> Result<Self, MountRequestError> {
        let (mut kind, mut source, mut target) = ("volume", None, None);
        let (mut read_only, mut no_copy, mut labels) = (false, false, Labels::default());
        let mut tmpfs = Vec::new();
        let mut particular: Vec<(&str, &str)> = Vec::new();
        for field in text.split(',') {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (field, None),
            };
            let needed = || value.ok_or_else(|| MountRequestError::Field(field.to_owned()));
            match key {
                "type" => kind = needed()?,
                "source" | "src" => source = Some(needed()?),
                "target" | "dst" | "destination" => target = Some(needed()?),
                "readonly" | "ro" => read_only = boolean(key, value)?,
                "consistency" => drop(needed()?),
                "volume-nocopy" => (no_copy, _) = (boolean(key, value)?, particular.push(("volume", key))),
                "volume-label" => {
                    let (name, content) = needed()?.split_once('=').unwrap_or((needed()?, ""));
                    labels.insert(name.to_owned(), content.to_owned());
                    particular.push(("volume", key));
                }
                "volume-driver" if needed()? == "local" => particular.push(("volume", key)),
                "volume-driver" => {
                    return Err(MountRequestError::Value {
                        key: key.to_owned(),
                        value: needed()?.to_owned(),
                    });
                }
                "bind-propagation" if is_private(needed()?)? => particular.push(("bind", key)),
                "bind-propagation" => {
                    return Err(MountRequestError::Value {
                        key: key.to_owned(),
                        value: needed()?.to_owned(),
                    });
                }
                "tmpfs-size" => {
                    (_, _) = (tmpfs.push(format!("size={}", needed()?)), particular.push(("tmpfs", key)))
                }
                "tmpfs-mode" => {
                    (_, _) = (tmpfs.push(format!("mode={}", needed()?)), particular.push(("tmpfs", key)))
                }
                _ => return Err(MountRequestError::Key { key: key.to_owned(), field: field.to_owned() }),
            }
        }
        if let Some((_, key)) = particular.iter().find(|(of, _)| *of != kind) {
            return Err(MountRequestError::Mixed { key: (*key).to_owned(), kind: kind.to_owned() });
        }
        let destination = destination(target.ok_or(MountRequestError::Missing("target"))?)?;
        let source = match kind {
            "bind" => {
                let path = source.filter(|s| !s.is_empty()).ok_or(MountRequestError::Missing("source"))?;
                if !path.starts_with(['/', '.']) {
                    return Err(MountRequestError::NotAbsolute(path.to_owned()));
                }
                MountSource::Bind { path: path.into(), make: false }
            }
            "volume" => {
                let name = source.filter(|name| !name.is_empty()).map(str::parse).transpose()?;
                MountSource::Volume { name, no_copy, labels }
            }
            "tmpfs" => {
                if read_only {
                    tmpfs.push("ro".to_owned());
                }
                MountSource::Tmpfs(format!("{destination}:{}", tmpfs.join(",")).parse()?)
            }
            other => return Err(MountRequestError::Type(other.to_owned())),
        };
        Ok(Self(MountRequest { source, destination, read_only }))
    }
}

impl FromStr for VolumesFrom {
    type Err = MountRequestError;

    fn from_str(text: &str) -> Result<Self, MountRequestError> {
        let (container, read_only) = match text.split_once(':') {
            None => (text, None),
            Some((container, "ro")) => (container, Some(true)),
            Some((container, "rw")) => (container, Some(false)),
            Some((_, mode)) => return Err(MountRequestError::Mode(mode.to_owned())),
        };
        if container.is_empty() {
            return Err(MountRequestError::Form(text.to_owned()));
        }
        Ok(Self { container: container.to_owned(), read_only })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(text: &str) -> Result<MountRequest, MountRequestError> {
        text.parse::<VolumeFlag>().map(|flag| flag.0)
    }

    fn mount(text: &str) -> Result<MountRequest, MountRequestError> {
        text.parse::<MountFlag>().map(|flag| flag.0)
    }

    fn named(name: &str, no_copy: bool) -> MountSource {
        MountSource::Volume { name: Some(name.parse().unwrap()), no_copy, labels: Labels::default() }
    }

    #[test]
    fn the_short_form_follows_dockers() {
        let bind = volume("/srv:/data/../data/:ro").unwrap();
        assert_eq!(bind.source, MountSource::Bind { path: "/srv".into(), make: true });
        assert_eq!((bind.destination.as_str(), bind.read_only), ("/data", true));
        assert_eq!(
            volume("./here:/data").unwrap().source,
            MountSource::Bind { path: "./here".into(), make: true }
        );
        assert_eq!(volume("db:/data:nocopy,rw").unwrap().source, named("db", true));
        assert!(matches!(volume("/data").unwrap().source, MountSource::Volume { name: None, .. }));
        assert!(volume("/srv:/data:z,rprivate").is_ok());
        for (text, error) in [
            ("a:b:c:d", MountRequestError::Form("a:b:c:d".into())),
            (":/data", MountRequestError::Form(":/data".into())),
            ("/srv:data", MountRequestError::NotAbsolute("data".into())),
            ("/srv:/", MountRequestError::Root),
            ("db:/x/..", MountRequestError::Root),
            ("/srv:/x:rshared", MountRequestError::Propagation("rshared".into())),
            ("/srv:/x:nocopy", MountRequestError::Mode("nocopy".into())),
            ("db:/x:rprivate", MountRequestError::Mode("rprivate".into())),
        ] {
            assert_eq!(volume(text), Err(error), "{text}");
        }
        assert!(matches!(volume("a/b:/x"), Err(MountRequestError::Name(_))));
    }

    #[test]
    fn the_long_form_follows_dockers() {
        let bind = mount("type=bind,src=/srv,dst=/data,ro").unwrap();
        assert_eq!(bind.source, MountSource::Bind { path: "/srv".into(), make: false });
        assert!(bind.read_only);
        assert_eq!(mount("source=db,target=/x,volume-nocopy").unwrap().source, named("db", true));
        assert!(!mount("source=db,target=/x,readonly=false").unwrap().read_only);
        let tmpfs = mount("type=tmpfs,target=/x,tmpfs-size=1m,tmpfs-mode=1770").unwrap();
        assert_eq!(tmpfs.source, MountSource::Tmpfs("/x:size=1m,mode=1770".parse().unwrap()));
        for text in [
            "type=bind,target=/x",
            "type=bind,source=srv,target=/x",
            "type=bind,source=/srv",
            "type=npipe,source=/srv,target=/x",
            "target=/x,bogus=1",
            "target=/x,volume-nocopy=maybe",
            "type=bind,source=/srv,target=/x,volume-nocopy",
            "type=bind,source=/srv,target=/x,bind-propagation=shared",
            "source=a b,target=/x",
            "target",
        ] {
            assert!(mount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_containers_are_named_with_a_mode() {
        let from: VolumesFrom = "web:ro".parse().unwrap();
        assert_eq!((from.container.as_str(), from.read_only), ("web", Some(true)));
        assert!("web:x".parse::<VolumesFrom>().is_err() && "".parse::<VolumesFrom>().is_err());
    }
}
