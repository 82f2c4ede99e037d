//! `features`: what this runtime can do (runtime-spec, features.md).

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

/// Print what this runtime supports
#[derive(Debug, Args)]
pub(crate) struct Features {}

impl Features {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let features = json!({
            "ociVersionMin": "1.0.0",
            "ociVersionMax": "1.2.0",
            "hooks": ["prestart", "createRuntime", "startContainer", "poststart", "poststop"],
            "mountOptions": [
                "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "iversion", "lazytime",
                "mand", "noatime", "nodev", "nodiratime", "noexec", "noiversion", "nolazytime", "nomand",
                "norelatime", "nostrictatime", "nosuid", "nosymfollow", "private", "rbind", "relatime", "remount",
                "ro", "rprivate", "rshared", "rslave", "runbindable", "rw", "shared", "slave", "strictatime",
                "suid", "symfollow", "sync", "unbindable"
            ],
            "linux": {
                "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "uts"],
                "cgroup": {"v1": false, "v2": true, "systemd": false, "systemdUser": false, "rdma": false},
                "seccomp": {
                    "enabled": true,
                    "actions": [
                        "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                        "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"
                    ],
                    "operators": [
                        "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                        "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"
                    ],
                    "archs": ["SCMP_ARCH_X86_64"]
                },
                "apparmor": {"enabled": false},
                "selinux": {"enabled": false},
                "intelRdt": {"enabled": false}
            },
            "annotations": {"io.holm.runtime.version": env!("CARGO_PKG_VERSION")}
        });
        holm_cli::output::line(&serde_json::to_string_pretty(&features)?);
        Ok(ExitCode::SUCCESS)
    }
}
