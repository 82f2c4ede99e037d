//! `startContainer` hooks, checked: programs of the container's own that run before its process does (config.md,
//! "StartContainer Hooks").
//!
//! They read the container's state (runtime.md, "State"). The agent knows neither its id on the host nor its bundle, so the host
//! sends the state in an annotation, without the pid, which only the guest knows.

use std::ffi::CString;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::fault::{At, Fault};
use crate::oci;

/// All of a container, in their order.
#[derive(Debug, Default)]
pub(crate) struct StartHooks {
    pub(crate) hooks: Vec<StartHook>,
    state: Map<String, Value>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct StartHook {
    pub(crate) path: PathBuf,
    /// From its name on.
    pub(crate) args: Vec<CString>,
    pub(crate) env: Vec<CString>,
    /// After which it is killed.
    pub(crate) timeout: Option<Duration>,
}

impl StartHooks {
    /// Checks hooks, and the state that they are to read.
    pub(crate) fn new(hooks: &[oci::Hook], state: Option<&str>) -> Result<Self, Fault> {
        if hooks.is_empty() {
            return Ok(Self::default());
        }
        let state = state.ok_or_else(|| Fault::invalid("the host sent no state for startContainer hooks"))?;
        Ok(Self {
            hooks: hooks.iter().map(StartHook::new).collect::<Result<_, _>>()?,
            state: serde_json::from_str(state).refuse("reading the state for startContainer hooks")?,
        })
    }

    /// What they read, when the container's process has this pid in the container.
    pub(crate) fn state(&self, pid: i32) -> Vec<u8> {
        let mut state = self.state.clone();
        state.insert("pid".to_owned(), pid.into());
        Value::Object(state).to_string().into_bytes()
    }
}

impl StartHook {
    fn new(hook: &oci::Hook) -> Result<Self, Fault> {
        if !hook.path.starts_with('/') {
            return Err(Fault::invalid(format!("the path of hook {:?} is not absolute", hook.path)));
        }
        let what = || format!("hook {}", hook.path);
        let strings = |all: &[String]| {
            all.iter().map(|text| CString::new(text.as_str())).collect::<Result<Vec<_>, _>>().refuse(what())
        };
        let mut args = strings(&hook.args)?;
        if args.is_empty() {
            args = strings(std::slice::from_ref(&hook.path))?;
        }
        Ok(Self {
            path: PathBuf::from(&hook.path),
            args,
            env: strings(&hook.env)?,
            timeout: hook.timeout.map(Duration::from_secs),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(json: &str, state: Option<&str>) -> Result<StartHooks, Fault> {
        StartHooks::new(&serde_json::from_str::<Vec<_>>(json).unwrap(), state)
    }

    #[test]
    fn hooks_are_checked_and_read_a_state_with_the_guests_pid() {
        assert!(hooks("[]", None).unwrap().hooks.is_empty());
        let sound =
            r#"[{"path": "/bin/a"}, {"path": "/bin/b", "args": ["b", "c"], "env": ["A=1"], "timeout": 2}]"#;
        let sound = hooks(sound, Some(r#"{"id": "box", "pid": 0}"#)).unwrap();
        assert_eq!(sound.hooks[0].args, [c"/bin/a".to_owned()]);
        assert_eq!(sound.hooks[1].args, [c"b".to_owned(), c"c".to_owned()]);
        assert_eq!(sound.hooks[1].timeout, Some(Duration::from_secs(2)));
        assert_eq!(sound.state(1), br#"{"id":"box","pid":1}"#);
        for broken in [r#"[{"path": "bin/a"}]"#, r#"[{"path": "/a", "args": ["\u0000"]}]"#] {
            assert!(hooks(broken, Some("{}")).is_err(), "{broken}");
        }
        assert!(hooks(r#"[{"path": "/a"}]"#, None).is_err());
        assert!(hooks(r#"[{"path": "/a"}]"#, Some("[]")).is_err());
    }
}
