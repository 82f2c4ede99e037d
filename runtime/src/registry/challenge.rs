//! What a registry wants to see before it answers: RFC 7235 challenges, and the token server's part of it
//! (distribution-spec's "token authentication").

use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde::Deserialize;

use super::document::read_bounded;
use super::session::failure;
use super::{Credential, RegistryError};

const MAX_TOKEN_BYTES: u64 = 1 << 20;
/// What a token is good for when the server does not say, by the specification.
const DEFAULT_TOKEN_LIFE: Duration = Duration::from_secs(60);
/// A token is not used in its last moments.
const MARGIN: Duration = Duration::from_secs(10);
const CLIENT_ID: &str = "holm";

/// How to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from this server.
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// The best one of an answer with status 401.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let all: Vec<Self> = values.flat_map(Self::parse).collect();
        all.iter().find(|one| matches!(one, Self::Bearer { .. })).or(all.first()).cloned()
    }

    fn parse(header: &str) -> Vec<Self> {
        let challenges = http_auth::parser::ChallengeParser::new(header).map_while(Result::ok);
        challenges
            .filter_map(|challenge| {
                let parameter = |name: &str| {
                    let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.to_unescaped())
                };
                match challenge.scheme.to_ascii_lowercase().as_str() {
                    "basic" => Some(Self::Basic),
                    "bearer" => {
                        Some(Self::Bearer { realm: parameter("realm")?, service: parameter("service") })
                    }
                    _ => None,
                }
            })
            .collect()
    }
}

/// What goes with a request.
#[derive(Clone)]
pub(super) enum Authorization {
    Basic(String, String),
    Bearer { token: String, until: Instant },
}

impl Authorization {
    pub(super) fn is_fresh(&self) -> bool {
        match self {
            Self::Basic(..) => true,
            Self::Bearer { until, .. } => Instant::now() < *until,
        }
    }

    pub(super) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Basic(user, password) => request.basic_auth(user, Some(password)),
            Self::Bearer { token, .. } => request.bearer_auth(token),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// A token server, and for whom it is asked.
pub(super) struct TokenServer<'a> {
    pub(super) http: &'a Client,
    pub(super) registry: &'a str,
    /// The registry itself is spoken to over TLS, so passwords must not leave unencrypted.
    pub(super) encrypted: bool,
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
}

impl TokenServer<'_> {
    /// Gets a token for a scope (`repository:NAME:pull`; none for a mere login).
    pub(super) fn token(
        &self,
        scope: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<Authorization, RegistryError> {
        let response = self.request(scope, credential)?.send().map_err(|source| self.broken(source))?;
        self.read(response, scope)
    }

    fn request(
        &self,
        scope: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<RequestBuilder, RegistryError> {
        let protocol =
            |reason: String| RegistryError::Protocol { registry: self.registry.to_owned(), reason };
        let mut url: Url = self
            .realm
            .parse()
            .map_err(|_| protocol(format!("its token server {:?} has no valid address", self.realm)))?;
        if credential.is_some() && self.encrypted && url.scheme() != "https" {
            let reason = format!("its token server {url} would get the password unencrypted");
            return Err(protocol(reason));
        }
        let mut query: Vec<(&str, &str)> = Vec::new();
        query.extend(self.service.map(|service| ("service", service)));
        query.extend(scope.map(|scope| ("scope", scope)));
        Ok(match credential {
            // OAuth2 (distribution's "oauth" endpoint): the identity token is a refresh token.
            Some(Credential::IdentityToken(token)) => {
                query.extend([
                    ("client_id", CLIENT_ID),
                    ("grant_type", "refresh_token"),
                    ("refresh_token", token),
                ]);
                let mut form = url.clone();
                form.query_pairs_mut().clear().extend_pairs(&query);
                let body = form.query().unwrap_or_default().to_owned();
                self.http.post(url).header("Content-Type", "application/x-www-form-urlencoded").body(body)
            }
            Some(Credential::Password { user, password }) => {
                query.extend([("account", user.as_str()), ("client_id", CLIENT_ID)]);
                url.query_pairs_mut().extend_pairs(&query);
                self.http.get(url).basic_auth(user, Some(password))
            }
            None => {
                url.query_pairs_mut().extend_pairs(&query);
                self.http.get(url)
            }
        })
    }

    fn read(&self, response: Response, scope: Option<&str>) -> Result<Authorization, RegistryError> {
        let what = match scope.and_then(|scope| scope.split(':').nth(1)) {
            Some(repository) => format!("{}/{repository}", self.registry),
            None => self.registry.to_owned(),
        };
        if !response.status().is_success() {
            return Err(failure(self.registry, &what, response));
        }
        let body = read_bounded(response, self.registry, "the answer of the token server", MAX_TOKEN_BYTES)?;
        let protocol = |reason: &str| RegistryError::Protocol {
            registry: self.registry.to_owned(),
            reason: reason.to_owned(),
        };
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|_| protocol("its token server gives no JSON"))?;
        let token = answer
            .token
            .or(answer.access_token)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| protocol("its token server gives no token"))?;
        let life = answer.expires_in.map_or(DEFAULT_TOKEN_LIFE, Duration::from_secs);
        // A life beyond all bounds is cut to a day, which no transfer outlives.
        let life = life.saturating_sub(MARGIN).min(Duration::from_secs(86_400));
        Ok(Authorization::Bearer { token, until: Instant::now() + life })
    }

    fn broken(&self, source: reqwest::Error) -> RegistryError {
        RegistryError::Connection { registry: self.registry.to_owned(), source: source.without_url() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_real_registries_are_understood() {
        let hub =
            "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"a:b:pull\"";
        let bearer = Challenge::Bearer {
            realm: "https://auth.docker.io/token".to_owned(),
            service: Some("registry.docker.io".to_owned()),
        };
        assert_eq!(Challenge::parse(hub), std::slice::from_ref(&bearer));
        assert_eq!(Challenge::parse("Basic realm=\"x\""), [Challenge::Basic]);
        assert_eq!(Challenge::parse("Digest realm=x, nonce=\"y\""), []);
        assert_eq!(Challenge::parse("Bearer service=x"), []);
        let mut headers = HeaderMap::new();
        assert_eq!(Challenge::of(&headers), None);
        headers.append(WWW_AUTHENTICATE, "Basic realm=\"x\"".parse().unwrap());
        assert_eq!(Challenge::of(&headers), Some(Challenge::Basic));
        headers.append(WWW_AUTHENTICATE, hub.parse().unwrap());
        assert_eq!(Challenge::of(&headers), Some(bearer));
    }
}
