//! What the C library reads to find the addresses of a host, now and then for as long as there are connections.

use std::path::Path;

/// Its configuration. Of the modules that nsswitch.conf(5) may name, a static program has `files` and `dns`.
const FILES: [&str; 6] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
];

/// The files. One may be a link, or not there.
pub fn resolver_files() -> Vec<&'static Path> {
    FILES.iter().map(Path::new).collect()
}
