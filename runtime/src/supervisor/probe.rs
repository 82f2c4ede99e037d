//! One probe of a healthcheck: a process beside the workload, as `holm exec` makes it, with this thread as its client.
//!
//! Trust: what the probe prints is the guest's; the first few KiB are kept, the rest is read and dropped.

use std::io::{self, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use holm_protocol::stream::StreamKind;
use time::OffsetDateTime;

use super::event::{Event, Life};
use super::exec::{Exec, ExecEvent};
use super::protocol::{self, Report, Request};
use super::run::Supervisor;
use crate::bundle::ExecRequest;
use crate::container::settings::SignalName;
use crate::container::{HealthStatus, Probe, Status};

/// What is kept of a probe's output, in bytes, as in Docker.
const MAX_OUTPUT_BYTES: u64 = 4096;
/// How long a guest may take to kill a probe before its result is told.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// The exit code of a probe that did not end by itself.
const NOT_ENDED: i32 = -1;

impl Supervisor {
    /// When the next probe is due. Nobody probes what is paused or about to end.
    pub(super) fn probe_deadline(&self) -> Option<Instant> {
        let monitor = self.vm.health.as_ref()?;
        if self.state.status == Status::Running && self.stop.is_none() { monitor.deadline() } else { None }
    }

    /// Starts a probe; its result comes as [`Event::Probed`].
    pub(super) fn probe(&mut self) {
        let Some(monitor) = &mut self.vm.health else { return };
        let (arguments, timeout) = monitor.begin();
        let id = format!("health-{}", monitor.number);
        let exec = if self.vm.probe.as_ref().is_some_and(|probe| !probe.is_finished()) {
            // A guest that does not let go of its probes gets no more of the host's threads.
            Err("the health check before this one still runs".to_owned())
        } else {
            self.exec(ExecRequest { id, arguments, outputs: true, ..ExecRequest::default() })
        };
        let (life, sender) = (self.life, self.sender.clone());
        let (start, began) = (OffsetDateTime::now_utc(), Instant::now());
        let tell = move |(exit_code, output): Outcome| {
            let probe = Probe { start, end: OffsetDateTime::now_utc(), exit_code, output };
            // A supervisor at its end wants to know no more.
            let _ = sender.send(Event::Probed(life, probe, began));
        };
        match exec {
            Err(message) => tell((NOT_ENDED, message)),
            Ok(exec) => self.vm.probe = Some(thread::spawn(move || run(exec, timeout, tell))),
        }
    }

    /// Takes note of a probe's result.
    pub(super) fn probed(&mut self, life: Life, probe: Probe, began: Instant) {
        let Some(monitor) = self.vm.health.as_mut().filter(|_| life == self.life) else { return };
        let changed: Option<HealthStatus> = monitor.end(probe, began, Instant::now());
        self.container.write_health(&monitor.health);
        if let Some(status) = changed {
            self.container.note(&format!("health_status: {status}"), &[]);
        }
    }
}

/// Exit code and output.
type Outcome = (i32, String);

/// Runs it to its end, or kills it; ends when it is gone, and tells the outcome then, or when it cannot be killed.
fn run(exec: Exec, timeout: Duration, tell: impl FnOnce(Outcome)) {
    match ProbeClient::start(exec) {
        Err(error) => tell((NOT_ENDED, error.to_string())),
        Ok(mut client) => match client.await_end(Some(Instant::now() + timeout)) {
            Ok(Some(outcome)) => tell(outcome),
            Ok(None) => {
                // One that ended at this moment is no longer there.
                let _ = client.events.send(ExecEvent::Request(Request::Signal(SignalName::KILL.number())));
                // However it ends. The next probe should find it gone.
                let ended = client.await_end(Some(Instant::now() + KILL_PATIENCE));
                tell((NOT_ENDED, format!("Health check exceeded timeout ({timeout:?})")));
                if matches!(ended, Ok(None)) {
                    let _ = client.await_end(None);
                }
            }
            Err(error) => tell((NOT_ENDED, error.to_string())),
        },
    }
}

/// This side of the process.
struct ProbeClient {
    events: Sender<ExecEvent>,
    own: UnixStream,
    reports: BufReader<UnixStream>,
    outputs: Vec<JoinHandle<Vec<u8>>>,
}

impl ProbeClient {
    fn start(mut exec: Exec) -> io::Result<Self> {
        exec.is_probe = true;
        let (client, own) = UnixStream::pair()?;
        let events = exec.spawn(client);
        let mut outputs = Vec::new();
        for kind in [StreamKind::Stdout, StreamKind::Stderr] {
            let (far, near) = UnixStream::pair()?;
            // A process that could not be made has no use for it.
            let _ = events.send(ExecEvent::Stream(kind, far));
            outputs.push(thread::spawn(move || read(near)));
        }
        Ok(Self { events, reports: BufReader::new(own.try_clone()?), own, outputs })
    }

    /// The outcome; `None` when there is none by then.
    fn await_end(&mut self, deadline: Option<Instant>) -> io::Result<Option<Outcome>> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            self.own.set_read_timeout(left)?;
            match protocol::receive(&mut self.reports) {
                Ok(Some(Report::Exited { code })) => return Ok(Some((code.into(), self.output()))),
                Ok(Some(Report::Failed { message, .. })) => return Ok(Some((NOT_ENDED, message))),
                Ok(Some(_)) => {}
                Ok(None) => return Err(io::Error::other("the health check was lost")),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// What it printed, when it has ended.
    fn output(&mut self) -> String {
        let outputs = self.outputs.drain(..).map(|reader| reader.join().unwrap_or_default());
        tame(&outputs.collect::<Vec<_>>().concat())
    }
}

/// A guest's words, of any number of lines, without what terminals obey.
fn tame(words: &[u8]) -> String {
    let tamed = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '?' } else { c };
    String::from_utf8_lossy(words).chars().map(tamed).collect()
}

/// The beginning of a stream, which is read to its end.
fn read(mut stream: UnixStream) -> Vec<u8> {
    let mut kept = Vec::new();
    // A stream that breaks has ended.
    let _ = stream.by_ref().take(MAX_OUTPUT_BYTES).read_to_end(&mut kept);
    let _ = io::copy(&mut stream, &mut io::sink());
    kept
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_a_probe_prints_moves_no_cursor() {
        assert_eq!(tame(b"ok\t1\n\x1b[2J\xff\n"), "ok\t1\n?[2J\u{fffd}\n");
    }

    #[test]
    fn only_the_beginning_of_an_endless_output_is_kept() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let reader = thread::spawn(move || read(near));
        far.write_all(&[b'x'; 1 << 20]).unwrap();
        drop(far);
        assert_eq!(reader.join().unwrap().len(), 4096);
    }
}
