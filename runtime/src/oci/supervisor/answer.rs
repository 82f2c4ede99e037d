//! What others ask of a container, while it lives. What may take long has a thread.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;

use nix::libc::SIGKILL;
use oci_spec::runtime::LinuxResources;

use super::{Event, KILL_TIMEOUT, Made, Supervisor};
use crate::oci::bundle::leave_to_the_host;
use crate::oci::cgroup;
use crate::oci::error::OciError;
use crate::oci::pod::{JoinRequest, Pod};
use crate::oci::protocol::{Report, Request};
use crate::oci::record::Status;
use crate::oci::role::Role;
use crate::oci::update::check_room;
use crate::sandbox::{AgentClient, AgentError, ProcessRequest};
use crate::supervisor::protocol::{receive, send};

impl Supervisor {
    pub(super) fn answer(&mut self, made: &Made, request: Request, client: UnixStream) {
        let agent = made.agent.clone();
        match request {
            Request::Start => self.start(made, client),
            Request::Pause | Request::Resume => {
                let is_pause = request == Request::Pause;
                let done = if is_pause { agent.freeze() } else { agent.thaw() };
                let status = if is_pause { Status::Paused } else { self.going_on() };
                let done = done.map_err(OciError::from).and_then(|()| self.write(status));
                report(&client, done.map(|()| Report::Done));
            }
            Request::Signal { process, signal, all } => {
                if signal == SIGKILL && process.is_empty() {
                    self.kill_at.get_or_insert_with(|| Instant::now() + KILL_TIMEOUT);
                }
                in_thread(client, move |_| {
                    let sent = if all {
                        agent.signal_container(signal)
                    } else {
                        agent.signal_process(&process, signal)
                    };
                    // The VM is ended when its agent does not listen.
                    if signal == SIGKILL { Ok(Report::Done) } else { sent.map(|()| Report::Done) }
                });
            }
            Request::Execute { process, spec, stdin } => in_thread(client, move |_| {
                let tty = spec.terminal().unwrap_or(false);
                let request = ProcessRequest { id: &process, process: &spec, stdin, outputs: true, tty };
                agent.create_process(&request).map(|()| Report::Done)
            }),
            Request::StartProcess { process } => {
                in_thread(client, move |_| agent.start_process(&process).map(|()| Report::Done));
            }
            Request::Wait { process } => in_thread(client, move |client| {
                kill_when_gone(client, agent.clone(), process.clone());
                agent.wait_process(&process).map(|exit| Report::Exited { code: exit.code })
            }),
            Request::Resize { process, columns, rows } => in_thread(client, move |_| {
                agent.resize_process(&process, columns, rows).map(|()| Report::Done)
            }),
            Request::Processes => in_thread(client, move |_| agent.processes().map(Report::Processes)),
            Request::Usage => in_thread(client, move |_| agent.usage().map(Report::Usage)),
            Request::Update(change) => {
                report(&client, self.update(made, *change).map(|()| Report::Done));
            }
            Request::Join(request) => self.admit(made, request, client),
        }
    }

    /// Limits the workload in the guest, and the VM on the host.
    fn update(&self, made: &Made, mut change: LinuxResources) -> Result<(), OciError> {
        let shape = made.bundle.shape(&self.record.role);
        check_room(&change, shape)?;
        let hosts = change.clone();
        leave_to_the_host(&mut change);
        made.agent.update_container(&change)?;
        // With others in the VM, these limits are not the VM's.
        let is_shared = self.pod.as_ref().is_some_and(Pod::is_shared);
        let is_alone = self.record.role == Role::Alone && !is_shared;
        let place = self.record.cgroup.as_ref().filter(|_| is_alone);
        place.map_or(Ok(()), |place| cgroup::set_limits(place, &hosts, shape))
    }

    /// Adds another container to the VM, for as long as the client stays.
    pub(super) fn admit(&mut self, made: &Made, request: Box<JoinRequest>, client: UnixStream) {
        let Some(pod) = &mut self.pod else {
            let error = OciError::Impossible("the VM of a container that is itself in another's".to_owned());
            return report(&client, Err(error));
        };
        if pod.has(&request.name) {
            return self.joining.push((request, client));
        }
        match pod.join(&request) {
            Err(error) => report(&client, Err(error)),
            Ok(joined) => {
                // The VM is no longer this container's alone.
                let place = self.record.cgroup.as_ref().filter(|_| self.record.role == Role::Alone);
                let shared = place.map(|place| cgroup::share(place, pod.memory_mib()));
                if let Some(Err(error)) = shared {
                    tracing::warn!(%error, "the limits of the first container hold for all of its VM");
                }
                report(&client, Ok(Report::Joined(joined)));
                let (sender, name) = (self.sender.clone(), request.name.clone());
                let done = move || drop(sender.send(Event::Left(name)));
                pod.removes_at_the_end_of(&request.name, client, made.agent.clone(), done);
            }
        }
    }
}

pub(super) fn report(client: &UnixStream, done: Result<Report, OciError>) {
    let answer = done.unwrap_or_else(|error| Report::Failed { message: error.message() });
    // Who went away need not be told.
    let _ = send(client, &answer);
}

/// Does what may take long; it is answered with what becomes of it.
fn in_thread(
    client: UnixStream,
    work: impl FnOnce(&UnixStream) -> Result<Report, AgentError> + Send + 'static,
) {
    thread::spawn(move || {
        let done = work(&client);
        report(&client, done.map_err(OciError::from));
    });
}

/// Whoever waits for a process stands for it on the host: when it is gone, so is the process. Killing one that has ended does
/// nothing.
fn kill_when_gone(client: &UnixStream, agent: AgentClient, process: String) {
    let Ok(reading) = client.try_clone() else { return };
    thread::spawn(move || {
        while let Ok(Some(())) = receive::<()>(&mut BufReader::new(&reading)) {}
        let _ = agent.signal_process(&process, SIGKILL);
    });
}
