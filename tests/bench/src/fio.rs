//! A job of fio's in a guest: a fixed amount in requests of one size.

use anyhow::{Context, Result, bail};

use crate::shell::Shell;
use crate::tools::MOUNT_POINT;

/// The file that jobs read and write.
const FILE_MIB: u32 = 64;

/// What is read or written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// `read`, `write`, `randread` or `randwrite`.
    pub(crate) pattern: &'static str,
    /// Of each request.
    pub(crate) block_kib: u32,
    /// Of all of them.
    pub(crate) amount_mib: u32,
    /// How: engine, depth and caching.
    pub(crate) options: &'static str,
}

impl Job {
    /// Seconds that it takes, from the first request to the end of the last.
    pub(crate) fn seconds(&self, shell: &dyn Shell) -> Result<f64> {
        let Self { pattern, block_kib, amount_mib, options } = self;
        // Without --thread each job is a process that waits for another, with shared memory between them.
        let command = format!(
            "fio --name=job --thread --filename={MOUNT_POINT}/file --size={FILE_MIB}m --rw={pattern} --bs={block_kib}k \
             --io_size={amount_mib}m --randrepeat=0 --output-format=json {options}"
        );
        self.parse(&shell.sh(&command)?)
    }

    /// In words.
    pub(crate) fn amount(&self) -> String {
        match self.block_kib {
            mib if mib.is_multiple_of(1024) => format!("{} MiB by {} MiB", self.amount_mib, mib / 1024),
            kib => format!("{} MiB by {kib} KiB", self.amount_mib),
        }
    }

    /// Writes the file, so that no job finds holes in it.
    pub(crate) fn prepare(shell: &dyn Shell) -> Result<()> {
        shell
            .sh(&format!("dd if=/dev/zero of={MOUNT_POINT}/file bs=1048576 count={FILE_MIB} conv=fsync"))
            .map(drop)
    }

    fn parse(&self, json: &str) -> Result<f64> {
        // What fio has to say otherwise comes before.
        let begin = json.find('{').with_context(|| format!("fio: {json}"))?;
        let report: serde_json::Value = serde_json::from_str(&json[begin..])?;
        let job = &report["jobs"][0];
        let side = &job[if self.pattern.ends_with("read") { "read" } else { "write" }];
        let (bytes, milliseconds) = (side["io_bytes"].as_u64(), side["runtime"].as_f64());
        if job["error"].as_i64() != Some(0) || bytes != Some(u64::from(self.amount_mib) << 20) {
            bail!("fio failed: error {}, {bytes:?} bytes", job["error"]);
        }
        Ok(milliseconds.context("fio gave no runtime")? / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_failed_or_did_less_is_refused() {
        let job = Job { pattern: "randread", block_kib: 4, amount_mib: 1, options: "" };
        let report = |error, bytes| {
            format!(
                r#"note: so
                {{"jobs": [{{"error": {error}, "read": {{"io_bytes": {bytes}, "runtime": 1500}}, "write": {{}}}}]}}"#
            )
        };
        assert!((job.parse(&report(0, 1 << 20)).unwrap() - 1.5).abs() < f64::EPSILON);
        for wrong in [report(5, 1 << 20), report(0, 4096), "fio: bad option".to_owned()] {
            assert!(job.parse(&wrong).is_err(), "{wrong}");
        }
    }
}
