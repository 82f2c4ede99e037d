//! `--device-read-bps /:1mb`: how fast a disk of the container's may be.

use std::num::NonZeroU64;

use holm_protocol::vm_config::DiskRates;
use serde::{Deserialize, Serialize};

use super::quantity::{self, Units};

/// A rate per second of one disk, with Docker's field names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceRate {
    /// Where in the container the disk is mounted: `/` is the writable layer.
    pub path: String,
    /// Bytes or requests in a second; in a change, zero takes the limit away.
    pub rate: u64,
}

/// The rates of all of a container's disks; of several for one path the last holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceRates {
    /// `--device-read-bps`.
    pub read_bps: Vec<DeviceRate>,
    /// `--device-write-bps`.
    pub write_bps: Vec<DeviceRate>,
    /// `--device-read-iops`.
    pub read_iops: Vec<DeviceRate>,
    /// `--device-write-iops`.
    pub write_iops: Vec<DeviceRate>,
}

/// Why a rate is refused. The words are Docker's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeviceRateError {
    /// Not a path and a rate.
    #[error("bad format: {0}")]
    Form(String),
    /// Not an absolute path.
    #[error("bad format for device path: {0}")]
    Path(String),
    /// Not a number of bytes.
    #[error(
        "invalid rate for device: {0}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive \
         integer. Unit is optional and can be kb, mb, or gb"
    )]
    Bytes(String),
    /// Not a number of requests.
    #[error(
        "invalid rate for device: {0}. The correct format is <device-path>:<number>. Number must be a positive integer"
    )]
    Requests(String),
}

impl DeviceRate {
    /// Bytes per second: `/:1mb`.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse_bytes(text: &str) -> Result<Self, DeviceRateError> {
        Self::parse_bytes_change(text)?.positive(|| DeviceRateError::Bytes(text.to_owned()))
    }

    /// The same or zero.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse_bytes_change(text: &str) -> Result<Self, DeviceRateError> {
        let (path, rate) = split(text)?;
        let rate = quantity::parse(rate, Units::Binary);
        Ok(Self { path, rate: rate.ok_or_else(|| DeviceRateError::Bytes(text.to_owned()))? })
    }

    /// Requests per second: `/:100`.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse_requests(text: &str) -> Result<Self, DeviceRateError> {
        Self::parse_requests_change(text)?.positive(|| DeviceRateError::Requests(text.to_owned()))
    }

    /// The same or zero.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse_requests_change(text: &str) -> Result<Self, DeviceRateError> {
        let (path, rate) = split(text)?;
        let rate = rate.parse().map_err(|_| DeviceRateError::Requests(text.to_owned()))?;
        Ok(Self { path, rate })
    }

    fn positive(self, refused: impl FnOnce() -> DeviceRateError) -> Result<Self, DeviceRateError> {
        if self.rate == 0 { Err(refused()) } else { Ok(self) }
    }
}

fn split(text: &str) -> Result<(String, &str), DeviceRateError> {
    let (path, rate) = text.rsplit_once(':').ok_or_else(|| DeviceRateError::Form(text.to_owned()))?;
    if !path.starts_with('/') {
        return Err(DeviceRateError::Path(path.to_owned()));
    }
    let trimmed = path.trim_end_matches('/');
    Ok((if trimmed.is_empty() { "/" } else { trimmed }.to_owned(), rate))
}

impl DeviceRates {
    /// Those of the disk that is mounted on `path`.
    #[must_use]
    pub fn of(&self, path: &str) -> DiskRates {
        let last = |rates: &[DeviceRate]| {
            rates.iter().rfind(|rate| rate.path == path).and_then(|rate| NonZeroU64::new(rate.rate))
        };
        DiskRates {
            read_bytes_per_s: last(&self.read_bps),
            write_bytes_per_s: last(&self.write_bps),
            read_requests_per_s: last(&self.read_iops),
            write_requests_per_s: last(&self.write_iops),
        }
    }

    /// These rates after a change; with what it takes away as zeroes.
    #[must_use]
    pub fn changed(&self, change: &Self) -> Self {
        let one = |before: &[DeviceRate], change: &[DeviceRate]| {
            let is_left = |old: &&DeviceRate| change.iter().all(|new| new.path != old.path);
            before.iter().filter(is_left).chain(change).cloned().collect()
        };
        Self {
            read_bps: one(&self.read_bps, &change.read_bps),
            write_bps: one(&self.write_bps, &change.write_bps),
            read_iops: one(&self.read_iops, &change.read_iops),
            write_iops: one(&self.write_iops, &change.write_iops),
        }
    }

    /// Without zeroes, which limit nothing.
    #[must_use]
    pub fn limiting(mut self) -> Self {
        for rates in [&mut self.read_bps, &mut self.write_bps, &mut self.read_iops, &mut self.write_iops] {
            rates.retain(|rate| rate.rate != 0);
        }
        self
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All paths that are named.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let all = [&self.read_bps, &self.write_bps, &self.read_iops, &self.write_iops];
        all.into_iter().flatten().map(|rate| rate.path.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_dockers_and_belong_to_a_path() {
        let bytes = |text: &str| DeviceRate::parse_bytes(text).unwrap();
        assert_eq!(bytes("/:1mb"), DeviceRate { path: "/".into(), rate: 1 << 20 });
        assert_eq!(bytes("/srv/db/:500").path, "/srv/db");
        let rates = DeviceRates {
            read_bps: vec![bytes("/:1kb"), bytes("/db:5"), bytes("/:2kb")],
            write_iops: vec![DeviceRate::parse_requests("/:7").unwrap()],
            ..DeviceRates::default()
        };
        let of_root = rates.of("/");
        assert_eq!(of_root.read_bytes_per_s, NonZeroU64::new(2048));
        assert_eq!(of_root.write_requests_per_s, NonZeroU64::new(7));
        assert_eq!(of_root.write_bytes_per_s, None);
        assert_eq!(rates.of("/x"), DiskRates::default());
        assert_eq!(rates.paths().collect::<Vec<_>>(), ["/", "/db", "/", "/"]);
    }

    #[test]
    fn a_change_is_for_the_paths_that_it_names() {
        let bytes = |text: &str| DeviceRate::parse_bytes_change(text).unwrap();
        let of = |read_bps: &[&str]| DeviceRates {
            read_bps: read_bps.iter().map(|text| bytes(text)).collect(),
            ..DeviceRates::default()
        };
        let changed = of(&["/:1", "/db:2", "/db:3"]).changed(&of(&["/db:0", "/x:4"]));
        assert_eq!(changed, of(&["/:1", "/db:0", "/x:4"]));
        assert_eq!(changed.of("/db"), DiskRates::default());
        assert_eq!(changed.limiting(), of(&["/:1", "/x:4"]));
        assert_eq!(DeviceRate::parse_requests_change("/:0").unwrap().rate, 0);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(DeviceRate::parse_bytes("1mb"), Err(DeviceRateError::Form("1mb".into())));
        assert_eq!(DeviceRate::parse_bytes("sda:1mb"), Err(DeviceRateError::Path("sda".into())));
        for rate in ["/:", "/:0", "/:-1", "/:x"] {
            assert_eq!(DeviceRate::parse_bytes(rate), Err(DeviceRateError::Bytes(rate.into())));
            assert_eq!(DeviceRate::parse_requests(rate), Err(DeviceRateError::Requests(rate.into())));
        }
        assert!(DeviceRate::parse_requests("/:1mb").is_err());
    }
}
