//! Programs of the host that run at points of a container's life (config.md, "POSIX-platform Hooks"), with its state as their
//! standard input. Those that run in the container are the agent's to run.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use holm_protocol::agent::STATE_ANNOTATION;
use oci_spec::runtime::{Hook, Hooks, Spec};

use super::error::OciError;
use super::record::OciState;

/// Between two looks at a hook that has a time limit.
const PAUSE: Duration = Duration::from_millis(10);
/// How much of what a hook says is told.
const MAX_WORDS_BYTES: u64 = 4096;

/// Refuses hooks that are not as the specification has them.
pub(super) fn check(hooks: &Hooks) -> Result<(), OciError> {
    #[allow(deprecated)] // engines use it
    let kinds = [
        hooks.prestart(),
        hooks.create_runtime(),
        hooks.create_container(),
        hooks.start_container(),
        hooks.poststart(),
        hooks.poststop(),
    ];
    for hook in kinds.into_iter().flatten().flatten() {
        let path = hook.path().display();
        if !hook.path().is_absolute() {
            return Err(OciError::Bundle(format!("the path of hook {path} is not absolute")));
        }
        if hook.timeout().is_some_and(|seconds| seconds <= 0) {
            return Err(OciError::Bundle(format!("the timeout of hook {path} is not greater than zero")));
        }
    }
    Ok(())
}

/// What the guest is told of them: those that run in the container, before its program does.
pub(super) fn of_guest(start_container: &[Hook]) -> Option<Hooks> {
    let mut hooks = Hooks::default();
    hooks.set_start_container(Some(start_container.to_vec()));
    (!start_container.is_empty()).then_some(hooks)
}

/// Tells the guest the state that its hooks read.
pub(super) fn tell_state(spec: &mut Spec, state: &OciState) -> Result<(), OciError> {
    if spec.hooks().is_none() {
        return Ok(());
    }
    let state = serde_json::to_string(state)
        .map_err(|error| OciError::system("cannot write the state for hooks")(error))?;
    let mut annotations = spec.annotations().clone().unwrap_or_default();
    annotations.insert(STATE_ANNOTATION.to_owned(), state);
    spec.set_annotations(Some(annotations));
    Ok(())
}

/// Runs hooks, one after the other.
///
/// # Errors
/// The first that fails; those after it did not run.
pub(super) fn run(kind: &'static str, hooks: &[Hook], state: &OciState) -> Result<(), OciError> {
    for hook in hooks {
        run_one(hook, state).map_err(|reason| OciError::Hook { kind, path: hook.path().clone(), reason })?;
    }
    Ok(())
}

/// Runs all hooks, whatever becomes of them: nothing that happens now can be undone.
pub(super) fn run_all(kind: &'static str, hooks: &[Hook], state: &OciState) {
    for hook in hooks {
        if let Err(error) = run(kind, std::slice::from_ref(hook), state) {
            tracing::warn!(error = error.message(), "a hook failed");
        }
    }
}

fn run_one(hook: &Hook, state: &OciState) -> Result<(), String> {
    let state = serde_json::to_vec(state).map_err(|error| error.to_string())?;
    let mut command = Command::new(hook.path());
    let mut arguments = hook.args().iter().flatten();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env_clear();
    command.envs(hook.env().iter().flatten().filter_map(|variable| variable.split_once('=')));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let stdin = child.stdin.take();
    thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&state)));
    let stderr = child.stderr.take();
    let words = thread::spawn(move || {
        let mut words = Vec::new();
        // What it has said until then will do.
        let _ = stderr.map(|stderr| stderr.take(MAX_WORDS_BYTES).read_to_end(&mut words));
        String::from_utf8_lossy(&words).trim().to_owned()
    });
    let limit = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    if wait(&mut child, limit)? {
        return Ok(());
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    Err(format!("{status}: {}", words.join().unwrap_or_default()))
}

/// Whether it succeeded. One that takes too long is killed.
fn wait(child: &mut Child, limit: Option<Duration>) -> Result<bool, String> {
    let told = |error: std::io::Error| error.to_string();
    let Some(limit) = limit else { return child.wait().map(|status| status.success()).map_err(told) };
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(told)? {
            return Ok(status.success());
        }
        if begun.elapsed() > limit {
            child.kill().map_err(told)?;
            child.wait().map_err(told)?;
            return Err(format!("it took longer than {} s", limit.as_secs()));
        }
        sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use time::OffsetDateTime;

    use super::*;
    use crate::oci::Status;

    fn hook(script: &str, timeout: Option<i64>) -> Hook {
        let mut hook = serde_json::json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["A=b c"]});
        if let Some(timeout) = timeout {
            hook["timeout"] = timeout.into();
        }
        serde_json::from_value(hook).unwrap()
    }

    #[test]
    fn hooks_read_the_state_and_their_failures_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let seen = dir.path().join("seen");
        let state = OciState {
            oci_version: "1.0.2".to_owned(),
            id: "box".to_owned(),
            pid: 7,
            status: Status::Creating,
            bundle: "/b".into(),
            rootfs: "/b/r".into(),
            created: OffsetDateTime::UNIX_EPOCH,
            annotations: BTreeMap::new(),
            owner: String::new(),
        };
        let sound = hook(&format!("cat > {0}; echo \"$A\" >> {0}", seen.display()), Some(10));
        run("prestart", &[sound], &state).unwrap();
        let seen = std::fs::read_to_string(seen).unwrap();
        assert!(seen.contains(r#""pid":7,"status":"creating""#) && seen.ends_with("b c\n"), "{seen}");
        let failed = run("prestart", &[hook("echo no >&2; exit 3", None)], &state).unwrap_err().to_string();
        assert_eq!(failed, "error running prestart hook /bin/sh: exit status: 3: no");
        let slow = run("prestart", &[hook("exec cat /dev/zero >/dev/null", Some(0))], &state);
        assert!(slow.unwrap_err().to_string().contains("longer than 0 s"));
    }
}
