//! Messages as engines expect them of runc: a line each, in logrus's text or JSON form.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// `time="..." level=error msg="..."`
    Text,
    /// An object per line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl LogFormat {
    fn line(self, level: &str, message: &str) -> String {
        let now = OffsetDateTime::now_utc().replace_nanosecond(0).ok();
        let time = now.and_then(|now| now.format(&Rfc3339).ok()).unwrap_or_default();
        match self {
            Self::Text => format!("time={time:?} level={level} msg={message:?}\n"),
            Self::Json => format!("{}\n", json!({"level": level, "msg": message, "time": time})),
        }
    }
}

/// Where messages go.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    file: Option<PathBuf>,
    format: LogFormat,
}

impl Log {
    /// Messages go to this file, or to standard error.
    pub(crate) fn new(file: Option<PathBuf>, format: LogFormat) -> Self {
        Self { file, format }
    }

    /// Takes the library's warnings.
    pub(crate) fn listen(&self, debug: bool) {
        let level = if debug { LevelFilter::DEBUG } else { LevelFilter::WARN };
        let (writer, format) = (self.clone(), Lines(self.format));
        tracing_subscriber::fmt().with_max_level(level).event_format(format).with_writer(writer).init();
    }

    /// Tells why this program failed: in the log for engines, and for people on standard error.
    pub(crate) fn complain(&self, message: &str) {
        let line = self.format.line("error", message);
        // Nobody could be told of a log that cannot be written.
        let _ = self.make_writer().write_all(line.as_bytes());
        if self.file.is_some() {
            holm_cli::output::note(message);
        }
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Box<dyn Write>;

    fn make_writer(&self) -> Self::Writer {
        match &self.file {
            None => Box::new(io::stderr()),
            Some(path) => match File::options().create(true).append(true).open(path) {
                Ok(file) => Box::new(file),
                Err(_) => Box::new(io::sink()),
            },
        }
    }
}

/// The lines of the library's messages.
struct Lines(LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut message = Message::default();
        event.record(&mut message);
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warning",
            tracing::Level::INFO => "info",
            _ => "debug",
        };
        writer.write_str(&self.0.line(level, &format!("{}{}", message.text, message.fields)))
    }
}

/// A message's words, and what belongs to it.
#[derive(Default)]
struct Message {
    text: String,
    fields: String,
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.text = format!("{value:?}");
        } else {
            self.fields.push_str(&format!(": {}={value:?}", field.name()));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_lines_of_logrus() {
        let text = LogFormat::Text.line("error", "exec: \"x\": executable file not found in $PATH");
        let words = r#"level=error msg="exec: \"x\": executable file not found in $PATH""#;
        assert!(text.starts_with("time=\"2") && text.ends_with(&format!("{words}\n")), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&LogFormat::Json.line("error", "a \"b\"\nc")).unwrap();
        assert_eq!((json["level"].as_str(), json["msg"].as_str()), (Some("error"), Some("a \"b\"\nc")));
    }
}
