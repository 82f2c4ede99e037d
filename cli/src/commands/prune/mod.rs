//! Removing what is not used: containers, images, networks, volumes, all.

pub(super) mod containers;
pub(super) mod everything;
mod filter;
pub(super) mod images;
pub(super) mod networks;
pub(super) mod templates;
pub(super) mod volumes;

use std::io::{self, BufRead};

use anyhow::Result;
use clap::Args;

use self::filter::PruneFilter;
use crate::output;

/// What all prune verbs take.
#[derive(Debug, Args)]
pub(super) struct PruneOptions {
    /// Only what passes: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long = "filter", value_name = "FILTER")]
    filters: Vec<PruneFilter>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

impl PruneOptions {
    /// Asks whether to go on, unless that was said.
    pub(super) fn confirmed(&self, warning: &str) -> Result<bool> {
        if self.force {
            return Ok(true);
        }
        output::part(&format!("{warning}\nAre you sure you want to continue? [y/N] "));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

/// What was removed, line by line, and the bytes on disk that it took.
#[derive(Debug, Default)]
struct Pruned {
    lines: Vec<String>,
    freed_bytes: u64,
}

impl Pruned {
    /// Prints the lines under their heading, if there are any.
    fn print(&self, heading: &str) {
        if !self.lines.is_empty() {
            output::line(&format!("{heading}:\n{}\n", self.lines.join("\n")));
        }
    }
}

fn print_total(freed_bytes: u64) {
    output::line(&format!("Total reclaimed space: {}", output::size(freed_bytes)));
}
