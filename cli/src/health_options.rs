//! `--health-*` and `--no-healthcheck`.

use anyhow::{Result, bail};
use clap::Args;
use holm_runtime::container::settings::{HealthConfig, parse_health_time};

/// What the user says about a container's health.
#[derive(Debug, Args)]
pub(crate) struct HealthOptions {
    /// Command to run to check health
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// Time between running the check (ms|s|m|h) (default 30s)
    #[arg(long, value_name = "DURATION", value_parser = parse_health_time)]
    health_interval: Option<u64>,
    /// Consecutive failures needed to report unhealthy (default 3)
    #[arg(long, value_name = "NUMBER")]
    health_retries: Option<u32>,
    /// Time between running the check during the start period (ms|s|m|h) (default 5s)
    #[arg(long, value_name = "DURATION", value_parser = parse_health_time)]
    health_start_interval: Option<u64>,
    /// Start period for the container to initialize before counting failures (ms|s|m|h) (default 0s)
    #[arg(long, value_name = "DURATION", value_parser = parse_health_time)]
    health_start_period: Option<u64>,
    /// Maximum time to allow one check to run (ms|s|m|h) (default 30s)
    #[arg(long, value_name = "DURATION", value_parser = parse_health_time)]
    health_timeout: Option<u64>,
    /// Disable any container-specified HEALTHCHECK
    #[arg(long)]
    no_healthcheck: bool,
}

impl HealthOptions {
    /// What they say over what the image says.
    ///
    /// # Errors
    /// They contradict each other.
    pub(crate) fn over(self, image: Option<HealthConfig>) -> Result<Option<HealthConfig>> {
        let own = HealthConfig {
            test: self.health_cmd.into_iter().flat_map(|command| ["CMD-SHELL".to_owned(), command]).collect(),
            interval_ns: self.health_interval.unwrap_or(0),
            timeout_ns: self.health_timeout.unwrap_or(0),
            start_period_ns: self.health_start_period.unwrap_or(0),
            start_interval_ns: self.health_start_interval.unwrap_or(0),
            retries: self.health_retries.unwrap_or(0),
        };
        if !self.no_healthcheck {
            return Ok(own.over(image));
        }
        if own != HealthConfig::default() {
            bail!("--no-healthcheck conflicts with --health-* options");
        }
        Ok(Some(HealthConfig { test: vec!["NONE".to_owned()], ..own }))
    }
}
