//! `holm images`: what is in the store.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::image::{Image, Reference};

use serde_json::{Value, json};

use crate::format::Format;
use crate::output;

/// List images
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm images\n  holm images --format '{{.Repository}}:{{.Tag}} {{.Size}}'"
)]
pub(crate) struct Images {
    /// Format output using a Go template, 'json' or 'table TEMPLATE'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Only this repository, or this repository and tag
    repository: Option<Reference>,
}

const COLUMNS: [(&str, &str); 5] = [
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
];

impl Images {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let format = Format::parse(self.format.as_deref())?;
        let mut found = Vec::new();
        for image in super::images()?.list()? {
            let names: Vec<_> = image.names().iter().filter(|name| self.wanted(name)).collect();
            if names.is_empty() && image.names().is_empty() && self.repository.is_none() {
                found.push(self.describe(&image, "<none>", "<none>"));
            }
            for name in names {
                let repository = name.familiar_repository();
                found.push(self.describe(&image, &repository, name.tag().unwrap_or("<none>")));
            }
        }
        if self.quiet {
            super::print_ids(&found);
        } else {
            format.print(&COLUMNS, &found)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn wanted(&self, name: &Reference) -> bool {
        self.repository.as_ref().is_none_or(|wanted| {
            wanted.familiar_repository() == name.familiar_repository()
                // A name without a tag was completed with the default one; both mean the whole repository.
                && (wanted.tag() == Some("latest") || wanted.tag() == name.tag())
        })
    }

    fn describe(&self, image: &Image, repository: &str, tag: &str) -> Value {
        let digest = image.manifest().map_or_else(|| "<none>".to_owned(), |digest| digest.to_string());
        json!({
            "Repository": repository,
            "Tag": tag,
            "ID": if self.no_trunc { image.id().to_string() } else { image.id().short() },
            "Digest": digest,
            "CreatedSince": image.created().map_or_else(|| "N/A".to_owned(), output::ago),
            "CreatedAt": image.created().map_or_else(|| "N/A".to_owned(), output::moment),
            "Size": output::size(image.size_bytes()),
        })
    }
}
