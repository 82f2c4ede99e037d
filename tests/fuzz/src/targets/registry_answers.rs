//! What a registry answers to a pull: a server that says what the input says, request by request: status, headers, bodies.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use holm_runtime::image::{Digest, ImageStore, LayerLimits, Reference};
use holm_runtime::registry::{CredentialStore, Registries, RegistryConfig, Retry};

use crate::Target;
use crate::images;
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "registry_answers",
    run,
    seeds,
    max_bytes: 8192,
    code: &[
        "runtime/src/registry/challenge.rs",
        "runtime/src/registry/document.rs",
        "runtime/src/registry/session.rs",
        "runtime/src/registry/blob.rs",
        "runtime/src/image/remote/pull.rs",
    ],
    words: &[
        images::DOCUMENT_WORDS,
        &[
            "WWW-Authenticate: ",
            "Bearer realm=\"http://127.0.0.1/token\"",
            ",service=\"x\"",
            "Basic realm=\"x\"",
            "Content-Length: ",
            "Content-Range: bytes ",
            "Location: ",
            "Retry-After: 1",
            "Link: </v2/x/tags/list>; rel=\"next\"",
            "Transfer-Encoding: chunked",
            "Content-Type: application/vnd.oci.image.manifest.v1+json",
            "{\"token\":\"x\",\"expires_in\":",
            "{\"errors\":[{\"code\":\"",
        ],
    ],
};

/// An answer of a status line, headers and a body as HTTP has them; otherwise it is given as it is.
const TIDY: u8 = 1;

/// The answers that are left.
static ANSWERS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// One server and one client for all runs: each costs a thread.
static REGISTRY: LazyLock<(u16, Registries)> = LazyLock::new(|| {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().flatten().for_each(answer));
    let none = std::path::Path::new("/nonexistent");
    let registries = Registries::new(RegistryConfig::default(), CredentialStore::at(none));
    (port, registries.with_retry(Retry { attempts: 2, first_wait: Duration::ZERO }))
});

/// Takes one request, gives the next answer, and hangs up.
fn answer(mut connection: TcpStream) {
    let _ = connection.set_read_timeout(Some(Duration::from_secs(5)));
    let mut request: Vec<u8> = Vec::new();
    let mut byte = [0; 512];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match connection.read(&mut byte) {
            Ok(count @ 1..) => request.extend(&byte[..count]),
            _ => return,
        }
        // Not HTTP at all: it begins with TLS.
        if request.first().is_some_and(|first| !first.is_ascii_uppercase()) {
            return;
        }
    }
    let next = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let _ = connection.write_all(&next.unwrap_or_default());
    let _ = connection.shutdown(std::net::Shutdown::Both);
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let name = input.u8();
    let mut answers = Vec::new();
    while !input.is_empty() && answers.len() < 12 {
        let (kind, status) = (input.u8(), input.u16());
        let (headers, body) = (input.counted(), input.counted());
        answers.push(if kind & TIDY == 0 {
            body.to_vec()
        } else {
            let length = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
            let begin = format!("HTTP/1.1 {} x\r\n{length}", 100 + status % 500);
            [begin.as_bytes(), headers, b"\r\n", body].concat()
        });
    }
    answers.reverse();
    *ANSWERS.lock().unwrap() = answers;
    let (port, registries) = &*REGISTRY;
    let directory = tempfile::tempdir().unwrap();
    let limits = LayerLimits { tar_bytes: 8 << 20, reserve_bytes: 0, ..LayerLimits::default() };
    let store = ImageStore::open(directory.path()).unwrap().with_limits(limits);
    let manifest = Digest::of(&images::documents()[0]);
    let name = match name {
        0 => format!("127.0.0.1:{port}/x:1"),
        _ => format!("127.0.0.1:{port}/x@{manifest}"),
    };
    let name: Reference = name.parse().unwrap();
    match store.pull(registries, &name, &mut |_| {}) {
        Ok(pulled) => drop(store.resolve(&pulled.id.to_string()).unwrap()),
        Err(error) => {
            let text = error.to_string();
            assert!(
                !text.chars().any(char::is_control),
                "what a registry says is printed as it is: {text:?}"
            );
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let say = |output: Output, status: u16, headers: &str, body: &[u8]| {
        output.u8(TIDY).u16(status - 100).counted(headers.as_bytes()).counted(body)
    };
    let [manifest, index, config] = images::documents().try_into().unwrap();
    let ready = |name: u8| say(Output::default().u8(name), 200, "", b"");
    let manifest_type = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
    let index_type = "Content-Type: application/vnd.oci.image.index.v1+json\r\n";
    let challenge = "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:1/token\",service=\"s\"\r\n";
    let basic = "WWW-Authenticate: Basic realm=\"x\"\r\n";
    let error = b"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\\u001b[31m\\n\"}]}";
    let mut seeds = vec![
        say(say(ready(0), 200, manifest_type, &manifest), 200, "", &config).0,
        say(say(say(ready(0), 200, index_type, &index), 200, manifest_type, &manifest), 200, "", &config).0,
        say(say(ready(1), 200, manifest_type, &manifest), 200, "", &config[..20]).0,
        say(ready(0), 200, manifest_type, b"{}").0,
        say(Output::default().u8(0), 401, challenge, error).0,
        say(Output::default().u8(0), 401, basic, error).0,
        say(say(ready(0), 401, challenge, error), 200, "", b"{\"token\":\"t\",\"expires_in\":99999999999}").0,
        say(say(ready(0), 302, "Location: http://127.0.0.1:1/x\r\n", b""), 200, "", &manifest).0,
        Output::default()
            .u8(0)
            .u8(0)
            .u16(0)
            .counted(b"")
            .counted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .0,
        Output::default().u8(0).u8(0).u16(0).counted(b"").counted(b"\x16\x03\x01\x00\x05").0,
    ];
    for status in [400, 403, 404, 416, 429, 500, 503] {
        seeds.push(say(ready(0), status, "Retry-After: 0\r\n", error).0);
    }
    seeds
}
