//! Checkpoints: containers that were saved while they ran, memory and writable layer as they were at one moment
//! (docs/decisions/0032-checkpoints.md).
//!
//! - `name`: what they are called. `place`: where one is.
//! - `about`: what is known of one beside what the VMM wrote.
//! - `store`: where they are kept, and the draft of one.
//!
//! ```text
//!   processes frozen, layer written back ──> VMM saves itself, stands still ──> layer copied ──> draft named: it can be found
//!                                                                                  └──> VM goes on, or ends
//! ```
//!
//! Trust: all files are the host's own. Each has a checksum, and one that does not fit is refused before anything runs.

mod about;
mod name;
mod place;
mod store;

pub use about::{About, AboutError};
pub use name::{CheckpointName, CheckpointNameError};
pub use place::CheckpointPlace;
pub use store::{Checkpoint, CheckpointError, Checkpoints, Draft, Listed};
