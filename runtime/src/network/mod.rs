//! Networks of containers: bridges of the host, an address and a TAP interface for each container, one table of rules.
//!
//! ```text
//!   NetworkStore     <root>/networks/<id>.json       what networks there are
//!   Endpoint         <run>/networks/<container>-<network>.json who has which address, interface and ports, while it runs
//!   ruleset          all of the above ──> nft        the tables of this root, replaced whole
//! ```
//!
//! An endpoint is written down before its interface is made, and is worth something only as long as its container's lock is
//! held: what a crash left is not one. TAP interfaces are not persistent, so the kernel removes them with their VMM. A bridge
//! stays until its network is removed or pruned. The rules are computed from the endpoints and replaced in one transaction, so whoever
//! changes anything also puts right what a crash left (docs/decisions/0017-network.md).
//!
//! An ordinary user's containers have no bridge, no interface and no rules on the host: each is on the default network by a process
//! that speaks for it ([`passt`]; docs/decisions/0027-rootless.md).
//!
//! Trust: containers are hostile, their frames are checked by the host's kernel: each interface sends from its own addresses
//! only. Nothing in a rule or a name comes from a guest.

mod address_pool;
mod attachment;
mod check;
mod connections;
mod endpoint;
mod error;
mod host_resolver;
mod mac_address;
mod mtu;
mod name;
mod names;
mod netdevice;
mod nft;
mod passt;
mod port_socket;
mod prepared;
mod proxy;
mod record;
mod routes;
mod ruleset;
mod store;
mod subnet;
mod subnet6;

pub use attachment::{Attachment, Joined, MAX_NETWORKS};
pub use connections::check_details;
pub use endpoint::{Endpoint, PublishedPort};
pub use error::NetworkError;
pub use host_resolver::{host_nameservers, nameservers_of_host};
pub use mac_address::{MacAddress, MacAddressError};
pub use mtu::{Mtu, MtuError};
pub use name::{NetworkName, NetworkNameError};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use names::fuzzing;
pub use names::{NameService, Names, RESOLVER_ADDRESS};
pub use passt::is_passt_there;
pub(crate) use prepared::{Resolver, carry_prepared};
pub use record::{Network, NetworkIpv6};
pub use store::{NetworkStore, NewIpv6, NewNetwork};
pub use subnet::{Subnet, SubnetError};
pub use subnet6::{Subnet6, Subnet6Error};

/// The network of containers that name none.
pub const DEFAULT_NETWORK: &str = "bridge";
