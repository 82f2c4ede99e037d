//! Under which directory a copy goes, and by what name: the table of `docker cp`.

use anyhow::{Result, bail};

use super::place::EndedPath;

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Nothing,
    Directory,
    Other,
}

/// Where a copy goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) directory: String,
    /// Empty: what is in the source goes into the directory.
    pub(super) name: String,
}

/// Decides by the source, the destination and what stands there. `resolved` is the destination after all links.
pub(super) fn target(
    source: &EndedPath,
    source_is_directory: bool,
    destination: &EndedPath,
    standing: Standing,
    resolved: &str,
) -> Result<Target> {
    let last =
        |path: &EndedPath| Target { directory: path.parent().to_owned(), name: path.name().to_owned() };
    match standing {
        Standing::Directory => Ok(Target {
            directory: destination.path.clone(),
            name: if source.contents { String::new() } else { source.name().to_owned() },
        }),
        Standing::Other if source_is_directory || destination.is_directory => {
            bail!("cannot copy directory: {} is not a directory", destination.path)
        }
        // What a link leads to is replaced, not the link.
        Standing::Other => {
            Ok(last(&EndedPath { path: resolved.to_owned(), is_directory: false, contents: false }))
        }
        Standing::Nothing if destination.is_directory && !source_is_directory => {
            bail!("no such directory: {}", destination.path)
        }
        Standing::Nothing => Ok(last(destination)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::Place;
    use super::*;

    fn path(text: &str) -> EndedPath {
        match text.parse() {
            Ok(Place::Host(path)) => path,
            other => panic!("{other:?}"),
        }
    }

    fn decide(from: &str, is_directory: bool, to: &str, standing: Standing) -> Option<(String, String)> {
        let target = target(&path(from), is_directory, &path(to), standing, "/real/file").ok()?;
        Some((target.directory, target.name))
    }

    #[test]
    fn copies_go_where_docker_puts_them() {
        use Standing::{Directory, Nothing, Other};
        let some = |directory: &str, name: &str| Some((directory.to_owned(), name.to_owned()));
        // A file.
        assert_eq!(decide("/a/f", false, "/d", Directory), some("/d", "f"));
        assert_eq!(decide("/a/f", false, "/d/", Directory), some("/d", "f"));
        assert_eq!(decide("/a/f", false, "/d/new", Nothing), some("/d", "new"));
        assert_eq!(decide("/a/f", false, "/d/new/", Nothing), None);
        assert_eq!(decide("/a/f", false, "/d/link", Other), some("/real", "file"));
        // A directory.
        assert_eq!(decide("/a/s", true, "/d", Directory), some("/d", "s"));
        assert_eq!(decide("/a/s", true, "/d/new", Nothing), some("/d", "new"));
        assert_eq!(decide("/a/s", true, "/d/new/", Nothing), some("/d", "new"));
        assert_eq!(decide("/a/s", true, "/d/f", Other), None);
        // What is in a directory.
        assert_eq!(decide("/a/s/.", true, "/d", Directory), some("/d", ""));
        assert_eq!(decide("/a/s/.", true, "/d/new", Nothing), some("/d", "new"));
        assert_eq!(decide("/", true, "/d", Directory), some("/d", ""));
    }
}
