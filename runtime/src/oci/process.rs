//! What engines ask for a process and no kernel gives it.

use oci_spec::runtime::{Capabilities, Capability, Process, Spec};
use serde_json::Value;

/// Takes away the ambient capabilities that are not both permitted and inheritable. The kernel refuses them; runc and crun go on
/// without, so buildah asks for some.
pub(super) fn without_impossible_ambient(mut process: Process) -> Process {
    let Some(mut sets) = process.capabilities().clone() else { return process };
    let none = Capabilities::default();
    let (permitted, inheritable) =
        (sets.permitted().as_ref().unwrap_or(&none), sets.inheritable().as_ref().unwrap_or(&none));
    let possible: Capabilities = permitted.intersection(inheritable).copied().collect();
    let ambient = sets.ambient().as_ref().map(|asked| asked.intersection(&possible).copied().collect());
    sets.set_ambient(ambient);
    process.set_capabilities(Some(sets));
    process
}

/// Reads a config.json whose process asks for capabilities of which nothing is known here: they are left out with a warning, as the
/// specification has it (config.md, "Linux Process"). An engine may know newer ones. `None` where that is not all that is wrong.
pub(super) fn without_unknown_capabilities(json: &[u8]) -> Option<Spec> {
    let mut spec: Value = serde_json::from_slice(json).ok()?;
    let sets = spec.get_mut("process")?.get_mut("capabilities")?.as_object_mut()?;
    for set in sets.values_mut().filter_map(Value::as_array_mut) {
        set.retain(|name| {
            let is_known = serde_json::from_value::<Capability>(name.clone()).is_ok();
            if !is_known {
                tracing::warn!("capability {name} is not known and left out");
            }
            is_known || !name.is_string()
        });
    }
    serde_json::from_value(spec).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_buildah_asks_for_becomes_possible() {
        let ambient = |capabilities: serde_json::Value| {
            let process =
                serde_json::json!({"cwd": "/", "user": {"uid": 0, "gid": 0}, "capabilities": capabilities});
            let process = without_impossible_ambient(serde_json::from_value(process).unwrap());
            serde_json::to_value(process.capabilities()).unwrap()["ambient"].clone()
        };
        let asked = serde_json::json!({"permitted": ["CAP_CHOWN", "CAP_KILL"], "inheritable": ["CAP_KILL"],
                                       "ambient": ["CAP_CHOWN", "CAP_KILL"]});
        assert_eq!(ambient(asked), serde_json::json!(["CAP_KILL"]));
        let asked = serde_json::json!({"permitted": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"]});
        assert_eq!(ambient(asked), serde_json::json!([]));
        assert_eq!(ambient(serde_json::json!({"permitted": ["CAP_CHOWN"]})), serde_json::Value::Null);
    }
}
