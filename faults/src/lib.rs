//! Named points at which a test can have a program of Holm die or fail (threats.md, T26 and T27; docs/decisions/0035-faults.md).
//!
//! ```text
//!   HOLM_FAULTS=<directory>/armed   "<point> <fault> <nth>": what happens where, in every process that finds it
//!                          /passed  "<point> <pid>", one line for each point that a process passes
//! ```
//!
//! The points are in the programs that are shipped: what is tested is what runs. Without the variable a point costs the load of
//! a static. The variable gives nobody anything who could not end the process, or fill its disk, himself.
//!
//! Threads: any. Trust: the environment, as for every other variable.

mod director;
mod plan;
mod table;

use std::io;

pub use director::Director;
pub use plan::Fault;
use plan::Plan;
pub use table::{Kind, POINTS, Point};

/// The directory of the test that decides what happens.
pub const VARIABLE: &str = "HOLM_FAULTS";

/// A point at which nothing but a sudden end can happen.
///
/// ```
/// holm_faults::crash!("container.create.renamed");
/// ```
#[macro_export]
macro_rules! crash {
    ($name:literal) => {{
        const INDEX: usize = $crate::index_of($name, $crate::Kind::Crash);
        $crate::crash_at(INDEX);
    }};
}

/// A point right before something that can fail: gives the error that is to happen instead, as an [`std::io::Result`].
///
/// ```
/// # fn write() -> std::io::Result<()> {
/// holm_faults::fault!("container.create.record")?;
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! fault {
    ($name:literal) => {{
        const INDEX: usize = $crate::index_of($name, $crate::Kind::Error);
        $crate::pass(INDEX)
    }};
}

/// Where a point stands in the table; one that is not there, or is of the other kind, does not compile.
#[must_use]
#[allow(clippy::panic, clippy::indexing_slicing, reason = "it is evaluated by the compiler")]
pub const fn index_of(name: &str, kind: Kind) -> usize {
    let mut index = 0;
    while index < POINTS.len() {
        if is_same(POINTS[index].name, name) {
            assert!(POINTS[index].kind as u8 == kind as u8, "a point of the other kind");
            return index;
        }
        index += 1;
    }
    panic!("no such point in the table")
}

#[allow(clippy::indexing_slicing, reason = "it is evaluated by the compiler")]
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// What [`fault!`] does.
///
/// # Errors
/// The one that is to happen here.
#[inline]
pub fn pass(index: usize) -> io::Result<()> {
    match Plan::of_this_process() {
        None => Ok(()),
        Some(plan) => plan.pass(index),
    }
}

/// What [`crash!`] does.
#[inline]
pub fn crash_at(index: usize) {
    // Nothing else is armed at such a point.
    let _ = pass(index);
}

/// Reads now what is to happen, in a process that cannot open files later.
pub fn prepare() {
    Plan::of_this_process();
}
