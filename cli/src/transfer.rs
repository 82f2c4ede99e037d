//! What `pull` and `push` show while they go on: a bar for each layer on a terminal, Docker's lines elsewhere; and what
//! ends them.

use std::collections::HashMap;
use std::io::{self, IsTerminal, PipeWriter};
use std::os::fd::AsFd;
use std::process;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

use crate::{exit, output};

/// How long a transfer may take to end in order.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where to show things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    Nothing,
    Stdout,
    /// Standard output is somebody else's.
    Stderr,
}

/// The state of all layers, by the 12 digits that people see.
pub(crate) struct Layers {
    /// `None`: no terminal.
    bars: Option<MultiProgress>,
    by_name: HashMap<String, ProgressBar>,
    show: Show,
}

impl Layers {
    /// None yet.
    pub(crate) fn new(show: Show) -> Self {
        let target = match show {
            Show::Stdout if io::stdout().is_terminal() => Some(ProgressDrawTarget::stdout()),
            Show::Stderr if io::stderr().is_terminal() => Some(ProgressDrawTarget::stderr()),
            _ => None,
        };
        Self { bars: target.map(MultiProgress::with_draw_target), by_name: HashMap::new(), show }
    }

    /// A layer's state in words: `Pull complete`. The last one stays.
    pub(crate) fn say(&mut self, layer: &str, words: &str) {
        match self.bar(layer) {
            Some(bar) => {
                bar.set_style(plain());
                bar.set_message(words.to_owned());
                bar.abandon();
            }
            None => self.line(&format!("{layer}: {words}")),
        }
    }

    /// How far a layer is; `doing` is a word like `Downloading`. Only terminals show it.
    pub(crate) fn progress(&mut self, layer: &str, doing: &str, done_bytes: u64, total_bytes: u64) {
        if let Some(bar) = self.bar(layer) {
            bar.set_style(measured());
            bar.set_message(doing.to_owned());
            bar.set_length(total_bytes);
            bar.set_position(done_bytes);
        }
    }

    /// A line of its own, above the bars.
    pub(crate) fn line(&self, text: &str) {
        match (&self.bars, self.show) {
            (_, Show::Nothing) => {}
            // A terminal that is gone has nothing to show.
            (Some(bars), _) => drop(bars.println(text)),
            (None, Show::Stdout) => output::line(text),
            (None, Show::Stderr) => output::note(text),
        }
    }

    /// All layers are done: what is said from now on stands below them.
    pub(crate) fn end(&mut self) {
        self.by_name.clear();
        self.bars = None;
    }

    fn bar(&mut self, layer: &str) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let make = || {
            let bar = bars.add(ProgressBar::new(0));
            bar.set_prefix(layer.to_owned());
            bar
        };
        Some(self.by_name.entry(layer.to_owned()).or_insert_with(make).clone())
    }
}

fn plain() -> ProgressStyle {
    ProgressStyle::with_template("{prefix}: {msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn measured() -> ProgressStyle {
    ProgressStyle::with_template("{prefix}: {msg} [{bar:40}] {bytes}/{total_bytes}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// While it lives, SIGINT, SIGTERM and SIGHUP end a transfer, which then cleans up behind itself.
pub(crate) struct SignalWatch {
    set: SigSet,
    /// Closed to end the thread.
    alive: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl SignalWatch {
    /// With what a signal has to do. To be called while there is one thread only: others would take the signals.
    pub(crate) fn start(interrupt: impl FnOnce() + Send + 'static) -> Result<Self> {
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        set.thread_block().context("cannot block signals")?;
        let signals = SignalFd::new(&set).context("cannot watch for signals")?;
        let (ended, alive) = io::pipe().context("cannot watch for signals")?;
        let thread = thread::spawn(move || {
            let wanted = PollFlags::POLLIN;
            let mut waiting = [PollFd::new(signals.as_fd(), wanted), PollFd::new(ended.as_fd(), wanted)];
            if !matches!(poll(&mut waiting, PollTimeout::NONE), Ok(1..)) || waiting[0].any() != Some(true) {
                return;
            }
            let _ = signals.read_signal();
            interrupt();
            let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::ZERO);
            let mut waiting = [PollFd::new(ended.as_fd(), wanted)];
            if matches!(poll(&mut waiting, patience), Ok(0)) {
                // A registry that is silent must not keep anybody; the next command clears what is left.
                process::exit(exit::INTERRUPTED.into());
            }
        });
        Ok(Self { set, alive: Some(alive), thread: Some(thread) })
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        drop(self.alive.take());
        // It ends by itself, and has nothing to give.
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = self.set.thread_unblock();
    }
}
