//! `holm images`: what is in the store.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_runtime::image::{Image, Reference};

use crate::output;

/// List images
#[derive(Debug, Args)]
pub(crate) struct Images {
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Only this repository, or this repository and tag
    repository: Option<Reference>,
}

impl Images {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let mut rows = Vec::new();
        for image in super::images()?.list()? {
            let names: Vec<_> = image.names().iter().filter(|name| self.wanted(name)).collect();
            if names.is_empty() && image.names().is_empty() && self.repository.is_none() {
                rows.push(self.row(&image, "<none>".to_owned(), "<none>"));
            }
            for name in names {
                rows.push(self.row(&image, name.familiar_repository(), name.tag().unwrap_or("<none>")));
            }
        }
        if self.quiet {
            for row in rows {
                output::line(row.get(2).map_or("", String::as_str));
            }
        } else {
            output::line(&output::table(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], rows));
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

    fn row(&self, image: &Image, repository: String, tag: &str) -> Vec<String> {
        let id = if self.no_trunc { image.id().to_string() } else { image.id().short() };
        let created = image.created().map_or_else(|| "N/A".to_owned(), output::ago);
        vec![repository, tag.to_owned(), id, created, output::size(image.size_bytes())]
    }
}
