//! One registry, authorised: every request goes through [`Session::send`].

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::RETRY_AFTER;
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::challenge::{Authorization, Challenge, TokenServer};
use super::document::read_bounded;
use super::retry::Attempts;
use super::{Credential, Interrupt, RegistryError, Retry};

const MAX_REASON_BYTES: u64 = 64 << 10;

/// What is to be done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Pull,
    /// And pull.
    Push,
}

/// A registry that answered.
pub(crate) struct Session {
    registry: String,
    base: Url,
    pub(super) http: Client,
    credential: Option<Credential>,
    challenge: Mutex<Option<Challenge>>,
    /// By scope.
    authorizations: Mutex<HashMap<String, Authorization>>,
    retry: Retry,
    pub(super) interrupt: Interrupt,
}

impl Session {
    pub(super) fn new(
        registry: String,
        base: Url,
        http: Client,
        credential: Option<Credential>,
        challenge: Option<Challenge>,
        retry: Retry,
        interrupt: Interrupt,
    ) -> Self {
        Self {
            registry,
            base,
            http,
            credential,
            challenge: Mutex::new(challenge),
            authorizations: Mutex::default(),
            retry,
            interrupt,
        }
    }

    /// Host and port, as people call it.
    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    pub(super) fn attempts(&self) -> Attempts {
        Attempts::new(self.retry, &self.interrupt)
    }

    pub(super) fn challenge(&self) -> Option<Challenge> {
        self.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `/v2/<path>` at this registry.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/v2/{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// A place that the registry named, which may be relative.
    pub(super) fn resolve(&self, location: &str) -> Result<Url, RegistryError> {
        self.base.join(location).map_err(|_| self.protocol(format!("{location:?} is no address")))
    }

    /// Sends a request with what the registry wants to see, and once more when that was out of date. `make` must make
    /// the same request each time. Any status is a success here.
    pub(super) fn send(
        &self,
        scope: Option<&str>,
        mut make: impl FnMut(&Client) -> Result<RequestBuilder, RegistryError>,
    ) -> Result<Response, RegistryError> {
        self.interrupt.check()?;
        let response = self.send_once(scope, &mut make)?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_ours(response.url()) {
            return Ok(response);
        }
        let Some(challenge) = Challenge::of(response.headers()) else { return Ok(response) };
        let key = scope.unwrap_or_default();
        let before = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        let known = self.challenge.lock().unwrap_or_else(PoisonError::into_inner).replace(challenge.clone());
        // The same challenge again after a fresh answer to it: the answer was wrong.
        let tried_password = matches!(before, Some(Authorization::Basic(..)));
        let nothing_new = before.is_none() && known.as_ref() == Some(&challenge);
        if tried_password || nothing_new {
            return Ok(response);
        }
        drop(response);
        self.send_once(scope, &mut make)
    }

    fn send_once(
        &self,
        scope: Option<&str>,
        make: &mut impl FnMut(&Client) -> Result<RequestBuilder, RegistryError>,
    ) -> Result<Response, RegistryError> {
        let authorization = self.authorization(scope)?;
        let (client, request) = make(&self.http)?.build_split();
        let mut request = request.map_err(|source| self.broken(source))?;
        // Wherever a registry sends us, credentials stay with it.
        if let Some(authorization) = authorization.filter(|_| self.is_ours(request.url())) {
            let with = authorization.apply(RequestBuilder::from_parts(client.clone(), request));
            request = with.build().map_err(|source| self.broken(source))?;
        }
        client.execute(request).map_err(|source| self.broken(source))
    }

    fn authorization(&self, scope: Option<&str>) -> Result<Option<Authorization>, RegistryError> {
        let key = scope.unwrap_or_default().to_owned();
        let known = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known.filter(Authorization::is_fresh) {
            return Ok(Some(known));
        }
        let new = match (self.challenge(), &self.credential) {
            (Some(Challenge::Bearer { realm, service }), credential) => {
                self.token_server(&realm, service.as_deref()).token(scope, credential.as_ref())?
            }
            (Some(Challenge::Basic), Some(Credential::Password { user, password })) => {
                Authorization::Basic(user.clone(), password.clone())
            }
            _ => return Ok(None),
        };
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).insert(key, new.clone());
        Ok(Some(new))
    }

    pub(super) fn token_server<'a>(&'a self, realm: &'a str, service: Option<&'a str>) -> TokenServer<'a> {
        let encrypted = self.base.scheme() == "https";
        TokenServer { http: &self.http, registry: &self.registry, encrypted, realm, service }
    }

    fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    pub(super) fn broken(&self, source: reqwest::Error) -> RegistryError {
        RegistryError::Connection { registry: self.registry.clone(), source: source.without_url() }
    }

    pub(super) fn protocol(&self, reason: String) -> RegistryError {
        RegistryError::Protocol { registry: self.registry.clone(), reason }
    }

    /// The error that an answer is, unless it is a success.
    pub(super) fn check(&self, what: &str, response: Response) -> Result<Response, RegistryError> {
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(failure(&self.registry, what, response))
        }
    }
}

/// `repository:NAME:ACTIONS`, for token servers.
pub(super) fn scope(repository: &str, access: Access) -> String {
    let actions = match access {
        Access::Pull => "pull",
        Access::Push => "pull,push",
    };
    format!("repository:{repository}:{actions}")
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What an answer that is no success says.
pub(super) fn failure(registry: &str, what: &str, response: Response) -> RegistryError {
    let status = response.status();
    let seconds = |value: &reqwest::header::HeaderValue| value.to_str().ok()?.trim().parse().ok();
    let retry_after_seconds = response.headers().get(RETRY_AFTER).and_then(seconds);
    let body = read_bounded(response, registry, "an error", MAX_REASON_BYTES).unwrap_or_default();
    let reason = match serde_json::from_slice::<Errors>(&body) {
        Ok(Errors { errors }) => {
            let texts = errors.into_iter().map(|e| if e.message.is_empty() { e.code } else { e.message });
            texts.collect::<Vec<_>>().join(", ")
        }
        // A proxy's page in HTML is of no use on one line.
        Err(_) => String::new(),
    };
    let what = what.to_owned();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Denied { what, reason },
        StatusCode::NOT_FOUND => RegistryError::NotFound { what, reason },
        _ => RegistryError::Status {
            registry: registry.to_owned(),
            what,
            status: status.as_u16(),
            reason,
            retry_after_seconds,
        },
    }
}
