//! A registry for reading that misbehaves as it is told: one thread for each connection, one request for each.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use holm_runtime::image::Digest;

use crate::image::{MANIFEST, RegistryImage};

/// What is wrong with a resource; each use takes one away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends after so many bytes of the answer's body.
    Cut(usize),
    /// As `Cut`, and what was asked for is ignored: everything from the start.
    CutWithoutRange(usize),
    /// This status instead.
    Status(u16),
}

#[derive(Default)]
struct State {
    resources: HashMap<String, (String, Vec<u8>)>,
    faults: HashMap<String, Vec<Fault>>,
    ranges: bool,
    /// What must be in Authorization, and the challenge otherwise.
    guard: Option<(String, String)>,
    requests: Vec<String>,
}

/// The server; it ends with the process.
pub struct FaultyRegistry {
    state: Arc<Mutex<State>>,
    /// `127.0.0.1:PORT`
    pub host: String,
}

impl FaultyRegistry {
    /// A server that has nothing.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it starts a thread")]
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State { ranges: true, ..State::default() }));
        let shared = state.clone();
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let state = shared.clone();
                // A client that goes away ends it.
                thread::spawn(move || drop(serve(connection, &state)));
            }
        });
        let registry = Self { state, host };
        registry.put("/v2/", "application/json", b"{}");
        registry
    }

    /// A server that has an image as `x/y:tag`.
    pub fn with(image: &RegistryImage) -> Self {
        let registry = Self::new();
        registry.add(image);
        registry.put("/v2/x/y/manifests/tag", MANIFEST, &image.manifest);
        registry
    }

    /// Adds an image's blobs and its manifest by digest.
    pub fn add(&self, image: &RegistryImage) {
        let manifest = format!("/v2/x/y/manifests/{}", Digest::of(&image.manifest));
        self.put(&manifest, MANIFEST, &image.manifest);
        for blob in image.layers.iter().chain([&image.config]) {
            self.put(&blob_path(blob), "application/octet-stream", blob);
        }
    }

    /// Adds a resource, or replaces it.
    pub fn put(&self, path: &str, media_type: &str, bytes: &[u8]) {
        let resource = (media_type.to_owned(), bytes.to_vec());
        self.state.lock().unwrap().resources.insert(path.to_owned(), resource);
    }

    /// The next requests for this path meet these faults.
    pub fn fail(&self, path: &str, faults: &[Fault]) {
        self.state.lock().unwrap().faults.insert(path.to_owned(), faults.iter().rev().copied().collect());
    }

    /// From now on whole resources are sent, whatever part is asked for.
    pub fn without_ranges(&self) {
        self.state.lock().unwrap().ranges = false;
    }

    /// Asks for this Authorization with this challenge, but for paths without `/v2/`.
    pub fn guard(&self, authorization: &str, challenge: &str) {
        self.state.lock().unwrap().guard = Some((authorization.to_owned(), challenge.to_owned()));
    }

    /// All requests so far: the first line, and `Range` and `Authorization` if there were any.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    /// The image's name.
    pub fn name(&self) -> String {
        format!("{}/x/y:tag", self.host)
    }
}

/// Where a blob is.
#[must_use]
pub fn blob_path(blob: &[u8]) -> String {
    format!("/v2/x/y/blobs/{}", Digest::of(blob))
}

fn serve(mut connection: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    // A TLS handshake is no text.
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut parts = request.split(' ');
    let (Some(_method), Some(target)) = (parts.next(), parts.next()) else { return Ok(()) };
    let path = target.split('?').next().unwrap().to_owned();
    let mut headers = HashMap::new();
    for line in lines.by_ref() {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let (authorization, range) = (headers.get("authorization").cloned(), headers.get("range").cloned());
    let (resource, fault, ranges, guard) = {
        let mut state = state.lock().unwrap();
        let noted = [Some(request.clone()), range.clone(), authorization.clone()];
        state.requests.push(noted.into_iter().flatten().collect::<Vec<_>>().join(" | "));
        let fault = state.faults.get_mut(&path).and_then(Vec::pop);
        (state.resources.get(&path).cloned(), fault, state.ranges, state.guard.clone())
    };
    if let Some((wanted, challenge)) = guard
        && path.starts_with("/v2/")
        && authorization.as_ref() != Some(&wanted)
    {
        return write!(
            connection,
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let status = match (fault, &resource) {
        (Some(Fault::Status(status)), _) => status,
        (_, None) => 404,
        _ => 200,
    };
    let Some((media_type, body)) = resource.filter(|_| status == 200) else {
        return write!(connection, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let ranges = ranges && !matches!(fault, Some(Fault::CutWithoutRange(_)));
    let start =
        range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let (first, start) = match start.filter(|_| ranges) {
        Some(start) => {
            (format!("206 X\r\nContent-Range: bytes {start}-{}/{}", body.len() - 1, body.len()), start)
        }
        None => ("200 OK".to_owned(), 0),
    };
    let rest = &body[start.min(body.len())..];
    let length = rest.len();
    write!(
        connection,
        "HTTP/1.1 {first}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    match fault {
        Some(Fault::Cut(count) | Fault::CutWithoutRange(count)) => {
            connection.write_all(&rest[..count.min(length)])
        }
        _ => connection.write_all(rest),
    }
}
