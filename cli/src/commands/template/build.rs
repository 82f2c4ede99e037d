//! `holm template build`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use holm_protocol::vm_config::MAX_VCPUS;
use holm_runtime::config::Config;
use holm_runtime::container::settings::{Cpus, Limits, MemorySize, Settings};
use holm_runtime::sandbox::VmShape;
use holm_runtime::template;

use crate::commands::{directories, installation};
use crate::output;

/// Make the template that containers with these limits start from, unless it is there
///
/// The first start that lacks a template makes it, too. Prints the template's name.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  holm template build\n  holm template build --cpus 2 -m 1g")]
pub(crate) struct BuildTemplate {
    /// Number of CPUs
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<Cpus>,
    /// Memory limit (b, k, m or g)
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<MemorySize>,
    /// Virtual CPUs of the VM, at least (default: what the limits need)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_VCPUS)))]
    vm_cpus: Option<u8>,
    /// Memory of the VM, at least (default: what the limits need, or 512m)
    #[arg(long, value_name = "BYTES")]
    vm_memory: Option<MemorySize>,
}

impl BuildTemplate {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let limits = Limits { cpus: self.cpus, memory: self.memory, ..Limits::default() };
        let vm_memory = self.vm_memory.or(Config::from_environment()?.container().vm_memory);
        let settings = Settings { limits, vm_cpus: self.vm_cpus, vm_memory, ..Settings::default() };
        let shape = VmShape::for_settings(&settings);
        output::line(&template::build(&installation()?, &directories()?, shape)?);
        Ok(ExitCode::SUCCESS)
    }
}
