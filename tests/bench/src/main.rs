//! `make bench`: Holm's figures beside what it is compared with, measured in one run on one machine.
//!
//! Every timed figure is of whole processes, Holm and baseline in turn (A B A B ...), so that a machine whose
//! speed drifts does not favour one. A ratio below 1.0 means that Holm takes less. Timings never decide a test.

#![allow(clippy::print_stderr, reason = "a program that reports to a terminal")]

mod bare_vm;
mod block;
mod chart;
mod container;
mod containers;
mod density;
mod document;
mod exec;
mod figure;
mod fio;
mod guest;
mod installation;
mod logs;
mod machine;
mod mappings;
mod memory;
mod neighbour;
mod network;
mod only;
mod podman;
mod process;
mod pull;
mod qemu;
mod restore;
mod sample;
mod share;
mod shell;
mod start;
mod tools;
mod volume;
mod wire;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use figure::Report;
use only::Only;

/// Measure Holm against QEMU microvm, crun, runc and podman
#[derive(Debug, Parser)]
struct Options {
    /// Counted runs of each command (one more before them warms up)
    #[arg(short = 'n', long, default_value_t = 11)]
    runs: u32,
    /// Where the report goes
    #[arg(long, default_value = "bench.json")]
    output: PathBuf,
    /// Archive of the busybox image
    #[arg(long, default_value = "/var/lib/holm-tests/images/busybox.tar")]
    image: PathBuf,
    /// Only figures whose name begins so; density.count, which takes minutes, only then
    #[arg(long, default_value = "")]
    only: String,
    /// Measure nothing: put the last report into this document, with charts beside it
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// Be what `restore` is held against
    #[arg(long, hide = true)]
    bare_vm: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.bare_vm {
        bare_vm::run()?;
        eprintln!("{}", restore::DONE);
        return Ok(());
    }
    if let Some(document) = &options.document {
        let json = fs::read(&options.output).with_context(|| options.output.display().to_string())?;
        return document::update(&serde_json::from_slice(&json)?, document);
    }
    let holm = containers::Holm::prepare(&options.image)?;
    let mut report = Report::new(machine::describe());
    let only = Only::new(&options.only);
    for (name, measure) in FIGURES {
        if only.wants(name) {
            report.add(measure(&holm, options.runs).with_context(|| format!("figure {name}"))?);
        }
    }
    for (name, measure) in GROUPS {
        for figure in measure(&holm, options.runs, &only).with_context(|| format!("figures {name}"))? {
            report.add(figure);
        }
    }
    println!("{}", report.table());
    let json = serde_json::to_string_pretty(&report)?;
    fs::write(&options.output, json + "\n").with_context(|| options.output.display().to_string())
}

type Measure = fn(&containers::Holm, u32) -> Result<figure::Figure>;

const FIGURES: &[(&str, Measure)] = &[
    ("start.cold", start::cold),
    ("start.template", start::template_against_runc),
    ("start.template.crun", start::template_against_crun),
    ("start.template.qemu", start::template_against_qemu),
    ("start.podman", start::podman),
    ("restore", restore::restore),
    ("exec", exec::exec),
    ("pull", pull::pull),
    ("logs.64_mib", logs::logs),
    ("vmm.rss_mib", memory::vmm_rss),
    ("guest.free_mib", memory::guest_free),
    ("memory.returned", memory::returned),
    ("neighbour.p99", neighbour::p99),
];

/// Those of one set-up: as many as are wanted.
type MeasureSome = fn(&containers::Holm, u32, &Only) -> Result<Vec<figure::Figure>>;

const GROUPS: &[(&str, MeasureSome)] = &[
    ("density", density::measure),
    ("net", network::measure),
    ("blk", block::measure),
    ("fs", share::measure),
];
