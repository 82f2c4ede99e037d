//! A client of the CRI, the calls by which Kubernetes' kubelet has pods run (k8s.io/cri-api, `runtime/v1/api.proto`): gRPC over curl,
//! with the few messages that the tests need written out field by field.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Speaks to one containerd.
#[derive(Debug)]
pub struct Cri {
    socket: PathBuf,
    headers: PathBuf,
}

/// A pod that runs.
#[derive(Debug)]
pub struct CriPod {
    /// Its id: that of its sandbox.
    pub id: String,
    config: Message,
}

/// Whose processes a container sees.
#[derive(Clone, Copy, Debug)]
pub enum Processes<'a> {
    /// Its own.
    Own,
    /// The pod's.
    Pod,
    /// Those of another container.
    Of(&'a str),
}

impl Processes<'_> {
    /// As a NamespaceOption.
    fn option(self) -> Message {
        let modes = Message::new();
        match self {
            Self::Pod => modes.number(2, 0),
            Self::Own => modes.number(2, 1),
            Self::Of(container) => modes.number(2, 3).text(4, container),
        }
    }
}

/// How a command in a container ended, and what it printed.
#[derive(Debug, PartialEq, Eq)]
pub struct Executed {
    /// 0 to 255.
    pub code: u64,
    /// Standard output, without the last newline.
    pub out: String,
}

impl Cri {
    /// Over the socket of a containerd; `directory` is for this client's files.
    #[must_use]
    pub fn at(socket: PathBuf, directory: &Path) -> Self {
        Self { socket, headers: directory.join("cri-headers") }
    }

    /// Starts a pod with a network of its own.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn run_pod(&self, name: &str) -> CriPod {
        let metadata = Message::new().text(1, name).text(2, name).text(3, "default");
        let config = Message::new().message(1, &metadata).text(2, name).message(8, &Message::new());
        let reply = self.call("RunPodSandbox", &Message::new().message(1, &config));
        CriPod { id: reply.text_of(1), config }
    }

    /// Its address.
    ///
    /// # Panics
    /// When it is not known.
    #[track_caller]
    #[must_use]
    pub fn address(&self, pod: &CriPod) -> String {
        let status = self.call("PodSandboxStatus", &Message::new().text(1, &pod.id)).message_of(1);
        status.message_of(5).text_of(1)
    }

    /// Makes and starts a container that runs a script.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start(
        &self,
        pod: &CriPod,
        image: &str,
        name: &str,
        script: &str,
        processes: Processes<'_>,
    ) -> String {
        const LIMIT_BYTES: u64 = 64 << 20;
        let resources = Message::new().number(4, LIMIT_BYTES);
        let security = Message::new().message(3, &processes.option());
        let linux = Message::new().message(1, &resources).message(2, &security);
        let mut config = Message::new()
            .message(1, &Message::new().text(1, name))
            .message(2, &Message::new().text(1, image));
        for word in ["sh", "-c", script] {
            config = config.text(3, word);
        }
        let config = config.message(15, &linux);
        let request = Message::new().text(1, &pod.id).message(2, &config).message(3, &pod.config);
        let id = self.call("CreateContainer", &request).text_of(1);
        self.call("StartContainer", &Message::new().text(1, &id));
        id
    }

    /// Runs a script in a container.
    ///
    /// # Panics
    /// When it cannot be run.
    #[track_caller]
    #[must_use]
    pub fn exec(&self, container: &str, script: &str) -> Executed {
        let mut request = Message::new().text(1, container);
        for word in ["sh", "-c", script] {
            request = request.text(2, word);
        }
        let reply = self.call("ExecSync", &request.number(3, 60));
        Executed { code: reply.number_of(3), out: reply.text_of(1).trim_end().to_owned() }
    }

    /// The exit code of a container that has ended; `None` while it runs.
    ///
    /// # Panics
    /// When it is not there.
    #[track_caller]
    #[must_use]
    pub fn exit_code(&self, container: &str) -> Option<u64> {
        const EXITED: u64 = 2;
        let status = self.call("ContainerStatus", &Message::new().text(1, container)).message_of(1);
        (status.number_of(3) == EXITED).then(|| status.number_of(7))
    }

    /// What a container uses of memory, in bytes.
    ///
    /// # Panics
    /// When it is not told.
    #[track_caller]
    #[must_use]
    pub fn memory(&self, container: &str) -> u64 {
        let stats = self.call("ContainerStats", &Message::new().text(1, container)).message_of(1);
        stats.message_of(3).message_of(2).number_of(1)
    }

    /// Stops a container at once, and removes it.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn remove(&self, container: &str) {
        self.call("StopContainer", &Message::new().text(1, container));
        self.call("RemoveContainer", &Message::new().text(1, container));
    }

    /// Stops a pod, with all of its containers, and removes it.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn remove_pod(&self, pod: &CriPod) {
        self.call("StopPodSandbox", &Message::new().text(1, &pod.id));
        self.call("RemovePodSandbox", &Message::new().text(1, &pod.id));
    }

    #[track_caller]
    fn call(&self, method: &str, request: &Message) -> Message {
        let length = u32::try_from(request.0.len()).expect("a short request");
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--http2-prior-knowledge",
            "-H",
            "content-type: application/grpc",
            "-H",
            "te: trailers",
        ])
        .args(["--data-binary", "@-", "--unix-socket"])
        .arg(&self.socket)
        .arg("-D")
        .arg(&self.headers)
        .arg(format!("http://localhost/runtime.v1.RuntimeService/{method}"));
        let mut child = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("curl");
        let mut stdin = child.stdin.take().expect("stdin");
        stdin.write_all(&[&[0], &length.to_be_bytes()[..], &request.0].concat()).expect("write the request");
        drop(stdin);
        let reply = child.wait_with_output().expect("curl").stdout;
        let headers = std::fs::read_to_string(&self.headers).expect("headers");
        // Behind the body, or before it where there is none.
        assert!(headers.lines().any(|line| line.trim_end() == "grpc-status: 0"), "{method}: {headers}");
        Message(reply.get(5..).unwrap_or_default().to_vec())
    }
}

