//! Manifests, indexes, configs and lists of tags: small, and whole in memory.

use std::io::Read;

use reqwest::blocking::Response;
use reqwest::header::{ACCEPT, CONTENT_TYPE, LINK};
use serde::Deserialize;

use super::session::{Access, Session, scope};
use super::{BlobReader, RegistryError};
use crate::image::Digest;
use crate::image::media_type::{DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

/// Largest manifest or config: what Docker's registry takes.
const MAX_DOCUMENT_BYTES: u64 = 4 << 20;
const MAX_TAGS: usize = 100_000;
/// What is understood for a manifest.
const MANIFESTS: [&str; 4] = [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST];

/// Which manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Whatever it is now.
    Tag(String),
    /// This one.
    Digest(Digest),
}

/// A manifest or index as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: String,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Session {
    /// A manifest or index. The caller checks its digest.
    pub(crate) fn manifest(&self, repository: &str, target: &Target) -> Result<Document, RegistryError> {
        let (reference, name) = match target {
            Target::Tag(tag) => (tag.clone(), format!("{}/{repository}:{tag}", self.registry())),
            Target::Digest(digest) => {
                (digest.to_string(), format!("{}/{repository}@{digest}", self.registry()))
            }
        };
        let what = format!("manifest for {name}");
        let url = self.url(&format!("{repository}/manifests/{reference}"));
        let scope = scope(repository, Access::Pull);
        self.attempts().run(|| {
            let response =
                self.send(Some(&scope), |http| Ok(http.get(&url).header(ACCEPT, MANIFESTS.join(", "))))?;
            let response = self.check(&what, response)?;
            let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media_type = media_type.unwrap_or_default().to_owned();
            let bytes = read_bounded(response, self.registry(), &what, MAX_DOCUMENT_BYTES)?;
            Ok(Document { bytes, media_type })
        })
    }

    /// A whole small blob: a config. The caller checks its digest.
    pub(crate) fn small_blob(&self, repository: &str, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        let mut content = Vec::new();
        BlobReader::new(self, repository, digest, None)
            .take(MAX_DOCUMENT_BYTES + 1)
            .read_to_end(&mut content)
            .map_err(|error| BlobReader::cause(error, self))?;
        if content.len() as u64 > MAX_DOCUMENT_BYTES {
            return Err(RegistryError::TooLarge { what: digest.to_string(), max: MAX_DOCUMENT_BYTES });
        }
        Ok(content)
    }

    /// All tags of a repository, sorted as the registry does.
    pub(crate) fn tags(&self, repository: &str) -> Result<Vec<String>, RegistryError> {
        let scope = scope(repository, Access::Pull);
        let what = format!("{}/{repository}", self.registry());
        let mut url = self.resolve(&self.url(&format!("{repository}/tags/list?n=1000")))?;
        let mut all = Vec::new();
        loop {
            let (tags, next) = self.attempts().run(|| {
                let response = self.send(Some(&scope), |http| Ok(http.get(url.clone())))?;
                let response = self.check(&what, response)?;
                let next =
                    response.headers().get(LINK).and_then(|value| value.to_str().ok()).and_then(next_link);
                let next = next.map(|link| self.resolve(link)).transpose()?;
                let bytes = read_bounded(response, self.registry(), "the list of tags", MAX_DOCUMENT_BYTES)?;
                let page: Tags = serde_json::from_slice(&bytes)
                    .map_err(|_| self.protocol("its list of tags is no JSON".to_owned()))?;
                Ok((page.tags.unwrap_or_default(), next))
            })?;
            let empty = tags.is_empty();
            all.extend(tags);
            if all.len() > MAX_TAGS {
                return Err(RegistryError::TooLarge {
                    what: "the list of tags".to_owned(),
                    max: MAX_TAGS as u64,
                });
            }
            match next {
                Some(next) if !empty => url = next,
                _ => return Ok(all),
            }
        }
    }
}

/// The address in `<...>; rel="next"` (RFC 5988).
fn next_link(header: &str) -> Option<&str> {
    let (address, parameters) = header.strip_prefix('<')?.split_once('>')?;
    parameters.contains("next").then_some(address)
}

/// A whole answer, if it is not too large.
pub(super) fn read_bounded(
    response: Response,
    registry: &str,
    what: &str,
    max: u64,
) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    response.take(max + 1).read_to_end(&mut bytes).map_err(|error| super::blob::broken(error, registry))?;
    if bytes.len() as u64 > max {
        return Err(RegistryError::TooLarge { what: what.to_owned(), max });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        assert_eq!(
            next_link("</v2/a/tags/list?last=b&n=1>; rel=\"next\""),
            Some("/v2/a/tags/list?last=b&n=1")
        );
        assert_eq!(next_link("</x>; rel=\"prev\""), None);
        assert_eq!(next_link("x"), None);
    }
}
