//! One end of a copy, as the user writes it: `CONTAINER:PATH`, `PATH`, or `-`.

use std::convert::Infallible;
use std::str::FromStr;

/// One end of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file of a container.
    Container(String, ContainerPath),
    /// A file of the host.
    Host(HostPath),
    /// A tar: standard input or output.
    Stream,
}

/// A path in a container, from its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerPath(pub(crate) EndedPath);

/// A path of the host.
pub(crate) type HostPath = EndedPath;

/// A path, and what its end says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndedPath {
    /// Without `/` and `/.` at the end.
    pub(crate) path: String,
    /// It ended with `/` or `/.`: a directory, and links are followed to it.
    pub(crate) is_directory: bool,
    /// It ended with `/.`: what is in the directory, not the directory itself.
    pub(crate) contents: bool,
}

impl FromStr for Place {
    type Err = Infallible;

    /// As Docker: an absolute path, or one that begins with a dot, is no container's.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once(':') {
            _ if text == "-" => Self::Stream,
            Some((container, path)) if !container.is_empty() && !text.starts_with(['/', '.']) => {
                let path = format!("/{}", path.trim_start_matches('/'));
                Self::Container(container.to_owned(), ContainerPath(EndedPath::new(&path)))
            }
            _ => Self::Host(EndedPath::new(text)),
        })
    }
}

impl EndedPath {
    fn new(text: &str) -> Self {
        let contents = text == "." || text.ends_with("/.");
        let trimmed = if contents { text.strip_suffix('.').unwrap_or(text) } else { text };
        let path = trimmed.trim_end_matches('/');
        let path = match (path, trimmed.is_empty()) {
            ("", true) => ".",
            ("", false) => "/",
            (path, _) => path,
        };
        Self { path: path.to_owned(), is_directory: contents || text.ends_with('/'), contents }
    }

    /// The last name; empty for a root, or where the path does not say one.
    pub(crate) fn name(&self) -> &str {
        match self.path.rsplit('/').next() {
            Some("." | "..") | None => "",
            Some(name) => name,
        }
    }

    /// The directory that it is in.
    pub(crate) fn parent(&self) -> &str {
        match self.path.rsplit_once('/') {
            Some(("", _)) => "/",
            Some((parent, _)) => parent,
            None => ".",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        text.parse().unwrap_or_else(|never| match never {})
    }

    fn ended(text: &str) -> (String, bool, bool) {
        let EndedPath { path, is_directory, contents } = EndedPath::new(text);
        (path, is_directory, contents)
    }

    #[test]
    fn places_are_told_apart_as_in_docker() {
        assert!(
            matches!(place("web:/etc"), Place::Container(name, path) if name == "web" && path.0.path == "/etc")
        );
        assert!(matches!(place("web:etc/a:b"), Place::Container(_, path) if path.0.path == "/etc/a:b"));
        assert!(matches!(place("web:"), Place::Container(_, path) if path.0.path == "/"));
        for host in ["/a:b", "./a:b", "../a:b", "a", ":a"] {
            assert!(matches!(place(host), Place::Host(_)), "{host}");
        }
        assert_eq!(place("-"), Place::Stream);
    }

    #[test]
    fn the_end_of_a_path_says_something() {
        assert_eq!(ended("/a/b"), ("/a/b".into(), false, false));
        assert_eq!(ended("/a/b/"), ("/a/b".into(), true, false));
        assert_eq!(ended("/a/b/."), ("/a/b".into(), true, true));
        assert_eq!(ended("."), (".".into(), true, true));
        assert_eq!(ended("./"), (".".into(), true, false));
        assert_eq!(ended("/."), ("/".into(), true, true));
        assert_eq!(ended("/"), ("/".into(), true, false));
        let path = EndedPath::new("/a/b/");
        assert_eq!((path.name(), path.parent()), ("b", "/a"));
        assert_eq!((EndedPath::new("a").name(), EndedPath::new("a").parent()), ("a", "."));
        assert_eq!((EndedPath::new("/a").parent(), EndedPath::new("/").name()), ("/", ""));
    }
}
