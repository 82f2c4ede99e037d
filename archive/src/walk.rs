//! Everything below a directory, parents before children, names in order.
//!
//! Bounded: as many descriptors as the tree is deep, and the names of one directory at each depth.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::vec::IntoIter;

use rustix::fs::Dir;
use rustix::io::Errno;

use crate::node::{Node, join};

/// Deeper trees are refused: paths of the kernel's length (4096 bytes) are never deeper.
const MAX_DEPTH: usize = 2048;

/// A walk, step by step.
#[derive(Debug)]
pub struct Walk {
    levels: Vec<Level>,
    /// The directory that was found last: the walk goes into it next.
    next: Option<(Node, Vec<u8>)>,
}

/// A file that was found.
#[derive(Debug)]
pub struct Found<'a> {
    /// The file.
    pub node: &'a Node,
    /// Its path, beginning with the walk's own.
    pub path: &'a [u8],
    /// How many directories lie between it and where the walk began.
    pub depth: usize,
}

#[derive(Debug)]
struct Level {
    directory: File,
    names: IntoIter<OsString>,
    path: Vec<u8>,
}

impl Walk {
    /// Walks what is below `directory`, whose own path is `path`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn below(directory: &Node, path: &[u8]) -> io::Result<Self> {
        let mut walk = Self { levels: Vec::new(), next: None };
        walk.enter(directory, path.to_vec())?;
        Ok(walk)
    }

    /// The next file, given to `visit`; false at the end. What vanishes meanwhile was never there.
    ///
    /// # Errors
    /// A directory cannot be read, or what `visit` says.
    pub fn step<E: From<io::Error>>(
        &mut self,
        visit: impl FnOnce(Found<'_>) -> Result<Descend, E>,
    ) -> Result<bool, E> {
        if let Some((node, path)) = self.next.take() {
            self.enter(&node, path)?;
        }
        loop {
            let depth = self.levels.len().saturating_sub(1);
            let Some(level) = self.levels.last_mut() else { return Ok(false) };
            let Some(name) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            let node = match Node::open(level.directory.as_fd(), &name) {
                Ok(node) => node,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(io::Error::from(error).into()),
            };
            let path = join(&level.path, &name);
            let descend = visit(Found { node: &node, path: &path, depth })?;
            if descend == Descend::Into && node.is_directory() {
                self.next = Some((node, path));
            }
            return Ok(true);
        }
    }

    fn enter(&mut self, node: &Node, path: Vec<u8>) -> io::Result<()> {
        if self.levels.len() >= MAX_DEPTH {
            return Err(io::Error::other(format!("directories are nested more than {MAX_DEPTH} deep")));
        }
        let directory = node.readable()?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        self.levels.push(Level { directory, names: names.into_iter(), path });
        Ok(())
    }
}

/// Whether a walk goes into a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descend {
    /// It does.
    Into,
    /// It does not.
    Past,
}
