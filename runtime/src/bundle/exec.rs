//! The OCI process of `holm exec`: the workload's own, with what the user asked for instead (config.md, process).

use std::path::PathBuf;

use oci_spec::runtime::Process;
use serde::{Deserialize, Serialize};

use super::environment;
use super::spec::{BundleError, user_capabilities, user_to_resolve};
use crate::container::settings::{EnvVar, Settings};

/// One more process in a running container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default)]
pub struct ExecRequest {
    /// Its id, unique in the container: 1 to 64 characters of `[a-zA-Z0-9_.-]`.
    pub id: String,
    /// Program and arguments.
    pub arguments: Vec<String>,
    /// `-e` and `--env-file`.
    pub env: Vec<EnvVar>,
    /// `-u`; the workload's when absent.
    pub user: Option<String>,
    /// `-w`; the workload's when absent.
    pub working_dir: Option<String>,
    /// `-t`.
    pub tty: bool,
    /// `-i`: standard input is connected.
    pub stdin: bool,
    /// Not `-d`: the outputs are connected.
    pub outputs: bool,
    /// `--privileged`: inside the guest only.
    pub privileged: bool,
}

/// The process beside `workload`, in the container made with `settings`.
///
/// # Errors
/// When there is nothing to run or a setting contradicts the spec.
pub fn exec_process(
    workload: &Process,
    settings: &Settings,
    request: &ExecRequest,
) -> Result<Process, BundleError> {
    if request.arguments.is_empty() {
        return Err(super::CommandError::Empty.into());
    }
    let mut process = workload.clone();
    process.set_terminal(Some(request.tty)).set_args(Some(request.arguments.clone())).set_env(Some(
        environment::extended(workload.env().clone().unwrap_or_default(), &request.env, request.tty),
    ));
    if let Some(dir) = &request.working_dir {
        if !dir.starts_with('/') {
            return Err(BundleError::WorkingDir(dir.clone()));
        }
        process.set_cwd(PathBuf::from(dir));
    }
    if let Some(user) = &request.user {
        process.set_user(user_to_resolve(user, &settings.group_add));
    }
    if request.user.is_some() || request.privileged {
        let user = process.user().username().clone().unwrap_or_default();
        let user = user.lines().next().unwrap_or_default();
        let settings = Settings { privileged: settings.privileged || request.privileged, ..settings.clone() };
        process.set_capabilities(Some(user_capabilities(&settings, user)));
    }
    Ok(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(request: &ExecRequest) -> Result<Process, BundleError> {
        let image = serde_json::from_value(serde_json::json!({
            "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
            "config": {"Env": ["A=1", "B=2"], "User": "app", "WorkingDir": "/srv", "Cmd": ["server"]}
        }))
        .unwrap();
        let settings = Settings::default();
        let bundle = super::super::build(&image, &settings, "box").unwrap();
        exec_process(bundle.spec.process().as_ref().unwrap(), &settings, request)
    }

    #[test]
    fn what_is_not_asked_for_is_the_workloads() {
        let made = process(&ExecRequest { arguments: vec!["ls".into()], ..ExecRequest::default() }).unwrap();
        assert_eq!(made.args().as_ref().unwrap(), &["ls"]);
        assert_eq!(made.cwd(), &PathBuf::from("/srv"));
        assert_eq!(made.user().username().as_deref(), Some("app"));
        assert!(made.env().as_ref().unwrap().contains(&"B=2".to_owned()));
        let bounding =
            |p: &Process| p.capabilities().clone().unwrap().effective().clone().unwrap_or_default();
        assert!(bounding(&made).is_empty(), "app is not root");
    }

    #[test]
    fn what_is_asked_for_wins() {
        let request = ExecRequest {
            arguments: vec!["sh".into()],
            env: vec!["B=3".parse().unwrap()],
            user: Some("0".into()),
            working_dir: Some("/".into()),
            tty: true,
            ..ExecRequest::default()
        };
        let made = process(&request).unwrap();
        let env = made.env().clone().unwrap();
        assert!(env.contains(&"B=3".to_owned()) && env.contains(&"TERM=xterm".to_owned()), "{env:?}");
        assert_eq!((made.terminal(), made.cwd()), (Some(true), &PathBuf::from("/")));
        let effective = made.capabilities().clone().unwrap().effective().clone().unwrap_or_default();
        assert!(!effective.is_empty() && effective.len() < 20, "Docker's default set");
        let privileged = process(&ExecRequest { privileged: true, ..request }).unwrap();
        assert!(
            privileged.capabilities().clone().unwrap().effective().clone().unwrap_or_default().len() > 30
        );
    }

    #[test]
    fn nothing_to_run_and_relative_directories_are_refused() {
        assert!(process(&ExecRequest::default()).is_err());
        let relative = ExecRequest {
            arguments: vec!["ls".into()],
            working_dir: Some("srv".into()),
            ..ExecRequest::default()
        };
        assert_eq!(process(&relative), Err(BundleError::WorkingDir("srv".into())));
    }
}
