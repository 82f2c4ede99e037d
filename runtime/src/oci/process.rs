//! What engines ask for a process and no kernel gives it.

use oci_spec::runtime::{Capabilities, Process};

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
