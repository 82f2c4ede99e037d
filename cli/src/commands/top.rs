//! `holm top`: the processes of a container, as `ps -ef` shows them.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::sandbox::ProcessUsage;
use holm_runtime::supervisor::protocol::{Report, Request};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::output;

/// Display the running processes of a container
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm top web")]
pub(crate) struct Top {
    /// Name or ID
    container: String,
}

const HEADER: [&str; 8] = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];

impl Top {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let store = super::containers()?;
        let container = store.find(&self.container)?;
        let Report::Processes(processes) = super::question(&store, &container, Request::Processes)? else {
            bail!("the supervisor answered something else");
        };
        let now = OffsetDateTime::now_utc();
        output::line(&output::table(&HEADER, processes.iter().map(|process| row(process, now)).collect()));
        Ok(ExitCode::SUCCESS)
    }
}

fn row(process: &ProcessUsage, now: OffsetDateTime) -> Vec<String> {
    let seconds = process.cpu_time_ms / 1000;
    let lived = u64::try_from(now.unix_timestamp() - process.started_unix_s).unwrap_or(0).max(1);
    vec![
        process.uid.to_string(),
        process.pid.to_string(),
        process.ppid.to_string(),
        (process.cpu_time_ms / 10 / lived).min(99).to_string(),
        began(process.started_unix_s, now),
        if process.tty.is_empty() { "?".to_owned() } else { process.tty.clone() },
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
        process.command.clone(),
    ]
}

/// The time of today, or the day.
fn began(unix_s: i64, now: OffsetDateTime) -> String {
    let Ok(began) = OffsetDateTime::from_unix_timestamp(unix_s) else { return "?".to_owned() };
    let shown = if now - began < time::Duration::DAY {
        began.format(format_description!("[hour]:[minute]"))
    } else {
        began.format(format_description!("[month repr:short][day]"))
    };
    // Every time has all the parts that the formats name.
    shown.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_as_those_of_ps() {
        let now = OffsetDateTime::from_unix_timestamp(1_795_000_100).unwrap();
        let process = ProcessUsage {
            pid: 42,
            ppid: 1,
            uid: 0,
            tty: String::new(),
            cpu_time_ms: 65_000,
            started_unix_s: 1_795_000_000,
            command: "sleep 1".into(),
        };
        let row = row(&process, now);
        assert_eq!(row[..4], ["0", "42", "1", "65"]);
        assert_eq!(row[5..], ["?", "00:01:05", "sleep 1"]);
        assert!(began(1_700_000_000, now).starts_with("Nov"));
    }
}
