//! The agent's log: the kernel's ring buffer, by /dev/kmsg, each line at its own level.
//!
//! The kernel's console level decides what is seen; the host sees nothing unless it gave the VM a console. No
//! formatting happens for what is below [`MAX_LEVEL`].

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::metadata::LevelFilter;
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

const MAX_LEVEL: LevelFilter = LevelFilter::INFO;

/// Longest line; the kernel cuts longer records.
const MAX_LINE_BYTES: usize = 900;

/// Writes events to /dev/kmsg. Spans are not used in the agent and cost nothing here.
struct Kmsg(File);

/// Sends all further events of `tracing` to the kernel's log. Needs /dev; without it the agent is silent.
pub(crate) fn install() {
    if let Ok(kmsg) = OpenOptions::new().write(true).open("/dev/kmsg") {
        tracing::subscriber::set_global_default(Kmsg(kmsg)).unwrap_or_default();
    }
    std::panic::set_hook(Box::new(|info| {
        tracing::error!("{info}");
        // The end of PID 1 is a kernel panic, which the VMM reports; the end of a forked child, a failed set-up.
        crate::sys::clone::exit_now(101);
    }));
}

/// syslog levels of printk: 3 error, 4 warning, 6 info, 7 debug.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

impl Subscriber for Kmsg {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= MAX_LEVEL
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(MAX_LEVEL)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("<{}>holm-agent:", priority(*event.metadata().level())));
        event.record(&mut line);
        // A log that cannot be written has nowhere to complain.
        (&self.0).write_all(line.finish().as_bytes()).unwrap_or_default();
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// One record: the message, then `name=value` of the other fields.
struct Line(String);

impl Line {
    /// One line: a newline inside would start a record of its own, at a level of its choice.
    fn finish(self) -> String {
        let mut line: String =
            self.0.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_LINE_BYTES).collect();
        line.push('\n');
        line
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = if field.name() == "message" {
            write!(self.0, " {value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
        written.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_start_another_record() {
        let line = Line("<4>holm-agent: a\n<0>b".to_owned()).finish();
        assert_eq!(line, "<4>holm-agent: a <0>b\n");
        assert_eq!(Line("x".repeat(5000)).finish().len(), MAX_LINE_BYTES + 1);
    }
}
