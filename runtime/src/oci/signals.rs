//! Signals to the process that stands for the container's on the host: they are the container's, and the terminal's size.

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, Signal};

/// What is passed on. SIGWINCH says that the terminal has another size.
const PASSED_ON: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCONT,
    Signal::SIGWINCH,
];

/// Keeps the signals from this thread, and from those that it makes from now on: [`listen`] takes them.
pub(super) fn block() -> io::Result<()> {
    Ok(set().thread_block()?)
}

/// Tells of each signal, on another thread, until the answer is false.
pub(super) fn listen(tell: impl Fn(i32) -> bool + Send + 'static) {
    let set = set();
    thread::spawn(move || {
        while let Ok(signal) = set.wait() {
            if !tell(signal as i32) {
                return;
            }
        }
    });
}

fn set() -> SigSet {
    PASSED_ON.into_iter().collect()
}
