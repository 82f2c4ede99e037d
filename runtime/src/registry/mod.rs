//! Registries: OCI distribution-spec 1.1 and Docker's Registry API v2 over HTTP, as far as `pull`, `push` and `login`
//! need them. What becomes of the bytes is [`crate::image`]'s business.
//!
//! ```text
//! Registries (config, credentials) --connect--> Session (one registry, authorised) --> documents, blobs, uploads
//! ```
//!
//! Threads: calls block; the HTTP client has a thread of its own for each kind of TLS settings. A session may be used
//! by several threads at once.
//! Trust: a registry is hostile. Documents are bounded, blobs end where their descriptors say, credentials go to the
//! registry and the token server that it names, and nowhere else. Digests are checked by whoever asked for the bytes.
#![forbid(unsafe_code)]

mod blob;
mod certificates;
mod challenge;
mod client;
mod config;
mod credentials;
mod document;
mod error;
mod interrupt;
mod login;
mod resolver;
mod retry;
mod session;
mod upload;

pub(crate) use blob::BlobReader;
pub use client::Registries;
pub use config::{RegistryConfig, RegistrySettings};
pub use credentials::{Credential, CredentialStore};
pub(crate) use document::{Document, Target};
pub use error::RegistryError;
pub use interrupt::Interrupt;
pub use resolver::resolver_files;
pub use retry::Retry;
pub(crate) use session::Session;
