//! How fast a block volume is, beside QEMU's virtio-blk over a file of the same making.
//!
//! Both files are Holm's block volumes: sparse, with the same ext4. fio passes the guest's page cache by; behind it is the host's, as both
//! VMMs have it by themselves.

use anyhow::Result;

use crate::container::Container;
use crate::containers::Holm;
use crate::figure::Figure;
use crate::fio::Job;
use crate::guest::{Extra, Guest};
use crate::only::Only;
use crate::sample::alternate;
use crate::shell::Shell;
use crate::tools::{self, MOUNT_POINT, Tools};
use crate::volume::Volume;

const OPTIONS: &str = "--ioengine=libaio --direct=1 --iodepth=16";
const JOBS: [(&str, Job); 4] = [
    ("blk.read", Job { pattern: "read", block_kib: 1024, amount_mib: 256, options: OPTIONS }),
    ("blk.write", Job { pattern: "write", block_kib: 1024, amount_mib: 256, options: OPTIONS }),
    ("blk.randread", Job { pattern: "randread", block_kib: 4, amount_mib: 8, options: OPTIONS }),
    ("blk.randwrite", Job { pattern: "randwrite", block_kib: 4, amount_mib: 8, options: OPTIONS }),
];

/// Seconds of each job.
pub(crate) fn measure(holm: &Holm, runs: u32, only: &Only) -> Result<Vec<Figure>> {
    let wanted: Vec<_> = JOBS.into_iter().filter(|(name, _)| only.wants(name)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let tools = Tools::prepare(holm)?;
    let (ours, theirs) = (Volume::create(holm, "bench-ours")?, Volume::create(holm, "bench-theirs")?);
    let guest = Guest::start(holm, &tools, Extra::Disk(&theirs.image()?))?;
    let container = Container::start(holm, &["-v", &format!("{}:{MOUNT_POINT}", ours.name())], tools::IMAGE)?;
    for shell in [&container as &dyn Shell, &guest] {
        Job::prepare(shell)?;
    }
    let figure = |(name, job): (&str, Job)| {
        let spreads = alternate(runs, || job.seconds(&container), || job.seconds(&guest))?;
        let against = format!("QEMU virtio-blk, {}", job.amount());
        Ok(Figure::new(name, "s", spreads, against, runs))
    };
    wanted.into_iter().map(figure).collect()
}
