//! From what was asked to an OCI runtime spec: the image's config, the user's settings and Docker's defaults combined.
//!
//! Pure: nothing here reads the image's files (the guest resolves user names and programs in the container's own tree).

mod capabilities;
mod command;
mod environment;
mod exec;
mod files;
mod image_config;
mod mounts;
mod resources;
mod seccomp;
mod spec;

pub use command::CommandError;
pub use exec::{ExecRequest, exec_process};
pub use files::{EngineFile, FilesNetwork, engine_files};
pub use image_config::image_config;
pub use resources::limit_resources;
pub use spec::{Bundle, BundleError, build};