/// A message of protocol buffers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Message(Vec<u8>);

const VARINT: u64 = 0;
const BYTES: u64 = 2;

impl Message {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn put(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    fn number(mut self, field: u64, value: u64) -> Self {
        self.put(field << 3 | VARINT);
        self.put(value);
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.put(field << 3 | BYTES);
        self.put(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// Fields: a number, or bytes.
    fn fields(&self) -> Vec<(u64, u64, &[u8])> {
        let (mut rest, mut fields) = (self.0.as_slice(), Vec::new());
        while !rest.is_empty() {
            let key = take(&mut rest);
            let number = take(&mut rest);
            let mut bytes: &[u8] = &[];
            match key & 7 {
                VARINT => {}
                BYTES => (bytes, rest) = rest.split_at(usize::try_from(number).expect("a length")),
                other => panic!("wire type {other}"),
            }
            fields.push((key >> 3, number, bytes));
        }
        fields
    }

    fn number_of(&self, field: u64) -> u64 {
        self.fields().iter().find(|found| found.0 == field).map_or(0, |found| found.1)
    }

    fn bytes_of(&self, field: u64) -> Vec<u8> {
        self.fields().iter().find(|found| found.0 == field).map(|found| found.2.to_vec()).unwrap_or_default()
    }

    fn text_of(&self, field: u64) -> String {
        String::from_utf8(self.bytes_of(field)).expect("a text")
    }

    fn message_of(&self, field: u64) -> Self {
        Self(self.bytes_of(field))
    }
}

fn take(rest: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    while let Some((byte, after)) = rest.split_first() {
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let inner = Message::new().text(1, "name").number(4, 300);
        let outer = Message::new().message(15, &inner).number(2, u64::MAX);
        assert_eq!(outer.message_of(15).text_of(1), "name");
        assert_eq!((outer.message_of(15).number_of(4), outer.number_of(2)), (300, u64::MAX));
        assert_eq!(inner.0, [0x0a, 4, b'n', b'a', b'm', b'e', 0x20, 0xac, 0x02]);
    }
}
