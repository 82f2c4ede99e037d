//! How fast a directory of the host's is in a guest, over virtio-fs: Holm's VMM, which serves it itself, beside QEMU with virtiofsd.
//!
//! Both have the caching that they have by themselves: Holm asks the host at each look-up, virtiofsd's guest believes what it was told for
//! a second.

use anyhow::{Context, Result};

use crate::container::Container;
use crate::containers::Holm;
use crate::figure::Figure;
use crate::fio::Job;
use crate::guest::{Extra, Guest};
use crate::only::Only;
use crate::sample::alternate;
use crate::shell::Shell;
use crate::tools::{self, MOUNT_POINT, Tools};

/// Through the guest's page cache, which fio empties of the file first.
const OPTIONS: &str = "--ioengine=psync";
const FILES: u32 = 30;

const JOBS: [(&str, Job); 4] = [
    ("fs.read", Job { pattern: "read", block_kib: 1024, amount_mib: 64, options: OPTIONS }),
    ("fs.write", Job { pattern: "write", block_kib: 1024, amount_mib: 64, options: OPTIONS }),
    ("fs.randread", Job { pattern: "randread", block_kib: 4, amount_mib: 1, options: OPTIONS }),
    ("fs.randwrite", Job { pattern: "randwrite", block_kib: 4, amount_mib: 1, options: OPTIONS }),
];

/// Seconds of each job, and of what is done with small files.
pub(crate) fn measure(holm: &Holm, runs: u32, only: &Only) -> Result<Vec<Figure>> {
    let jobs: Vec<_> = JOBS.into_iter().filter(|(name, _)| only.wants(name)).collect();
    let are_files_wanted = only.wants("fs.files");
    if jobs.is_empty() && !are_files_wanted {
        return Ok(Vec::new());
    }
    let tools = Tools::prepare(holm)?;
    let (ours, theirs) = (holm.scratch("shared-ours")?, holm.scratch("shared-theirs")?);
    let guest = Guest::start(holm, &tools, Extra::Share(&theirs))?;
    let options = ["-v", &format!("{}:{MOUNT_POINT}", ours.display())];
    let container = Container::start(holm, &options, tools::IMAGE)?;
    for shell in [&container as &dyn Shell, &guest] {
        Job::prepare(shell)?;
        shell.sh(&format!("mkdir /tmp/files; for i in $(seq {FILES}); do echo $i >/tmp/files/$i; done"))?;
    }
    let figure = |name: &str, seconds: &dyn Fn(&dyn Shell) -> Result<f64>, what: &str| {
        let spreads = alternate(runs, || seconds(&container), || seconds(&guest))?;
        anyhow::Ok(Figure::new(name, "s", spreads, format!("QEMU and virtiofsd, {what}"), runs))
    };
    let mut figures = Vec::new();
    for (name, job) in jobs {
        figures.push(figure(name, &|shell| job.seconds(shell), &job.amount())?);
    }
    if are_files_wanted {
        figures.push(figure("fs.files", &some_files, &format!("{FILES} files"))?);
    }
    Ok(figures)
}

/// Copies small files to the share, reads and lists them there, and removes them: five processes.
fn some_files(shell: &dyn Shell) -> Result<f64> {
    // A hundredth of a second is what busybox can tell.
    let script = format!(
        "set -e; read begin rest </proc/uptime; cd {MOUNT_POINT}; cp -r /tmp/files files; ls -l files >/dev/null; \
         [ $(cat files/* | wc -l) = {FILES} ]; rm -r files; read end rest </proc/uptime; echo $begin $end"
    );
    let said = shell.sh(&script)?;
    let (begin, end) = said.split_once(' ').with_context(|| format!("no times: {said}"))?;
    Ok(end.parse::<f64>()? - begin.parse::<f64>()?)
}
