//! A terminal for the command under test.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A command that runs on a terminal of its own, as its controlling terminal.
#[derive(Debug)]
pub struct Pty {
    master: File,
    child: Child,
    seen: String,
}

/// How long [`Pty::expect`] waits.
const PATIENCE: Duration = Duration::from_secs(90);

impl Pty {
    /// Starts `command` on a terminal of this size.
    ///
    /// # Panics
    /// When there is no terminal to be had.
    #[track_caller]
    #[must_use]
    pub fn start(command: Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("openpt");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("unlock the terminal");
        tcsetwinsize(&master, winsize(columns, rows)).expect("size");
        let path = ptsname(&master, Vec::new()).expect("ptsname");
        // setsid --ctty makes standard input the controlling terminal.
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                session.env(name, value);
            }
        }
        let open = || -> Stdio {
            File::options().read(true).write(true).open(path.to_str().expect("path")).expect("open").into()
        };
        let child = session
            .stdin(open())
            .stdout(open())
            .stderr(open())
            .process_group(0)
            .spawn()
            .expect("start on a terminal");
        Self { master: File::from(master), child, seen: String::new() }
    }

    /// Types.
    ///
    /// # Panics
    /// When the terminal is gone.
    #[track_caller]
    pub fn type_(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("type");
    }

    /// Changes the terminal's size.
    ///
    /// # Panics
    /// When the terminal is gone.
    #[track_caller]
    pub fn resize(&self, columns: u16, rows: u16) {
        tcsetwinsize(&self.master, winsize(columns, rows)).expect("resize");
    }

    /// Waits until `text` is on the screen, after everything that was expected before.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            assert!(self.read_some(deadline), "{text:?} did not come; the screen has {:?}", self.seen);
        }
    }

    /// Waits for the command's end; gives its exit code.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn wait(mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        while self.read_some(deadline) {}
        self.child.wait().expect("wait").code().unwrap_or(-1)
    }

    /// Reads what there is; `false` at the end or when time is up.
    fn read_some(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut waiting = [PollFd::new(&self.master, PollFlags::IN)];
        if !matches!(poll(&mut waiting, Some(&timeout)), Ok(1..)) {
            return false;
        }
        let mut bytes = [0; 4096];
        match self.master.read(&mut bytes) {
            Ok(length @ 1..) => {
                self.seen.push_str(&String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()));
                true
            }
            // EIO: the last user of the terminal closed it.
            _ => false,
        }
    }
}

fn winsize(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}
