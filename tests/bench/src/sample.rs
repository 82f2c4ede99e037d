//! Timing whole processes in turn.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Wall-clock seconds of one run of `command`, which must succeed.
fn seconds(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let started = Instant::now();
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let elapsed = started.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(elapsed)
}

/// Medians of both commands over `runs` runs each, in turn, after one of each to warm up.
pub(crate) fn in_turn(runs: u32, a: impl Fn() -> Command, b: impl Fn() -> Command) -> Result<(f64, f64)> {
    seconds(&mut a())?;
    seconds(&mut b())?;
    let (mut times_a, mut times_b) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        times_a.push(seconds(&mut a())?);
        times_b.push(seconds(&mut b())?);
    }
    Ok((median(times_a), median(times_b)))
}

/// The middle value; the mean of the two middle ones of an even number.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle.wrapping_sub(1)), values.get(middle)) {
        (Some(low), Some(high)) if values.len().is_multiple_of(2) => f64::midpoint(*low, *high),
        (_, Some(value)) => *value,
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
    }
}
