//! The ttrpc client, server and messages generated from `proto/agent.proto`.
//!
//! [`messages`] are the protobuf types, [`service`] holds `AgentClient` (host) and the `Agent` trait (guest).

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction, rust_2018_idioms)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/mod.rs"));
}

pub use generated::{agent as messages, agent_ttrpc as service};

/// Host vsock port (CID 2) to which the agent connects once it can serve; the ttrpc connection. The agent accepts more of them on the
/// guest's port of this number.
pub const CONTROL_PORT: u32 = 1024;

/// Guest vsock port on which the agent accepts stdio streams (see [`crate::stream`]).
pub const STREAM_PORT: u32 = 1025;

/// Host vsock port to which the agent carries questions about names. The first byte of a connection is [`NAMES_OVER_UDP`] or
/// [`NAMES_OVER_TCP`]; DNS messages follow, each after its length (RFC 1035 section 4.2.2), and their answers come in the same
/// form.
pub const NAMES_PORT: u32 = 1026;

/// The container asked over UDP.
pub const NAMES_OVER_UDP: u8 = 0;

/// The container asked over TCP.
pub const NAMES_OVER_TCP: u8 = 1;

/// Tag of the virtio-fs device that carries the host's directories and files.
pub const SHARES_TAG: &str = "holm";

/// Where the guest has them: a bind mount of the spec whose source lies below is one of `<SHARES_DIRECTORY>/<number>`, or of
/// `<SHARES_DIRECTORY>/<number>/<name>` for a single file.
pub const SHARES_DIRECTORY: &str = "/run/shares";

/// Where the guest has block volumes: a bind mount of the spec whose source is `<VOLUMES_DIRECTORY>/<disk>/<VOLUME_DATA>` is the
/// one on the disk of this serial number.
pub const VOLUMES_DIRECTORY: &str = "/run/volumes";

/// The directory of a block volume's file system that containers see.
pub const VOLUME_DATA: &str = "data";

/// Where the guest has shared memory that containers have in common: a tmpfs of the spec whose source is `<SHARED_MEMORY>/<id>` is the
/// one of the container of this id, made by the first that has it.
pub const SHARED_MEMORY: &str = "/run/shm";

/// Annotation of the spec with the container's state (runtime-spec, runtime.md) for its `startContainer` hooks, as JSON; its pid is
/// the guest's to say.
pub const STATE_ANNOTATION: &str = "holm.state";

/// Mount option of a bind mount: an empty source is filled from what it covers in the container's image first, owner and
/// modes included.
pub const COPY_UP_OPTION: &str = "holm.copyup";

/// Where the agent listens for unix sockets of the host: `<SOCKETS_DIRECTORY>/<port>`.
pub const SOCKETS_DIRECTORY: &str = "/run/sockets";

/// Beginning of the mount option of a bind mount whose source is a socket of the host; `PORT:MODE:UID:GID` follows, the mode in
/// octal. Connections go to that vsock port of the host.
pub const SOCKET_OPTION: &str = "holm.socket=";

/// Host vsock port of a container's first socket of the host; further ones follow.
pub const FIRST_SOCKET_PORT: u32 = 2048;
