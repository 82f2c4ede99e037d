//! Templates: VMs that were saved when they had booted, for every later start to go on from
//! (docs/decisions/0025-templates.md).
//!
//! - `key`: what a template depends on. Anything else is another template.
//! - `store`: where they are kept, and the draft of one.
//! - `settle`: what a start does about them when its VM's agent has called, and when its workload runs.
//! - `build`: one without a container.
//!
//! ```text
//!   start ──is there one?──yes──> VMM goes on from it ──> agent dials ──> container
//!              └──no──> VMM boots ──> agent dials ──> VMM saves itself into a draft, goes on ──> container
//!                                                          └──> draft renamed: the next start finds it
//! ```
//!
//! Nothing of a container is in one: it is made before the guest has a disk. Whether one is sound is the VMM's to say; one
//! that is not is passed over, and removed here.

mod build;
mod key;
mod settle;
mod store;

pub use build::{BuildError, build};
pub use key::{Platform, TemplateKey};
pub use settle::MakeError;
pub(crate) use settle::{learn, settle};
pub use store::{Draft, Listed, Template, TemplateError, TemplateStore};
