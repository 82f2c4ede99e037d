//! Faults at named points of the programs (docs/decisions/0035-faults.md): what a user does, cut short everywhere.

mod bench;
mod disk;
mod host;
mod lives;
mod matrix;
mod stores;
mod tasks;

pub use bench::{Bench, Installation};
pub use disk::Disk;
pub use host::{Host, processes_of};
pub use lives::LIVES;
pub use matrix::{Matrix, Scenario};
pub use stores::STORES;
pub use tasks::TASKS;
