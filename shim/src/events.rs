//! What containerd is told without asking: events, over its ttrpc socket, in their order, by a thread of their own.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, SystemTime};

use containerd_shim_protos::api::ForwardRequest;
use containerd_shim_protos::events::task::{
    TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskOOM, TaskPaused, TaskResumed,
    TaskStart,
};
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::{EventsClient, topics};
use protobuf::well_known_types::any::Any;
use protobuf::well_known_types::timestamp::Timestamp;
use protobuf::{MessageField, MessageFull};
use ttrpc::context;

/// How long containerd may take for one event.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often one is sent while containerd is away, and the pause between.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// An event, and where it belongs.
pub(crate) trait Event: MessageFull {
    const TOPIC: &'static str;
}

macro_rules! topics {
    ($($event:ty => $topic:ident),* $(,)?) => {
        $(impl Event for $event {
            const TOPIC: &'static str = topics::$topic;
        })*
    };
}

topics! {
    TaskCreate => TASK_CREATE_EVENT_TOPIC,
    TaskStart => TASK_START_EVENT_TOPIC,
    TaskExecAdded => TASK_EXEC_ADDED_EVENT_TOPIC,
    TaskExecStarted => TASK_EXEC_STARTED_EVENT_TOPIC,
    TaskOOM => TASK_OOM_EVENT_TOPIC,
    TaskExit => TASK_EXIT_EVENT_TOPIC,
    TaskDelete => TASK_DELETE_EVENT_TOPIC,
    TaskPaused => TASK_PAUSED_EVENT_TOPIC,
    TaskResumed => TASK_RESUMED_EVENT_TOPIC,
}

enum Work {
    Send(Box<Envelope>),
    Finish(Sender<()>),
}

/// Sends events.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    namespace: String,
    queue: Sender<Work>,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

impl Publisher {
    /// To containerd's socket; to nobody without one.
    pub(crate) fn to(socket: Option<String>, namespace: &str) -> Self {
        let (queue, work) = mpsc::channel();
        thread::spawn(move || send_all(socket.as_deref(), &work));
        Self { namespace: namespace.to_owned(), queue }
    }

    /// That of all that is told of.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Sends one, some time.
    pub(crate) fn publish<E: Event>(&self, event: &E) {
        let mut envelope = Envelope::new();
        envelope.timestamp = Some(timestamp(SystemTime::now())).into();
        envelope.namespace.clone_from(&self.namespace);
        E::TOPIC.clone_into(&mut envelope.topic);
        envelope.event = Some(any(event)).into();
        // The thread lives as long as anybody could send.
        let _ = self.queue.send(Work::Send(Box::new(envelope)));
    }

    /// Waits until all were sent, or given up.
    pub(crate) fn finish(&self) {
        let (sender, finished) = mpsc::channel();
        let _ = self.queue.send(Work::Finish(sender));
        let _ = finished.recv();
    }
}

/// As containerd packs messages: by their full names.
pub(crate) fn any<M: MessageFull>(message: &M) -> Any {
    let mut any = Any::new();
    M::descriptor().full_name().clone_into(&mut any.type_url);
    // A message of ours has all that it needs.
    any.value = message.write_to_bytes().unwrap_or_default();
    any
}

pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    time.into()
}

fn send_all(socket: Option<&str>, queue: &Receiver<Work>) {
    let mut client = None;
    while let Ok(work) = queue.recv() {
        match (work, socket) {
            (Work::Send(envelope), Some(socket)) => send(socket, &mut client, &envelope),
            (Work::Send(_), None) => {}
            (Work::Finish(sender), _) => drop(sender.send(())),
        }
    }
}

/// Events of a containerd that stays away are lost: a new one asks for the states.
fn send(socket: &str, client: &mut Option<EventsClient>, envelope: &Envelope) {
    for attempt in 1..=ATTEMPTS {
        match try_to_send(socket, client, envelope) {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%error, topic = envelope.topic, "cannot tell containerd of an event");
                *client = None;
            }
        }
        if attempt < ATTEMPTS {
            thread::sleep(PAUSE);
        }
    }
}

fn try_to_send(socket: &str, client: &mut Option<EventsClient>, envelope: &Envelope) -> ttrpc::Result<()> {
    let connected = match client.take() {
        Some(client) => client,
        None => EventsClient::new(ttrpc::Client::connect(&format!("unix://{socket}"))?),
    };
    let mut request = ForwardRequest::new();
    request.envelope = MessageField::some(envelope.clone());
    let timeout = TIMEOUT.as_nanos().try_into().unwrap_or(i64::MAX);
    connected.forward(context::with_timeout(timeout), &request)?;
    *client = Some(connected);
    Ok(())
}

#[cfg(test)]
mod tests {
    use protobuf::Message;

    use super::*;

    #[test]
    fn messages_are_packed_by_their_names() {
        let mut event = TaskExit::new();
        event.exit_status = 7;
        let packed = any(&event);
        assert_eq!(packed.type_url, "containerd.events.TaskExit");
        assert_eq!(TaskExit::parse_from_bytes(&packed.value).unwrap().exit_status, 7);
        assert_eq!(TaskExit::TOPIC, "/tasks/exit");
    }

    #[test]
    fn nobody_waits_for_a_containerd_that_never_was() {
        let publisher = Publisher::to(None, "default");
        publisher.publish(&TaskStart::new());
        publisher.finish();
    }
}
