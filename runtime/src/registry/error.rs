//! Why a registry could not be used.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;

/// Every way in which talking to a registry fails; one line each, naming registry and repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A file with credentials cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// A verb.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A registry or mirror in the configuration that is none.
    #[error("{0:?} is no registry: must be HOST, HOST:PORT, http://HOST... or https://HOST...")]
    Host(String),
    /// Docker's config.json is not JSON.
    #[error("{} is not valid", path.display())]
    Credentials {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// Credentials for a registry that cannot be had.
    #[error("cannot get the credentials for {registry}")]
    CredentialLookup {
        /// Which registry.
        registry: String,
        /// Why.
        #[source]
        source: docker_credential::CredentialRetrievalError,
    },
    /// A credential helper failed.
    #[error("docker-credential-{helper} cannot {action}: {reason}")]
    Helper {
        /// Without `docker-credential-`.
        helper: String,
        /// `store` or `erase`.
        action: &'static str,
        /// What it said.
        reason: String,
    },
    /// TLS cannot be set up: no CA certificates, or unusable ones.
    #[error("cannot set up TLS for {registry}; are CA certificates installed?")]
    Tls {
        /// Which registry.
        registry: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// No connection, or it broke.
    #[error("cannot talk to registry {registry}")]
    Connection {
        /// Which registry.
        registry: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The connection ended in the middle of an answer.
    #[error("the connection to registry {registry} broke")]
    Broken {
        /// Which registry.
        registry: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// Wrong or missing credentials.
    #[error("access to {what} denied: it may not exist or may require 'holm login'{}", detail(reason))]
    Denied {
        /// The repository with its registry.
        what: String,
        /// What the registry said.
        reason: String,
    },
    /// The registry does not take these credentials.
    #[error("login at {registry} failed: the user name or password is wrong{}", detail(reason))]
    Login {
        /// Which registry.
        registry: String,
        /// What the registry said.
        reason: String,
    },
    /// Not there.
    #[error("{what} not found{}", detail(reason))]
    NotFound {
        /// `manifest for NAME`, `blob DIGEST of REPOSITORY`.
        what: String,
        /// What the registry said.
        reason: String,
    },
    /// Any other answer that is no success.
    #[error("registry {registry} answered {status} to a request for {what}{}", detail(reason))]
    Status {
        /// Which registry.
        registry: String,
        /// For what.
        what: String,
        /// HTTP status.
        status: u16,
        /// What the registry said.
        reason: String,
        /// How long to wait before another try, in seconds, if the registry says so.
        retry_after_seconds: Option<u64>,
    },
    /// An answer that the protocol does not allow.
    #[error("registry {registry} does not keep to the protocol: {reason}")]
    Protocol {
        /// Which registry.
        registry: String,
        /// What it did.
        reason: String,
    },
    /// A document that is larger than any real one.
    #[error("{what} has more than {max} bytes")]
    TooLarge {
        /// Which.
        what: String,
        /// The limit.
        max: u64,
    },
    /// A blob's length is not what its descriptor says.
    #[error("{what} has {actual} bytes or more, not {expected}")]
    Length {
        /// Which blob.
        what: String,
        /// As announced.
        expected: u64,
        /// As sent.
        actual: u64,
    },
    /// The user wants no more.
    #[error("interrupted")]
    Interrupted,
}

/// What a registry said, on one line, printable and short.
fn detail(reason: &str) -> String {
    const MAX_CHARS: usize = 300;
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = reason.trim().chars().take(MAX_CHARS).map(printable).collect();
    if text.is_empty() { text } else { format!(": {text}") }
}

impl RegistryError {
    /// Whether the same request may succeed a moment later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Connection { source, .. } => !source.is_builder() && !source.is_redirect(),
            Self::Broken { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }

    /// For `map_err` on a file operation.
    pub(super) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says_is_printed_on_one_line() {
        let reason = "a\nb\x1b[31m".to_owned();
        let error = RegistryError::NotFound { what: "manifest for x".to_owned(), reason };
        assert_eq!(error.to_string(), "manifest for x not found: a b [31m");
    }
}
