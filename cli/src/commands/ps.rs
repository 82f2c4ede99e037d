//! `holm ps`: the containers.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::container::{Container, State, Status};
use time::OffsetDateTime;

use crate::output;

/// List containers
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
}

impl Ps {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let mut rows = Vec::new();
        for container in super::containers()?.list()? {
            let state = container.state()?;
            if self.all || state.status.is_active() {
                rows.push(self.row(&container, &state));
            }
        }
        if self.quiet {
            for row in rows {
                output::line(row.first().map_or("", String::as_str));
            }
        } else {
            let header = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
            output::line(&output::table(&header, rows));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn row(&self, container: &Container, state: &State) -> Vec<String> {
        let record = &container.record;
        let id = if self.no_trunc { container.id.as_str() } else { container.id.short() };
        let command = format!("\"{}\"", record.settings.cmd.join(" "));
        vec![
            id.to_owned(),
            record.image.clone(),
            if self.no_trunc { command } else { shortened(&command) },
            output::ago(record.created),
            status(state),
            String::new(),
            container.name.to_string(),
        ]
    }
}

fn shortened(command: &str) -> String {
    const WIDTH: usize = 20;
    if command.chars().count() <= WIDTH {
        return command.to_owned();
    }
    let kept: String = command.chars().take(WIDTH - 2).collect();
    format!("{kept}…\"")
}

fn status(state: &State) -> String {
    let since = |then: Option<OffsetDateTime>| {
        then.map_or_else(String::new, |then| output::span(OffsetDateTime::now_utc() - then))
    };
    match state.status {
        Status::Created => "Created".to_owned(),
        Status::Running => format!("Up {}", since(state.started_at)),
        Status::Paused => format!("Up {} (Paused)", since(state.started_at)),
        Status::Restarting => {
            format!("Restarting ({}) {} ago", state.exit_code, since(state.finished_at))
        }
        Status::Exited => format!("Exited ({}) {} ago", state.exit_code, since(state.finished_at)),
    }
}
