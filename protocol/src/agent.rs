//! The ttrpc client, server and messages generated from `proto/agent.proto`.
//!
//! [`messages`] are the protobuf types, [`service`] holds `AgentClient` (host) and the `Agent` trait (guest).

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction, rust_2018_idioms)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/mod.rs"));
}

pub use generated::{agent as messages, agent_ttrpc as service};

/// Host vsock port (CID 2) to which the agent connects once it can serve; the ttrpc connection.
pub const CONTROL_PORT: u32 = 1024;

/// Guest vsock port on which the agent accepts stdio streams (see [`crate::stream`]).
pub const STREAM_PORT: u32 = 1025;
