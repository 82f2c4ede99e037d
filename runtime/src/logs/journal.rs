//! The journald driver: each entry is a datagram in the journal's native protocol, with the fields that Docker sends.
//!
//! <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>; the fields:
//! <https://docs.docker.com/engine/logging/drivers/journald/>.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holm_protocol::stream::StreamKind;

use super::attributes;
use super::encode::Timestamp;
use super::error::LogError;
use super::json_file::losses;
use crate::container::Container;
use crate::container::settings::{LogConfig, LogDriver, LogTag};

const SOCKET: &str = "/run/systemd/journal/socket";

/// How long a journal that works may let a container wait for one entry; one that failed may not at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// Priorities of syslog(3), as Docker maps the streams.
pub(super) const PRIORITY_ERROR: u8 = 3;
const PRIORITY_INFO: u8 = 6;

/// A connection to the journal. Entries are not kept: what the journal does not take is lost, and counted.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    /// Fields that all entries have.
    fields: Vec<u8>,
    datagram: Vec<u8>,
    lost_entries: u64,
    failure: Option<String>,
}

/// Whether containers with this config can be logged here; asked before one is made.
///
/// # Errors
/// When the driver is journald and the host has none.
pub fn check(config: &LogConfig) -> Result<(), LogError> {
    if config.driver() == LogDriver::Journald { probe(Path::new(SOCKET)).map(drop) } else { Ok(()) }
}

fn probe(path: &Path) -> Result<UnixDatagram, LogError> {
    let failed = |source| LogError::NoJournal { path: path.to_owned(), source };
    let socket = UnixDatagram::unbound().map_err(failed)?;
    // Only a try: entries are sent to the path, so that a journal that is started anew gets them.
    UnixDatagram::unbound().and_then(|probe| probe.connect(path)).map_err(failed)?;
    socket.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    Ok(socket)
}

impl Journal {
    /// Finds the journal.
    pub(super) fn open(container: &Container) -> Result<Self, LogError> {
        Self::open_at(Path::new(SOCKET), container)
    }

    fn open_at(path: &Path, container: &Container) -> Result<Self, LogError> {
        let socket = probe(path)?;
        let record = &container.record;
        let tag = record.settings.log_config.tag();
        let tag = tag.map_or_else(
            || container.id.short().to_owned(),
            |tag: LogTag| attributes::render(&tag, container),
        );
        let mut fields = Vec::new();
        for (name, value) in [
            ("CONTAINER_ID", container.id.short()),
            ("CONTAINER_ID_FULL", container.id.as_str()),
            ("CONTAINER_NAME", record.name.as_str()),
            ("CONTAINER_TAG", &tag),
            ("IMAGE_NAME", &record.image),
            ("SYSLOG_IDENTIFIER", &tag),
        ] {
            append_field(&mut fields, name, value.as_bytes());
        }
        Ok(Self {
            socket,
            path: path.to_owned(),
            fields,
            datagram: Vec::new(),
            lost_entries: 0,
            failure: None,
        })
    }

    /// Sends an entry. A failure is told once; how many entries it cost is told when the journal is back.
    pub(super) fn send(&mut self, kind: StreamKind, text: &[u8], time: &Timestamp) {
        if self.lost_entries > 0 {
            let text =
                losses(self.lost_entries, self.failure.as_deref().unwrap_or("the journal did not take them"));
            if self.try_send(StreamKind::Stderr, text.as_bytes(), time).is_err() {
                self.lost_entries += 1;
                return;
            }
            tracing::info!(journal = %self.path.display(), "the journal takes the container's log again");
            self.lost_entries = 0;
            self.failure = None;
            let _ = self.socket.set_nonblocking(false);
        }
        if let Err(error) = self.try_send(kind, text, time) {
            tracing::warn!(journal = %self.path.display(), %error, "the journal does not take the container's log");
            self.lost_entries = 1;
            self.failure = Some(error.to_string());
            // From now on the container does not wait for it.
            let _ = self.socket.set_nonblocking(true);
        }
    }

    fn try_send(&mut self, kind: StreamKind, text: &[u8], time: &Timestamp) -> io::Result<()> {
        let priority = if kind == StreamKind::Stderr { PRIORITY_ERROR } else { PRIORITY_INFO };
        let (text, partial) = text.strip_suffix(b"\n").map_or((text, true), |line| (line, false));
        self.datagram.clear();
        append_field(&mut self.datagram, "PRIORITY", priority.to_string().as_bytes());
        append_field(&mut self.datagram, "MESSAGE", text);
        append_field(&mut self.datagram, "SYSLOG_TIMESTAMP", time.as_str().as_bytes());
        if partial {
            append_field(&mut self.datagram, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        self.datagram.extend_from_slice(&self.fields);
        self.socket.send_to(&self.datagram, &self.path).map(drop)
    }
}

/// `NAME=value`, or with the value's length when it has a newline.
fn append_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.lost_entries > 0 {
            let lines = self.lost_entries;
            tracing::warn!(journal = %self.path.display(), lines, "the end of the container's log is lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::tests::container;
    use super::*;
    use time::OffsetDateTime;

    fn receive(server: &UnixDatagram) -> String {
        let mut bytes = vec![0; 1 << 16];
        let length = server.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn entries_have_dockers_fields() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let server = UnixDatagram::bind(&path).unwrap();
        let container = container(dir.path(), LogDriver::Journald, &["tag=x/{{.Name}}"]);
        let mut journal = Journal::open_at(&path, &container).unwrap();
        let time = Timestamp::new(OffsetDateTime::UNIX_EPOCH);
        journal.send(StreamKind::Stdout, b"hello\n", &time);
        let id = container.id.as_str();
        assert_eq!(
            receive(&server),
            format!(
                "PRIORITY=6\nMESSAGE=hello\nSYSLOG_TIMESTAMP=1970-01-01T00:00:00.000000000Z\nCONTAINER_ID={}\n\
                 CONTAINER_ID_FULL={id}\nCONTAINER_NAME=web\nCONTAINER_TAG=x/web\nIMAGE_NAME=busybox\n\
                 SYSLOG_IDENTIFIER=x/web\n",
                &id[..12]
            )
        );
        journal.send(StreamKind::Stderr, b"part", &time);
        let sent = receive(&server);
        assert!(sent.starts_with("PRIORITY=3\nMESSAGE=part\n"), "{sent}");
        assert!(sent.contains("\nCONTAINER_PARTIAL_MESSAGE=true\n"), "{sent}");
    }

    #[test]
    fn values_with_newlines_have_their_length() {
        let mut out = Vec::new();
        append_field(&mut out, "A", b"b\nc");
        assert_eq!(out, b"A\n\x03\0\0\0\0\0\0\0b\nc\n");
    }

    #[test]
    fn a_journal_that_is_gone_is_counted_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let container = container(dir.path(), LogDriver::Journald, &[]);
        assert!(matches!(Journal::open_at(&path, &container), Err(LogError::NoJournal { .. })));
        let server = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::open_at(&path, &container).unwrap();
        drop(server);
        std::fs::remove_file(&path).unwrap();
        let time = Timestamp::new(OffsetDateTime::UNIX_EPOCH);
        for _ in 0..3 {
            journal.send(StreamKind::Stdout, b"lost\n", &time);
        }
        let server = UnixDatagram::bind(&path).unwrap();
        journal.send(StreamKind::Stdout, b"kept\n", &time);
        assert!(
            receive(&server)
                .contains("MESSAGE=holm: 3 lines of the container's output are missing here: No such")
        );
        assert!(receive(&server).contains("MESSAGE=kept\n"));
    }
}
