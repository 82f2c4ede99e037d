//! `linux.resources` in cgroup v1's terms to cgroup v2's files and values (kernel admin-guide/cgroup-v2.rst).

use crate::fault::Fault;
use crate::oci::{BlockIo, Cpu, Memory, Resources, ThrottleDevice};

/// A file of the container's cgroup and what is written to it, in order.
pub(crate) type Setting = (String, String);

/// Everything but devices.
pub(crate) fn settings(resources: &Resources) -> Result<Vec<Setting>, Fault> {
    let mut settings = Vec::new();
    memory(&resources.memory, &mut settings)?;
    cpu(&resources.cpu, &mut settings)?;
    if let Some(pids) = resources.pids {
        settings.push(("pids.max".into(), limit(pids.limit.max(-1), pids.limit <= 0)));
    }
    block_io(&resources.block_io, &mut settings);
    for huge in &resources.hugepage_limits {
        let name = format!("hugetlb.{}.max", huge.page_size);
        settings.push((checked_name(name)?, huge.limit.to_string()));
    }
    for (name, value) in &resources.unified {
        settings.push((checked_name(name.clone())?, value.clone()));
    }
    Ok(settings)
}

fn memory(memory: &Memory, settings: &mut Vec<Setting>) -> Result<(), Fault> {
    let set = |value: Option<i64>| value.filter(|bytes| *bytes != 0);
    if let Some(bytes) = set(memory.limit) {
        settings.push(("memory.max".into(), limit(bytes, bytes < 0)));
    }
    // v1 counts memory and swap together, v2 swap alone.
    match (set(memory.limit), set(memory.swap)) {
        (_, None) => {}
        (_, Some(-1)) => settings.push(("memory.swap.max".into(), "max".into())),
        (Some(bytes), Some(both)) if bytes > 0 => {
            let swap = both.checked_sub(bytes).filter(|swap| *swap >= 0).ok_or_else(|| {
                Fault::invalid(format!(
                    "memory and swap limit of {both} is below the memory limit of {bytes}"
                ))
            })?;
            settings.push(("memory.swap.max".into(), swap.to_string()));
        }
        (_, Some(_)) => return Err(Fault::invalid("a swap limit needs a memory limit")),
    }
    if let Some(bytes) = set(memory.reservation) {
        settings.push(("memory.low".into(), limit(bytes, bytes < 0)));
    }
    Ok(())
}

fn cpu(cpu: &Cpu, settings: &mut Vec<Setting>) -> Result<(), Fault> {
    const DEFAULT_PERIOD_US: u64 = 100_000;
    if let Some(idle) = cpu.idle {
        settings.push(("cpu.idle".into(), idle.to_string()));
    }
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        settings.push(("cpu.weight".into(), weight_of_shares(shares).to_string()));
    }
    if cpu.quota.is_some() || cpu.period.is_some() {
        let quota = cpu.quota.filter(|quota| *quota > 0).map_or("max".into(), |quota| quota.to_string());
        let period = cpu.period.filter(|period| *period != 0).unwrap_or(DEFAULT_PERIOD_US);
        settings.push(("cpu.max".into(), format!("{quota} {period}")));
    }
    if let Some(burst) = cpu.burst {
        settings.push(("cpu.max.burst".into(), burst.to_string()));
    }
    for (file, list) in [("cpuset.cpus", &cpu.cpus), ("cpuset.mems", &cpu.mems)] {
        if !list.bytes().all(|b| b.is_ascii_digit() || matches!(b, b',' | b'-')) {
            return Err(Fault::invalid(format!("{file}: {list:?} is not a list of ranges")));
        }
        if !list.is_empty() {
            settings.push((file.into(), list.clone()));
        }
    }
    Ok(())
}

/// v1 shares (2 to 262,144, default 1,024) to a v2 weight (1 to 10,000, default 100), default to default: the curve
/// through the three fixed points that runc 1.4 and crun 1.23 use.
fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = f64::from(u32::try_from(shares).unwrap_or(u32::MAX)).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            // Between 1 and 10,000 by the bounds above.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let weight = 10_f64.powf(exponent).ceil() as u64;
            weight
        }
    }
}

fn block_io(block_io: &BlockIo, settings: &mut Vec<Setting>) {
    if let Some(weight) = block_io.weight.filter(|weight| *weight != 0) {
        // 10 to 1,000 to 1 to 10,000, as runc.
        let weight = 1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990;
        settings.push(("io.weight".into(), format!("default {weight}")));
    }
    let mut throttle = |key: &str, devices: &[ThrottleDevice]| {
        for device in devices {
            let rate = if device.rate == 0 { "max".into() } else { device.rate.to_string() };
            settings.push(("io.max".into(), format!("{}:{} {key}={rate}", device.major, device.minor)));
        }
    };
    throttle("rbps", &block_io.throttle_read_bps_device);
    throttle("wbps", &block_io.throttle_write_bps_device);
    throttle("riops", &block_io.throttle_read_iops_device);
    throttle("wiops", &block_io.throttle_write_iops_device);
}

