//! What there is to attack: another container with its VM, and what listens on the host.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use holm_e2e::{Holm, TestImage};
use serde::{Deserialize, Serialize};

/// Whose VMM it is; each has a jail of its own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Who {
    Root,
    RootWithShares,
    User,
    UserWithShares,
}

impl Who {
    pub(crate) const ALL: [Self; 4] = [Self::Root, Self::RootWithShares, Self::User, Self::UserWithShares];

    pub(crate) fn has_shares(self) -> bool {
        matches!(self, Self::RootWithShares | Self::UserWithShares)
    }

    pub(crate) fn holm(self) -> Holm {
        match self {
            Self::Root | Self::RootWithShares => Holm::with(TestImage::Busybox),
            Self::User | Self::UserWithShares => Holm::of_user(TestImage::Busybox),
        }
    }
}

/// What a hostile VMM is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Targets {
    /// Where it writes what came of its attacks.
    pub(crate) report: String,
    /// Another container's VMM, by its number on the host.
    pub(crate) peer: u32,
    pub(crate) supervisor: u32,
    /// The other container's socket, and a file of it.
    pub(crate) control: String,
    pub(crate) record: String,
    pub(crate) abstract_name: String,
    pub(crate) port: u16,
}

/// Who listens as long as the test runs.
pub(crate) struct Listeners(#[allow(dead_code, reason = "dropped at the end")] (TcpListener, UnixListener));

impl Targets {
    /// Starts the other container; the report is in a directory of anybody's.
    pub(crate) fn start(holm: &Holm, directory: &Path) -> (Self, Listeners) {
        fs::set_permissions(directory, Permissions::from_mode(0o777)).unwrap();
        // With a share: of a user's VMMs, one that is in no namespace of its own.
        let name = holm.background(&["-v", "peers:/data"], "sleep 1000");
        let id = holm.holm(["inspect", "-f", "{{.Id}} {{.State.Pid}}", &name]).outcome().ok();
        let (id, peer) = id.split_once(' ').unwrap();
        let status = fs::read_to_string(format!("/proc/{peer}/status")).unwrap();
        let supervisor = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap();
        let control = holm.run_directory().join(id).join("control");
        let record = fs::read_dir(holm.root().join("containers").join(id)).unwrap();
        let mut records = record.map(|entry| entry.unwrap().path());
        let record =
            records.find(|path| path.extension().is_some_and(|kind| kind == "json")).expect("a record");
        assert!(control.exists(), "{}", control.display());
        let abstract_name = format!("holm-hostile-{}", std::process::id());
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let targets = Self {
            report: directory.join("report").display().to_string(),
            peer: peer.parse().unwrap(),
            supervisor: supervisor.parse().unwrap(),
            control: control.display().to_string(),
            record: record.display().to_string(),
            abstract_name,
            port: tcp.local_addr().unwrap().port(),
        };
        (targets, Listeners((tcp, UnixListener::bind_addr(&address).unwrap())))
    }
}
