//! What one more container of an image costs the host, and how many there can be.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::container::Container;
use crate::containers::Holm;
use crate::figure::Figure;
use crate::mappings::{self, Mapping};
use crate::only::Only;
use crate::sample::Spread;
use crate::shell::Shell;
use crate::start::make_template;

const ALL: &str = "density.pss_mib";
const VMM: &str = "density.vmm_mib";
const COUNT: &str = "density.count";
/// Beside so many, one more is looked at.
const OTHERS: usize = 9;
/// Goals for one more container: all of it, and the VMM without the guest's memory.
const GOAL_MIB: f64 = 12.0;
const VMM_GOAL_MIB: f64 = 3.0;
/// So many containers in so much memory.
const GOAL_COUNT: u32 = 100;
const MEMORY_MIB: f64 = 6.0 * 1024.0;
/// Until what a container does after its start is over: its last devices come after a second.
const SETTLED: Duration = Duration::from_secs(3);
/// More take long and say little.
const MAX_RUNS: u32 = 3;

/// How much more proportional memory all processes of ten containers have than those of nine, and what of that is the tenth's VMM
/// without the guest's memory. How many containers fit is a matter of minutes.
pub(crate) fn measure(holm: &Holm, runs: u32, only: &Only) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let wanted = [(ALL, GOAL_MIB), (VMM, VMM_GOAL_MIB)].map(|(name, goal)| (name, goal, only.wants(name)));
    if wanted.iter().any(|(.., is_wanted)| *is_wanted) {
        let runs = runs.min(MAX_RUNS);
        for ((name, goal, is_wanted), spread) in wanted.into_iter().zip(tenth(holm, runs)?) {
            if is_wanted {
                figures.push(Figure::of_goal(
                    name,
                    "MiB",
                    spread,
                    goal,
                    "goal, at most, for the tenth",
                    runs,
                ));
            }
        }
    }
    if only.asks_for(COUNT) {
        figures.push(count(holm)?);
    }
    Ok(figures)
}

/// Starts nine containers and several times a tenth.
fn tenth(holm: &Holm, runs: u32) -> Result<[Spread; 2]> {
    // The first makes the template and the second verifies it: neither is like those that come.
    make_template(holm)?;
    let start = || Container::start(holm, &[], "busybox");
    let others = (0..OTHERS).map(|_| start()).collect::<Result<Vec<_>>>()?;
    sleep(SETTLED);
    let before = pss_mib(&others)?;
    let (mut all, mut vmm) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let tenth = start()?;
        sleep(SETTLED);
        all.push(pss_mib(others.iter().chain([&tenth]))? - before);
        let mappings = mappings::of(tenth.vmm_pid()?)?;
        let own = mappings.iter().filter(|mapping| !mapping.is_guest);
        vmm.push(mappings::mib(own.map(|mapping| mapping.pss_kib)));
    }
    Ok([Spread::of(all), Spread::of(vmm)])
}

fn pss_mib<'a>(containers: impl IntoIterator<Item = &'a Container<'a>>) -> Result<f64> {
    let mut sum_mib = 0.0;
    for container in containers {
        for pid in container.processes()? {
            sum_mib += mappings::mib(mappings::of(pid)?.iter().map(|mapping: &Mapping| mapping.pss_kib));
        }
    }
    Ok(sum_mib)
}

/// How many containers run at once in 6 GiB of the host's memory, up to a hundred, each of which executes a command when the last
/// has come.
fn count(holm: &Holm) -> Result<Figure> {
    let before = available_mib()?;
    if before < MEMORY_MIB {
        bail!("{before:.0} MiB are available, {MEMORY_MIB:.0} are needed");
    }
    let mut containers = Vec::new();
    let mut count = 0;
    while count < GOAL_COUNT {
        let container = Container::start(holm, &[], "busybox").with_context(|| {
            format!("container {}, {:.0} MiB available", count + 1, available_mib().unwrap_or(0.0))
        })?;
        containers.push(container);
        if before - available_mib()? > MEMORY_MIB {
            break;
        }
        count += 1;
    }
    for container in &containers {
        if container.sh("echo here")? != "here" {
            bail!("a container does not answer");
        }
    }
    eprintln!("{count} containers took {:.0} MiB", before - available_mib()?);
    let value = Spread::of(vec![f64::from(count)]);
    Ok(Figure::of_goal(COUNT, "", value, f64::from(GOAL_COUNT), "goal, at least, in 6 GiB", 1))
}

fn available_mib() -> Result<f64> {
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:")).context("MemAvailable")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
