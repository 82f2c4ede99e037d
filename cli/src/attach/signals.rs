//! Signals that the caller sends to the command line reach the workload (`--sig-proxy` in Docker's words).

use std::thread;

use anyhow::{Context, Result};
use holm_runtime::supervisor::Requests;
use holm_runtime::supervisor::protocol::Request;
use nix::sys::signal::{SigSet, Signal};

use super::terminal;

/// Passed on. Not the ones that the kernel sends for faults, and not those that stop or continue this process.
const FORWARDED: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];

/// The signals that wait to be passed on.
#[derive(Debug)]
pub(super) struct Blocked {
    set: SigSet,
}

/// Holds the signals back until [`Blocked::forward`] takes them; to be called while there is one thread only.
pub(super) fn block(tty: bool, proxy: bool) -> Result<Blocked> {
    let forwarded = if proxy { FORWARDED } else { &[] };
    let mut set: SigSet = forwarded.iter().copied().collect();
    if tty {
        set.add(Signal::SIGWINCH);
    }
    set.thread_block().context("cannot block signals")?;
    Ok(Blocked { set })
}

impl Blocked {
    /// Passes them on, those included that came in the meantime.
    pub(super) fn forward(&self, requests: Requests) {
        let set = self.set;
        if set.iter().next().is_none() {
            return;
        }
        thread::spawn(move || {
            while let Ok(signal) = set.wait() {
                let sent = if signal == Signal::SIGWINCH {
                    terminal::report_size(&requests);
                    Ok(())
                } else {
                    requests.send(Request::Signal(signal as i32))
                };
                if sent.is_err() {
                    return;
                }
            }
        });
    }
}
