//! A container's files for the host: what it changed, all of them, some of them, and new ones.
//!
//! A transfer is a process of its own, a clone of the agent ([`run`]), with nothing but the stream and a channel to report
//! on. It works on what the agent mounted ([`Layers`]), so that nothing that is mounted inside the container is seen.
//!
//! Trust: the container may change its tree while it is read. Everything is reached by descriptors (`holm_archive`), paths
//! of the user's are resolved inside the container's root, and what is read goes to the host, which trusts none of it.

mod changes;
mod find;
mod job;
mod layers;
mod run;
mod tar_layer;

pub(crate) use find::{find, path_of};
pub(crate) use job::Job;
pub(crate) use layers::Layers;
pub(crate) use run::run;
