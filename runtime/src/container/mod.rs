//! A container: what was asked ([`Record`], immutable), what became of it ([`State`]), its id and its name.
//!
//! ```text
//!            create             start               workload ends
//!   (nothing) ───> created ──────────────> running ───────────────> exited
//!                     │                                                │
//!                     └──────────────── rm ────────────────────────────┘
//! ```
//!
//! Only the container's supervisor writes its state while it lives.

mod error;
mod id;
mod name;
mod record;
pub mod settings;
mod state;
mod store;
mod supervised;

pub use error::ContainerError;
pub use id::ContainerId;
pub use name::{ContainerName, NameError};
pub use record::Record;
pub use state::{State, Status};
pub use store::{Container, ContainerStore};
