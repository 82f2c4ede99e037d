//! The files that the engine owns in every container: `/etc/hostname`, `/etc/hosts`, `/etc/resolv.conf` (M39).

/// A file that the guest keeps in memory and binds over a path of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineFile {
    /// Absolute path in the container.
    pub path: &'static str,
    /// The whole content.
    pub content: String,
}

/// The files of a container without a network: its own name, and no resolver.
pub(super) fn engine_files(hostname: &str) -> Vec<EngineFile> {
    let hosts = format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n127.0.1.1\t{hostname}\n"
    );
    vec![
        EngineFile { path: "/etc/hostname", content: format!("{hostname}\n") },
        EngineFile { path: "/etc/hosts", content: hosts },
        EngineFile { path: "/etc/resolv.conf", content: String::new() },
    ]
}
