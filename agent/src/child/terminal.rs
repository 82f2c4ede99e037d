//! The pseudo-terminal of a process: from the container's own devpts, so that its name is right inside.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::statfs::fstatfs;

use crate::container::TerminalSize;
use crate::container::devices;
use crate::container::rootdir::RootDir;
use crate::fault::{At, Fault};
use crate::sys::{mount_api, tty};

/// `DEVPTS_SUPER_MAGIC` of linux/magic.h.
const DEVPTS_MAGIC: i64 = 0x1cd1;

/// Both ends of a terminal.
pub(crate) struct Terminal {
    /// The agent's end.
    pub(crate) master: OwnedFd,
    /// The process's end.
    pub(crate) slave: OwnedFd,
}

impl Terminal {
    /// Opens a new terminal in the devpts of a container.
    pub(crate) fn open(root: &RootDir, size: TerminalSize) -> Result<Self, Fault> {
        let what = "opening a terminal";
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY;
        let master = root.open_with(Path::new("/dev/pts/ptmx"), flags).at(what)?;
        // The container could have put anything there; only the kernel's own multiplexer will do.
        let genuine = fstatfs(&master).is_ok_and(|fs| fs.filesystem_type().0 == DEVPTS_MAGIC);
        if !genuine || !devices::is_character_device(&master, 5, 2) {
            return Err(Fault::invalid("/dev/pts/ptmx of the container is not a terminal multiplexer"));
        }
        let slave = tty::open_peer(master.as_fd()).at(what)?;
        if size != TerminalSize::default() {
            tty::resize(master.as_fd(), size.columns, size.rows).at(what)?;
        }
        Ok(Self { master, slave })
    }

    /// Shows the process's end as /dev/console of a container.
    pub(crate) fn mount_as_console(&self, root: &RootDir) -> Result<(), Fault> {
        let what = "mounting /dev/console";
        let target = root.make_file(Path::new("/dev/console")).at(what)?;
        let mount = mount_api::clone_tree(self.slave.as_fd(), false).at(what)?;
        mount_api::attach(mount.as_fd(), target.as_fd()).at(what)
    }
}
