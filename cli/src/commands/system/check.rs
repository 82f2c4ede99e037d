//! `holm system check`: is what is stored sound?

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::check::{self, Depth, Finding};
use holm_runtime::host::Directories;

use crate::output;

/// Check that images, containers and names are sound
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm system check\n  holm system check --full --repair\n\n\
                        Exit code 0 when everything is sound, 1 when not.")]
pub(crate) struct Check {
    /// Read all data of all layers and compare their digests (slow)
    #[arg(long)]
    full: bool,
    /// Remove what killed commands left
    #[arg(long)]
    repair: bool,
}

impl Check {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let directories = crate::commands::directories()?;
        if self.repair {
            let mut leftovers = look(&directories)?;
            check::repair(&directories)?;
            let left = look(&directories)?;
            leftovers.retain(|finding| !left.contains(finding));
            leftovers.iter().for_each(|finding| say("repaired", finding));
        }
        let depth = if self.full { Depth::Full } else { Depth::Quick };
        let mut is_sound = true;
        check::check(&directories, depth, &mut |finding| {
            is_sound = false;
            say(if finding.is_leftover { "leftover" } else { "UNSOUND " }, &finding);
        })?;
        if is_sound {
            output::line("Everything is sound.");
            return Ok(ExitCode::SUCCESS);
        }
        Ok(ExitCode::FAILURE)
    }
}

/// What killed commands left.
fn look(directories: &Directories) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    check::check(directories, Depth::Quick, &mut |finding| found.push(finding))?;
    found.retain(|finding| finding.is_leftover);
    Ok(found)
}

fn say(word: &str, finding: &Finding) {
    let text = format!("{word}  {}: {}", finding.place.display(), finding.problem);
    output::line(&output::printable(&text));
}
