//! `holm images`: what is in the store.

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use holm_runtime::image::{Image, ImageStore, Reference};
use serde_json::{Value, json};

use time::OffsetDateTime;

use crate::format::Format;
use crate::label_match::LabelMatch;
use crate::{moment, output};

/// List images
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm images\n  holm images --format '{{.Repository}}:{{.Tag}} {{.Size}}'\n  \
                  holm images -q -f dangling=true\n\nFilters: dangling=, label=, before=IMAGE, since=IMAGE, until=TIME\n\
                  Fields: .Repository .Tag .ID .Digest .CreatedSince .CreatedAt .Size"
)]
pub(crate) struct Images {
    /// Show all images (there are no intermediate ones to hide)
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Provide filter values
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<Filter>,
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

/// `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    Dangling(bool),
    Label(LabelMatch),
    /// Made before this image.
    Before(String),
    /// Made after this image.
    Since(String),
    Until(OffsetDateTime),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("invalid filter: want KEY=VALUE")?;
        match (key, value) {
            ("dangling", "true" | "1") => Ok(Self::Dangling(true)),
            ("dangling", "false" | "0") => Ok(Self::Dangling(false)),
            ("dangling", _) => Err(format!("invalid filter 'dangling={value}'")),
            ("label", _) => Ok(Self::Label(LabelMatch::new(value))),
            ("before", _) => Ok(Self::Before(value.to_owned())),
            ("since", _) => Ok(Self::Since(value.to_owned())),
            ("until", _) => {
                moment::parse(value).map(Self::Until).map_err(|error| format!("invalid filter: {error}"))
            }
            _ => Err(format!("invalid filter '{key}'")),
        }
    }
}

/// A filter, and the image that it names.
struct Sought<'a> {
    filter: &'a Filter,
    made: Option<OffsetDateTime>,
}

impl<'a> Sought<'a> {
    fn new(store: &ImageStore, filter: &'a Filter) -> Result<Self> {
        let made = match filter {
            Filter::Before(name) | Filter::Since(name) => super::find_image(store, name)?.created(),
            _ => None,
        };
        Ok(Self { filter, made })
    }

    fn passes(&self, image: &Image) -> bool {
        match self.filter {
            Filter::Dangling(wanted) => image.names().is_empty() == *wanted,
            Filter::Label(label) => label.matches(&image.labels()),
            Filter::Before(_) => image.created() < self.made,
            Filter::Since(_) => image.created() > self.made,
            Filter::Until(until) => image.created().is_none_or(|created| created < *until),
        }
    }
}

const COLUMNS: [(&str, &str); 6] = [
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("DIGEST", "Digest"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
];

impl Images {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let format = Format::parse(self.format.as_deref())?;
        let mut found = Vec::new();
        let store = super::images()?;
        let sought =
            self.filter.iter().map(|filter| Sought::new(&store, filter)).collect::<Result<Vec<_>>>()?;
        for image in store.list()? {
            if !sought.iter().all(|sought| sought.passes(&image)) {
                continue;
            }
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
            let shown = |(_, field): &&(&str, &str)| self.digests || *field != "Digest";
            format.print(&COLUMNS.iter().filter(shown).copied().collect::<Vec<_>>(), &found)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_dockers() {
        for text in
            ["dangling=true", "dangling=0", "label=a=b", "before=busybox", "since=busybox:1", "until=24h"]
        {
            assert!(text.parse::<Filter>().is_ok(), "{text}");
        }
        assert_eq!("dangling=x".parse::<Filter>(), Err("invalid filter 'dangling=x'".to_owned()));
        assert_eq!("reference=*".parse::<Filter>(), Err("invalid filter 'reference'".to_owned()));
    }
}
