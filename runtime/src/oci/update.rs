//! `update`: other limits for a container that runs. Its VM keeps the size that it was made with.

use oci_spec::runtime::LinuxResources;

use super::error::OciError;
use crate::sandbox::VmShape;

/// Refuses limits above what a VM of this size can give: they would be believed and not hold.
pub(super) fn check_room(change: &LinuxResources, has: VmShape) -> Result<(), OciError> {
    let needs = VmShape::for_resources(Some(change));
    let is_set = |limit: Option<i64>| limit.is_some_and(|limit| limit > 0);
    let refuse = |what: String| {
        let advice = "stop it first, then it gets a VM of that size at its next start";
        Err(OciError::Impossible(format!("{what}: {advice}")))
    };
    if is_set(change.memory().as_ref().and_then(|memory| memory.limit())) && needs.memory_mib > has.memory_mib
    {
        return refuse(format!(
            "a memory limit for a VM of {} MiB in one of {} MiB",
            needs.memory_mib, has.memory_mib
        ));
    }
    if is_set(change.cpu().as_ref().and_then(|cpu| cpu.quota())) && needs.vcpus > has.vcpus {
        return refuse(format!("the time of {} processors in a VM with {}", needs.vcpus, has.vcpus));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_above_the_vms_size_are_refused() {
        let check = |json: &str| {
            let has = VmShape { vcpus: 1, memory_mib: 512 };
            check_room(&serde_json::from_str(json).unwrap(), has).map_err(|error| error.to_string())
        };
        for sound in [
            "{}",
            r#"{"memory": {"limit": 104857600}, "cpu": {"quota": 70000, "period": 100000}}"#,
            r#"{"memory": {"limit": -1}, "cpu": {"quota": -1}}"#,
            r#"{"pids": {"limit": 7}}"#,
        ] {
            assert_eq!(check(sound), Ok(()), "{sound}");
        }
        let refused = check(r#"{"memory": {"limit": 1073741824}}"#).unwrap_err();
        assert!(refused.contains("a VM of 1280 MiB in one of 512 MiB"), "{refused}");
        let refused = check(r#"{"cpu": {"quota": 150000}}"#).unwrap_err();
        assert!(refused.contains("the time of 2 processors in a VM with 1: stop it first"), "{refused}");
    }
}
