//! Blobs and manifests to a registry (distribution-spec, "Pushing"): blobs in one piece, manifests last.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use reqwest::blocking::{Body, Response};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{StatusCode, Url};

use super::session::{Access, Session, scope};
use super::{Interrupt, RegistryError};
use crate::image::Digest;

/// How long one blob may take: what counts in the end is whether bytes flow, which TCP watches over.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// Bytes sent so far of a blob; called from the thread that sends.
pub(crate) type Sent = std::sync::Arc<dyn Fn(u64) + Send + Sync>;

impl Session {
    /// Whether a repository has a blob.
    pub(crate) fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool, RegistryError> {
        let url = self.url(&format!("{repository}/blobs/{digest}"));
        let what = format!("blob {digest} of {}/{repository}", self.registry());
        let scope = scope(repository, Access::Push);
        self.attempts().run(|| {
            let response = self.send(Some(&scope), |http| Ok(http.head(&url)))?;
            match response.status() {
                StatusCode::NOT_FOUND => Ok(false),
                _ => self.check(&what, response).map(|_| true),
            }
        })
    }

    /// Makes a blob of another repository of this registry one of this repository, without sending it. `false` when
    /// the registry does not do that.
    pub(crate) fn mount_blob(
        &self,
        repository: &str,
        from: &str,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let mut url = self.resolve(&self.url(&format!("{repository}/blobs/uploads/")))?;
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
        let scope = scope(repository, Access::Push);
        let response = self.send(Some(&scope), |http| Ok(http.post(url.clone()).body("")))?;
        // Otherwise it has begun an upload, which it forgets by itself.
        Ok(response.status() == StatusCode::CREATED)
    }

    /// Sends a file as a blob.
    pub(crate) fn upload_file(
        &self,
        repository: &str,
        digest: &Digest,
        path: &Path,
        sent: &Sent,
    ) -> Result<(), RegistryError> {
        let failed = || RegistryError::file("read", path);
        let length_bytes = std::fs::metadata(path).map_err(failed())?.len();
        self.upload(repository, digest, &mut || {
            let file = File::open(path).map_err(failed())?;
            let reader =
                Counting { file, sent_bytes: 0, sent: sent.clone(), interrupt: self.interrupt.clone() };
            Ok(Body::sized(reader, length_bytes))
        })
    }

    /// Sends bytes as a blob.
    pub(crate) fn upload_bytes(
        &self,
        repository: &str,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        self.upload(repository, digest, &mut || Ok(Body::from(bytes.to_vec())))
    }

    fn upload(
        &self,
        repository: &str,
        digest: &Digest,
        body: &mut dyn FnMut() -> Result<Body, RegistryError>,
    ) -> Result<(), RegistryError> {
        let scope = scope(repository, Access::Push);
        let what = format!("an upload to {}/{repository}", self.registry());
        let begin = self.url(&format!("{repository}/blobs/uploads/"));
        self.attempts().run(|| {
            let response = self.send(Some(&scope), |http| Ok(http.post(&begin).body("")))?;
            let response = self.check(&what, response)?;
            let mut url = self.location(&response)?;
            url.query_pairs_mut().append_pair("digest", &digest.to_string());
            let response = self.send(Some(&scope), |http| {
                Ok(http
                    .put(url.clone())
                    .timeout(UPLOAD_TIMEOUT)
                    .header(CONTENT_TYPE, "application/octet-stream")
                    .body(body()?))
            })?;
            self.check(&what, response).map(drop)
        })
    }

    /// Sends a manifest under a tag or its digest.
    pub(crate) fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let url = self.url(&format!("{repository}/manifests/{reference}"));
        let what = format!("an upload to {}/{repository}", self.registry());
        let scope = scope(repository, Access::Push);
        self.attempts().run(|| {
            let response = self.send(Some(&scope), |http| {
                Ok(http.put(&url).header(CONTENT_TYPE, media_type).body(bytes.to_vec()))
            })?;
            self.check(&what, response).map(drop)
        })
    }

    fn location(&self, response: &Response) -> Result<Url, RegistryError> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| self.protocol("it says not where to upload to".to_owned()))?;
        self.resolve(location)
    }
}

/// A file that tells how much of it was read.
struct Counting {
    file: File,
    sent_bytes: u64,
    sent: Sent,
    interrupt: Interrupt,
}

impl Read for Counting {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.interrupt.check().map_err(io::Error::other)?;
        let count = self.file.read(out)?;
        self.sent_bytes += count as u64;
        (self.sent)(self.sent_bytes);
        Ok(count)
    }
}
