//! What verbs and a supervisor say to each other: one request and its report for each connection, JSON lines as between the
//! engine's supervisor and its clients ([`crate::supervisor::protocol`]).

use oci_spec::runtime::{LinuxResources, Process};
use serde::{Deserialize, Serialize};

use super::pod::{JoinRequest, Joined};
use crate::sandbox::{ProcessUsage, Usage};

/// What is asked. Processes are named as for the agent: the empty name is the container's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// Execute the container's program.
    Start,
    /// Send a signal.
    Signal {
        /// To whom.
        process: String,
        /// Its number.
        signal: i32,
        /// To all processes of the container.
        all: bool,
    },
    /// Make one more process. Who asks connects its streams himself, and starts it.
    Execute {
        /// Its name, not used before.
        process: String,
        /// What to run.
        spec: Box<Process>,
        /// Whether there is a standard input.
        stdin: bool,
    },
    /// Let one more process go.
    StartProcess {
        /// Which.
        process: String,
    },
    /// Tell when one more process has ended. It is killed when the connection ends before.
    Wait {
        /// Which.
        process: String,
    },
    /// The terminal of a process has another size.
    Resize {
        /// Whose.
        process: String,
        /// In characters.
        columns: u16,
        /// In characters.
        rows: u16,
    },
    /// Stop all processes.
    Pause,
    /// Let them go on.
    Resume,
    /// Which processes there are.
    Processes,
    /// What they use.
    Usage,
    /// Other limits; those that are not named stay.
    Update(Box<LinuxResources>),
    /// Room for one more container in the VM, which is removed when the connection ends.
    Join(Box<JoinRequest>),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// It was done.
    Done,
    /// The process has ended and its output was handed over.
    Exited {
        /// 0 to 255.
        code: u8,
    },
    /// What runs.
    Processes(Vec<ProcessUsage>),
    /// What it uses.
    Usage(Usage),
    /// One more process runs.
    Executed {
        /// Its name.
        process: String,
    },
    /// There is room for it.
    Joined(Joined),
    /// It was not done.
    Failed {
        /// For the user.
        message: String,
    },
}
