//! `holm inspect`: an image, a container, a volume or a network as JSON with Docker's field names.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use holm_runtime::container::{ContainerError, ContainerStore};
use holm_runtime::image::{Image, ImageError, ImageStore, Reference};
use holm_runtime::network::NetworkError;
use holm_runtime::volume::VolumeError;
use serde_json::{Value, json};

use crate::format::Line;
use crate::output;

/// Return low-level information on images, containers, volumes and networks
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
    Volume,
    Network,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (containers, images) = (super::containers()?, super::images()?);
        show(&self.names, self.format.as_deref(), |name| inspect(name, self.r#type, &containers, &images))
    }
}

/// Prints what `describe` finds of each name, as one JSON document or a line each; names that there are not are complained
/// about.
pub(super) fn show(
    names: &[String],
    format: Option<&str>,
    describe: impl Fn(&str) -> Result<Value>,
) -> Result<ExitCode> {
    let template = format.map(|text| if text == "json" { "{{json .}}" } else { text });
    let line = template.map(Line::parse).transpose()?;
    let mut found = Vec::new();
    let code = super::each_quietly(names, |name| {
        found.push(describe(name)?);
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

fn inspect(
    name: &str,
    wanted: Option<Type>,
    containers: &ContainerStore,
    images: &ImageStore,
) -> Result<Value> {
    if matches!(wanted, None | Some(Type::Container)) {
        match containers.find(name) {
            Ok(found) => return super::container_inspect::inspect(containers, &found, images),
            Err(ContainerError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if matches!(wanted, None | Some(Type::Image)) {
        match super::find_image(images, name) {
            Ok(found) => return image(&found),
            Err(ImageError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if matches!(wanted, None | Some(Type::Volume)) {
        match super::volumes()?.find(name) {
            Ok(found) => return super::volume::describe(&found),
            Err(VolumeError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if matches!(wanted, None | Some(Type::Network)) {
        let store = super::networks()?;
        match store.find(name) {
            Ok(found) => return super::network::describe(&store, &found),
            Err(NetworkError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match wanted {
        None => bail!("no such object: {name}"),
        Some(Type::Container) => bail!("no such container: {name}"),
        Some(Type::Image) => bail!("no such image: {name}"),
        Some(Type::Volume) => bail!("no such volume: {name}"),
        Some(Type::Network) => bail!("no such network: {name}"),
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
