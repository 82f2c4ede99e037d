//! Removing what is not used: containers, images, both.

pub(super) mod containers;
pub(super) mod everything;
mod filter;
pub(super) mod images;

use std::io::{self, BufRead};

use anyhow::Result;

use crate::output;

/// Asks whether to go on.
fn confirmed(warning: &str) -> Result<bool> {
    output::part(&format!("{warning}\nAre you sure you want to continue? [y/N] "));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
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
