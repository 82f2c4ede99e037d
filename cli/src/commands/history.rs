//! `holm history`: how an image was made.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::image::{HistoryStep, Image};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::format::Format;
use crate::output;

/// Show the history of an image
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm history busybox\n  holm history --no-trunc --format '{{.CreatedBy}}' my/server\n\n\
                        Fields: .ID .CreatedSince .CreatedAt .CreatedBy .Size .Comment"
)]
pub(crate) struct History {
    /// Format output using a Go template, 'json' or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Print sizes and dates in human readable format
    #[arg(
        short = 'H',
        long,
        value_name = "BOOL",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Name or ID
    image: String,
}

/// Of a step whose image was never stored by itself.
const MISSING: &str = "<missing>";
/// Docker's width of CREATED BY.
const WIDTH: usize = 45;

impl History {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let format = Format::parse(self.format.as_deref())?;
        let image = super::find_image(&super::images()?, &self.image)?;
        let mut steps = Vec::new();
        for (number, step) in image.history()?.iter().enumerate() {
            let id = if number == 0 { self.id(&image) } else { MISSING.to_owned() };
            steps.push(self.describe(id, step));
        }
        if self.quiet {
            super::print_ids(&steps);
        } else {
            let created = if self.human { "CreatedSince" } else { "CreatedAt" };
            let columns = [
                ("IMAGE", "ID"),
                ("CREATED", created),
                ("CREATED BY", "CreatedBy"),
                ("SIZE", "Size"),
                ("COMMENT", "Comment"),
            ];
            format.print(&columns, &steps)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn id(&self, image: &Image) -> String {
        if self.no_trunc { image.id().to_string() } else { image.id().short() }
    }

    fn describe(&self, id: String, step: &HistoryStep) -> Value {
        let created_by = output::printable(&step.created_by);
        json!({
            "ID": id,
            "CreatedSince": step.created.map_or_else(|| "N/A".to_owned(), output::ago),
            "CreatedAt": step.created.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| "N/A".to_owned()),
            "CreatedBy": if self.no_trunc { created_by } else { output::shortened(&created_by, WIDTH) },
            "Size": if self.human { output::size(step.size_bytes) } else { step.size_bytes.to_string() },
            "Comment": output::printable(&step.comment),
        })
    }
}