fn limit(value: i64, unlimited: bool) -> String {
    if unlimited { "max".into() } else { value.to_string() }
}

/// A controller's file: no path, and none of the cgroup.* files, which are the agent's own.
fn checked_name(name: String) -> Result<String, Fault> {
    let well_formed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match name.split_once('.') {
        Some((controller, _))
            if !controller.is_empty() && controller != "cgroup" && name.bytes().all(well_formed) =>
        {
            Ok(name)
        }
        _ => Err(Fault::invalid(format!("{name:?} is not a file of a cgroup controller"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(json: &str) -> Result<Vec<(String, String)>, Fault> {
        settings(&serde_json::from_str(json).unwrap())
    }

    fn setting(json: &str, file: &str) -> Option<String> {
        convert(json).unwrap().into_iter().find(|(name, _)| name == file).map(|(_, value)| value)
    }

    #[test]
    fn memory_and_swap() {
        let limited = r#"{"memory": {"limit": 1000, "swap": 1500, "reservation": 500}}"#;
        assert_eq!(setting(limited, "memory.max").unwrap(), "1000");
        assert_eq!(setting(limited, "memory.swap.max").unwrap(), "500");
        assert_eq!(setting(limited, "memory.low").unwrap(), "500");
        assert_eq!(setting(r#"{"memory": {"limit": -1, "swap": -1}}"#, "memory.max").unwrap(), "max");
        assert_eq!(setting(r#"{"memory": {"limit": 5, "swap": -1}}"#, "memory.swap.max").unwrap(), "max");
        assert_eq!(setting(r#"{"memory": {"limit": 5, "swap": 5}}"#, "memory.swap.max").unwrap(), "0");
        assert!(convert(r#"{"memory": {"limit": 5, "swap": 4}}"#).is_err());
        assert!(convert(r#"{"memory": {"swap": 4}}"#).is_err());
        assert_eq!(convert(r#"{"memory": {"limit": 0}}"#).unwrap(), []);
    }

    #[test]
    fn cpu_time() {
        assert_eq!(
            setting(r#"{"cpu": {"quota": 150000, "period": 100000}}"#, "cpu.max").unwrap(),
            "150000 100000"
        );
        assert_eq!(setting(r#"{"cpu": {"quota": 50000}}"#, "cpu.max").unwrap(), "50000 100000");
        assert_eq!(setting(r#"{"cpu": {"quota": -1}}"#, "cpu.max").unwrap(), "max 100000");
        assert_eq!(setting(r#"{"cpu": {"cpus": "0-1,3"}}"#, "cpuset.cpus").unwrap(), "0-1,3");
        assert!(convert(r#"{"cpu": {"cpus": "0\n1"}}"#).is_err());
    }

    #[test]
    fn shares_keep_their_fixed_points_and_order() {
        assert_eq!([2, 1024, 262_144].map(weight_of_shares), [1, 100, 10_000]);
        assert_eq!(weight_of_shares(u64::MAX), 10_000);
        let weights: Vec<u64> = (0..19).map(|log| weight_of_shares(1 << log)).collect();
        assert!(weights.is_sorted(), "{weights:?}");
    }

    #[test]
    fn tasks_and_io() {
        assert_eq!(setting(r#"{"pids": {"limit": 64}}"#, "pids.max").unwrap(), "64");
        assert_eq!(setting(r#"{"pids": {"limit": -1}}"#, "pids.max").unwrap(), "max");
        assert_eq!(setting(r#"{"blockIO": {"weight": 1000}}"#, "io.weight").unwrap(), "default 10000");
        let throttled = r#"{"blockIO": {"throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 10}]}}"#;
        assert_eq!(setting(throttled, "io.max").unwrap(), "8:0 riops=10");
    }

    #[test]
    fn unified_names_stay_in_the_cgroup() {
        assert_eq!(setting(r#"{"unified": {"memory.high": "7"}}"#, "memory.high").unwrap(), "7");
        for name in ["../memory.max", "cgroup.procs", "memory", ".max", "a/b.c"] {
            assert!(convert(&format!(r#"{{"unified": {{"{name}": "1"}}}}"#)).is_err(), "{name}");
        }
    }
}
