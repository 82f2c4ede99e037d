//! The flags by which Docker's containers have namespaces and devices of the host, or of each other: what a container that has a kernel
//! of its own has anyway is taken, and the rest refused with the reason.

use clap::Args;

/// Whose namespaces and devices a container has.
#[derive(Debug, Args)]
pub(crate) struct IsolationOptions {
    /// Cgroup namespace to use (private)
    #[arg(long, value_name = "MODE", value_parser = |mode: &str| own("cgroup namespace", &["private"], mode))]
    cgroupns: Option<String>,
    /// GPU devices (none: a VM has no devices of the host)
    #[arg(long, value_name = "DEVICES", value_parser = gpus)]
    gpus: Option<String>,
    /// IPC mode to use (private)
    #[arg(long, value_name = "MODE", value_parser = |mode: &str| own("IPC", &["private"], mode))]
    ipc: Option<String>,
    /// PID namespace to use (private)
    #[arg(long, value_name = "MODE", value_parser = |mode: &str| own("PID", &["private"], mode))]
    pid: Option<String>,
    /// User namespace to use (host, which is the guest's: it has no other)
    #[arg(long, value_name = "MODE", value_parser = |mode: &str| own("user namespace", &["host"], mode))]
    userns: Option<String>,
    /// UTS namespace to use (private)
    #[arg(long, value_name = "MODE", value_parser = |mode: &str| own("UTS", &["private"], mode))]
    uts: Option<String>,
}

/// What is the container's own.
fn own(what: &str, taken: &[&str], mode: &str) -> Result<String, String> {
    if mode.is_empty() || taken.contains(&mode) {
        return Ok(mode.to_owned());
    }
    Err(if mode.starts_with("container:") {
        format!(
            "{what} mode {mode} is not supported: that container has a kernel of its own, whose namespaces nobody else can join"
        )
    } else if mode == "host" {
        format!(
            "{what} mode host is not supported: a container has a kernel of its own, and nothing of the host's is in it"
        )
    } else {
        format!("invalid {what} mode {mode:?}: want {}", taken.join(" or "))
    })
}

fn gpus(_: &str) -> Result<String, String> {
    Err("GPUs are not supported: a container has a kernel of its own, which has none of the host's devices"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_its_own_is_taken_and_the_rest_refused_with_the_reason() {
        assert!(own("IPC", &["private"], "private").is_ok() && own("PID", &["private"], "").is_ok());
        assert!(own("PID", &["private"], "host").unwrap_err().contains("a kernel of its own"));
        assert!(own("PID", &["private"], "container:web").unwrap_err().contains("nobody else can join"));
        assert_eq!(own("UTS", &["private"], "x").unwrap_err(), "invalid UTS mode \"x\": want private");
    }
}
