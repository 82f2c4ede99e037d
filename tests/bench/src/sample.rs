//! Measuring in turn, and timing whole processes.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Free memory to write to before each run, in bytes: more than a VM of the default size touches.
const CLEANED_BYTES: usize = 1 << 30;
const PAGE_BYTES: usize = 4096;

/// Writes to every page of the memory that the next process gets, and frees it again.
///
/// In an emulated host, memory that held a guest's code is slow to write the first time: the emulator gives up its
/// translations of each page store by store. A VM leaves thousands of such pages to whoever comes next, so without this a
/// run pays for its predecessor: the same start takes 1.9 s after a quiet time and 2.2 to 2.6 s after another VM.
pub(crate) fn clean_memory() {
    let mut memory = vec![0_u8; CLEANED_BYTES];
    for byte in memory.iter_mut().step_by(PAGE_BYTES) {
        *byte = 1;
    }
    std::hint::black_box(&memory);
}

/// Wall-clock seconds of one run of `command`, which must succeed.
fn seconds(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    clean_memory();
    let started = Instant::now();
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let elapsed = started.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(elapsed)
}

/// What many runs of the same gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// The middle value; the mean of the two middle ones of an even number.
    pub(crate) median: f64,
    /// The value that at least 99 of 100 do not exceed: of fewer than a hundred, the greatest.
    pub(crate) p99: f64,
}

/// Both commands over `runs` runs each, in turn, after one of each to warm up.
pub(crate) fn in_turn(
    runs: u32,
    a: impl Fn() -> Command,
    b: impl Fn() -> Command,
) -> Result<(Spread, Spread)> {
    alternate(runs, || seconds(&mut a()), || seconds(&mut b()))
}

/// Two measurements, in the same way.
pub(crate) fn alternate(
    runs: u32,
    mut a: impl FnMut() -> Result<f64>,
    mut b: impl FnMut() -> Result<f64>,
) -> Result<(Spread, Spread)> {
    a()?;
    b()?;
    let (mut values_a, mut values_b) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        values_a.push(a()?);
        values_b.push(b()?);
    }
    Ok((Spread::of(values_a), Spread::of(values_b)))
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match (values.get(middle.wrapping_sub(1)), values.get(middle)) {
            (Some(low), Some(high)) if values.len().is_multiple_of(2) => f64::midpoint(*low, *high),
            (_, Some(value)) => *value,
            _ => f64::NAN,
        };
        let rank = (values.len() * 99).div_ceil(100).saturating_sub(1);
        Self { median, p99: values.get(rank).copied().unwrap_or(f64::NAN) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_p99_near_the_end() {
        for (values, median, p99) in [
            (vec![3.0, 1.0, 2.0], 2.0, 3.0),
            (vec![4.0, 1.0, 2.0, 3.0], 2.5, 4.0),
            ((0..200).map(f64::from).collect(), 99.5, 197.0),
        ] {
            let spread = Spread::of(values);
            assert!(
                (spread.median - median).abs() < f64::EPSILON && (spread.p99 - p99).abs() < f64::EPSILON,
                "{spread:?}"
            );
        }
    }
}
