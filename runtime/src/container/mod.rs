//! A container: what was asked ([`Record`], immutable), what became of it ([`State`]), its id and its name.
//!
//! ```text
//!                              pause ┌────────┐
//!                            ┌──────>│ paused │
//!            create    start │<──────└────────┘     workload ends
//!   (nothing) ───> created ──┴─> running ──────────────────────────> exited ──┐
//!                     │             ^  └──> restarting (restart policy) ─┘    │
//!                     │             └─────────────── start ───────────────────┤
//!                     └──────────────────────── rm ───────────────────────────┘
//! ```
//!
//! Whoever changes a container holds its [lock](ContainerLock); while it runs that is its supervisor. A state that says
//! "running" while nobody holds the lock is one that a crash left: whoever reads it first puts it right.
#![forbid(unsafe_code)]

mod error;
mod health;
mod id;
mod lock;
mod name;
mod note;
mod record;
pub mod settings;
mod state;
mod store;

pub use error::ContainerError;
pub use health::{Health, HealthStatus, Probe};
pub use id::ContainerId;
pub use lock::ContainerLock;
pub use name::{ContainerName, NameError};
pub use record::Record;
pub use state::{State, Status};
pub use store::{Container, ContainerStore};
