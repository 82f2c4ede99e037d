//! `holm volume create`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::container::settings::{Label, Labels, LayerSize};
use holm_runtime::volume::{VolumeDriver, VolumeName, VolumeRecord};

use crate::nonce::nonce;
use crate::output;

/// Create a volume
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  holm volume create data\n  holm volume create --label keep=yes data\n  \
                        holm volume create --driver block --opt size=20g db"
)]
pub(crate) struct CreateVolume {
    /// Specify volume driver name: local (a directory of the host) or block (a disk with a file system of its own)
    #[arg(short, long, value_name = "DRIVER", default_value = "local")]
    driver: String,
    /// Set metadata for a volume
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Set driver specific options; of block: size=10g (64m to 16t), what it can hold
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// Its name; made up when there is none
    #[arg(value_name = "VOLUME")]
    name: Option<VolumeName>,
}

impl CreateVolume {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let driver = match (self.driver.as_str(), self.opt.as_slice()) {
            ("local", []) => VolumeDriver::Local,
            ("local", [option, ..]) => bail!("invalid option {option:?}: the driver local has none"),
            ("block", options) => VolumeDriver::Block(block_size(options)?),
            (other, _) => bail!("error looking up volume plugin {other}: plugin \"{other}\" not found"),
        };
        let (name, anonymous) = match self.name {
            Some(name) => (name, false),
            None => (VolumeName::generated(&format!("{}{}", nonce()?, nonce()?))?, true),
        };
        let mut labels = Labels::new();
        labels.extend(self.label);
        let store = crate::commands::volumes()?;
        let record = VolumeRecord { driver, ..VolumeRecord::now(labels, anonymous) };
        store.create(&store.lock()?, &name, &record)?;
        output::line(name.as_str());
        Ok(ExitCode::SUCCESS)
    }
}

/// The last one given, or that of a writable layer.
fn block_size(options: &[String]) -> Result<LayerSize> {
    options.iter().try_fold(LayerSize::default(), |_, option| Ok(option.parse()?))
}
