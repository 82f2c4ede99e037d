//! Options of a mount, fstab style (config.md "Mounts", "Linux mount options"; mount(8)). Pure.

use holm_protocol::agent::{COPY_UP_OPTION, SOCKET_OPTION};

use crate::fault::Fault;
use crate::sockets::HostSocket;
use crate::sys::mount_api::attr;

/// What the options of one mount ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountOptions {
    /// `bind` or `rbind`.
    pub(crate) bind: bool,
    pub(crate) recursive_bind: bool,
    /// Attributes of the mount itself; `clear` counts for binds, which inherit.
    pub(crate) set: u32,
    pub(crate) clear: u32,
    /// The same for a bind and all mounts below it (`rro` and so on).
    pub(crate) recursive_set: u32,
    pub(crate) recursive_clear: u32,
    /// `MS_PRIVATE` and so on, in order; with `MS_REC` for a whole tree.
    pub(crate) propagation: Vec<u64>,
    /// The file system's own parameters: a flag, or a key with a value.
    pub(crate) parameters: Vec<(String, Option<String>)>,
    /// `tmpcopyup`: fill a new tmpfs from what it covers.
    pub(crate) copy_up: bool,
    /// Fill an empty source of a bind mount from what it covers.
    pub(crate) fill: bool,
    /// The source is a socket of the host.
    pub(crate) socket: Option<HostSocket>,
}

/// Sorts options by what they are about.
///
/// # Errors
/// Those that the kernel would misread (a NUL byte).
pub(crate) fn parse(options: &[String]) -> Result<MountOptions, Fault> {
    let mut parsed = MountOptions::default();
    for option in options.iter().flat_map(|option| option.split(',')).filter(|option| !option.is_empty()) {
        if option.contains('\0') {
            return Err(Fault::invalid(format!("mount option {option:?} is malformed")));
        }
        match option.strip_prefix(SOCKET_OPTION) {
            Some(socket) => parsed.socket = Some(socket.parse()?),
            None => parse_one(option, &mut parsed),
        }
    }
    Ok(parsed)
}

fn parse_one(option: &str, parsed: &mut MountOptions) {
    match option {
        "bind" => parsed.bind = true,
        "rbind" => (parsed.bind, parsed.recursive_bind) = (true, true),
        "defaults" | "nomand" | "noiversion" => {}
        "tmpcopyup" => parsed.copy_up = true,
        COPY_UP_OPTION => parsed.fill = true,
        _ => {
            if let Some((set, clear)) = attributes(option) {
                parsed.set = parsed.set & !clear | set;
                parsed.clear = parsed.clear & !set | clear;
            } else if let Some((set, clear)) = option.strip_prefix('r').and_then(attributes) {
                parsed.recursive_set = parsed.recursive_set & !clear | set;
                parsed.recursive_clear = parsed.recursive_clear & !set | clear;
            } else if let Some(propagation) = propagation(option) {
                parsed.propagation.push(propagation);
            } else {
                let (key, value) = match option.split_once('=') {
                    Some((key, value)) => (key, Some(value.to_owned())),
                    None => (option, None),
                };
                parsed.parameters.push((key.to_owned(), value));
            }
        }
    }
}

/// Attributes that an option sets and clears. The access time modes exclude each other, so each clears the whole field.
fn attributes(option: &str) -> Option<(u32, u32)> {
    Some(match option {
        "ro" => (attr::RDONLY, 0),
        "rw" => (0, attr::RDONLY),
        "nosuid" => (attr::NOSUID, 0),
        "suid" => (0, attr::NOSUID),
        "nodev" => (attr::NODEV, 0),
        "dev" => (0, attr::NODEV),
        "noexec" => (attr::NOEXEC, 0),
        "exec" => (0, attr::NOEXEC),
        "nodiratime" => (attr::NODIRATIME, 0),
        "diratime" => (0, attr::NODIRATIME),
        "noatime" => (attr::NOATIME, attr::ATIME & !attr::NOATIME),
        "strictatime" => (attr::STRICTATIME, attr::ATIME & !attr::STRICTATIME),
        "relatime" | "atime" | "norelatime" | "nostrictatime" => (0, attr::ATIME),
        "nosymfollow" => (attr::NOSYMFOLLOW, 0),
        "symfollow" => (0, attr::NOSYMFOLLOW),
        _ => return None,
    })
}

/// Propagation (mount_namespaces(7)); also what `linux.rootfsPropagation` may say.
pub(crate) fn propagation(option: &str) -> Option<u64> {
    let (name, recursive) = match option.strip_prefix('r') {
        Some(name) => (name, libc::MS_REC),
        None => (option, 0),
    };
    let kind = match name {
        "private" => libc::MS_PRIVATE,
        "shared" => libc::MS_SHARED,
        "slave" => libc::MS_SLAVE,
        "unbindable" => libc::MS_UNBINDABLE,
        _ => return None,
    };
    Some(kind | recursive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> MountOptions {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        super::parse(&options).unwrap()
    }

    #[test]
    fn options_of_dockers_own_mounts() {
        let tmpfs = parse(&["nosuid", "strictatime", "mode=755", "size=65536k"]);
        assert_eq!(tmpfs.set, attr::NOSUID | attr::STRICTATIME);
        assert_eq!(
            tmpfs.parameters,
            [("mode".to_owned(), Some("755".to_owned())), ("size".to_owned(), Some("65536k".to_owned()))]
        );
        let sysfs = parse(&["nosuid", "noexec", "nodev", "ro"]);
        assert_eq!(sysfs.set, attr::NOSUID | attr::NOEXEC | attr::NODEV | attr::RDONLY);
        let devpts = parse(&["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]);
        assert_eq!(devpts.parameters.first(), Some(&("newinstance".to_owned(), None)));
    }

    #[test]
    fn binds() {
        let bind = parse(&["rbind", "rprivate", "ro"]);
        assert!(bind.bind && bind.recursive_bind);
        assert_eq!((bind.set, bind.recursive_set), (attr::RDONLY, 0));
        assert_eq!(bind.propagation, [libc::MS_PRIVATE | libc::MS_REC]);
        let recursive = parse(&["rbind", "rro", "rnosuid"]);
        assert_eq!((recursive.set, recursive.recursive_set), (0, attr::RDONLY | attr::NOSUID));
    }

    #[test]
    fn the_last_of_opposites_wins() {
        let rw = parse(&["ro", "noexec,rw"]);
        assert_eq!((rw.set, rw.clear), (attr::NOEXEC, attr::RDONLY));
        let noatime = parse(&["strictatime", "noatime"]);
        assert_eq!(noatime.set, attr::NOATIME);
        assert_eq!(noatime.clear, attr::ATIME & !attr::NOATIME);
    }

    #[test]
    fn malformed_options_are_refused() {
        assert!(super::parse(&["size=1\0".to_owned()]).is_err());
    }
}
