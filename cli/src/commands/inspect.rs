//! `holm inspect`: an image or a container as JSON with Docker's field names.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use holm_runtime::container::{ContainerError, ContainerStore};
use holm_runtime::image::{Image, ImageError, ImageStore, Reference};
use serde_json::{Value, json};

use crate::format::Line;
use crate::output;

/// Return low-level information on images and containers
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm inspect web\n  holm inspect -f '{{.State.Status}}' web")]
pub(crate) struct Inspect {
    /// Format output using a Go template, or 'json'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only look for one type of object
    #[arg(long, value_enum, value_name = "TYPE")]
    r#type: Option<Type>,
    /// Names or IDs
    #[arg(required = true, value_name = "NAME|ID")]
    names: Vec<String>,
}

/// What can be inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Type {
    Container,
    Image,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let line = match self.format.as_deref() {
            None => None,
            Some("json") => Some(Line::parse("{{json .}}")?),
            Some(template) => Some(Line::parse(template)?),
        };
        let (containers, images) = (super::containers()?, super::images()?);
        let mut found = Vec::new();
        let code = super::each_quietly(&self.names, |name| {
            found.push(inspect(name, self.r#type, &containers, &images)?);
            Ok(())
        })?;
        match line {
            None => output::line(&serde_json::to_string_pretty(&found)?),
            Some(line) => {
                for thing in &found {
                    output::line(&line.render(thing)?);
                }
            }
        }
        Ok(code)
    }
}

fn inspect(
    name: &str,
    wanted: Option<Type>,
    containers: &ContainerStore,
    images: &ImageStore,
) -> Result<Value> {
    if wanted != Some(Type::Image) {
        match containers.find(name) {
            Ok(found) => return super::container_inspect::inspect(&found, images),
            Err(ContainerError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if wanted != Some(Type::Container) {
        match super::find_image(images, name) {
            Ok(found) => return image(&found),
            Err(ImageError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match wanted {
        None => bail!("no such object: {name}"),
        Some(Type::Container) => bail!("no such container: {name}"),
        Some(Type::Image) => bail!("no such image: {name}"),
    }
}

fn image(image: &Image) -> Result<Value> {
    // Passed through whole: it knows more than the image-spec does.
    let config: Value = serde_json::from_slice(image.config_json())?;
    let field = |name: &str| config.get(name).cloned().unwrap_or(Value::Null);
    let text = |name: &str| field(name).as_str().unwrap_or_default().to_owned();
    let tags: Vec<String> =
        image.names().iter().filter(|n| n.tag().is_some()).map(|n| n.familiar()).collect();
    let digests: Vec<String> = image.pins().iter().map(Reference::familiar).collect();
    let layers: Vec<String> = image.layers().iter().map(ToString::to_string).collect();
    Ok(json!({
        "Id": image.id().to_string(),
        "RepoTags": tags,
        "RepoDigests": digests,
        "Comment": text("comment"),
        "Created": text("created"),
        "Author": text("author"),
        "Config": field("config"),
        "Architecture": text("architecture"),
        "Os": text("os"),
        "Size": image.size_bytes(),
        "RootFS": {"Type": "layers", "Layers": layers},
    }))
}
