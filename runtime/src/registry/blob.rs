//! A blob as a stream that survives cut connections: what is missing is asked for with a Range request (RFC 9110), and
//! a server that does not know these is asked for everything again, of which the known part is thrown away.

use std::io::{self, Read};

use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::{CONTENT_RANGE, RANGE};

use super::RegistryError;
use super::retry::Attempts;
use super::session::{Access, Session, scope};
use crate::image::Digest;

/// Reads one blob from its start. Ends after as many bytes as the descriptor says; more are an error.
pub(crate) struct BlobReader<'a> {
    session: &'a Session,
    url: String,
    scope: String,
    what: String,
    length_bytes: Option<u64>,
    position: u64,
    response: Option<Response>,
    /// Bytes at the start of the response that were delivered before.
    known_bytes: u64,
    attempts: Attempts,
}

impl<'a> BlobReader<'a> {
    /// Asks for nothing yet. `length_bytes` is the descriptor's.
    pub(crate) fn new(
        session: &'a Session,
        repository: &str,
        digest: &Digest,
        length_bytes: Option<u64>,
    ) -> Self {
        Self {
            session,
            url: session.url(&format!("{repository}/blobs/{digest}")),
            scope: scope(repository, Access::Pull),
            what: format!("blob {digest} of {}/{repository}", session.registry()),
            length_bytes,
            position: 0,
            response: None,
            known_bytes: 0,
            attempts: session.attempts(),
        }
    }

    /// The registry's error in an error of [`Read::read`].
    pub(crate) fn cause(error: io::Error, session: &Session) -> RegistryError {
        match error.downcast::<RegistryError>() {
            Ok(error) => error,
            Err(error) => broken(error, session.registry()),
        }
    }

    /// One step: bytes, or zero at the end.
    fn step(&mut self, out: &mut [u8]) -> Result<usize, RegistryError> {
        self.session.interrupt.check()?;
        if self.response.is_none() {
            self.open()?;
        }
        let Some(response) = &mut self.response else { return Ok(0) };
        let registry = self.session.registry();
        while self.known_bytes > 0 {
            let mut known = (&mut *response).take(self.known_bytes.min(1 << 20));
            let skipped = io::copy(&mut known, &mut io::sink()).map_err(|error| broken(error, registry))?;
            if skipped == 0 {
                return Err(cut(registry));
            }
            self.known_bytes -= skipped;
        }
        let count = response.read(out).map_err(|error| broken(error, registry))?;
        let position = self.position + count as u64;
        match self.length_bytes {
            Some(expected) if position > expected => {
                Err(RegistryError::Length { what: self.what.clone(), expected, actual: position })
            }
            Some(expected) if count == 0 && position < expected => Err(cut(registry)),
            _ => {
                self.position = position;
                Ok(count)
            }
        }
    }

    fn open(&mut self) -> Result<(), RegistryError> {
        let (url, position) = (&self.url, self.position);
        let response = self.session.send(Some(&self.scope), |http| {
            let request = http.get(url);
            Ok(if position > 0 { request.header(RANGE, format!("bytes={position}-")) } else { request })
        })?;
        let response = self.session.check(&self.what, response)?;
        self.known_bytes = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
                let start = range.and_then(start_of_range);
                // A part that begins earlier will do as well.
                start.and_then(|start| position.checked_sub(start)).ok_or_else(|| {
                    self.session.protocol(format!("asked for bytes from {position}, it sends {range:?}"))
                })?
            }
            _ => position,
        };
        self.response = Some(response);
        Ok(())
    }
}

impl Read for BlobReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.step(out) {
                Ok(count) => {
                    self.attempts.reset();
                    return Ok(count);
                }
                Err(error) => {
                    self.response = None;
                    self.attempts.failed(error).map_err(io::Error::other)?;
                }
            }
        }
    }
}

/// The first byte's number in `bytes 5-9/10`.
fn start_of_range(header: &str) -> Option<u64> {
    header.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// A connection that ended or broke in the middle of an answer.
pub(super) fn broken(source: io::Error, registry: &str) -> RegistryError {
    RegistryError::Broken { registry: registry.to_owned(), source }
}

fn cut(registry: &str) -> RegistryError {
    broken(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended too early"), registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(start_of_range("bytes 5-9/10"), Some(5));
        assert_eq!(start_of_range("bytes */10"), None);
        assert_eq!(start_of_range("pages 5-9/10"), None);
    }
}
