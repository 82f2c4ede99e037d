//! Whose VM a container is in: its own, or that of a container with which it shares its network. Kubernetes' pods are known by the
//! annotations of containerd's CRI, others (podman's pods, `--network container:NAME`) by the network namespace: it is that of a container that runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use serde::{Deserialize, Serialize};

use super::bundle::{Bundle, read_spec};
use super::error::OciError;
use super::id::OciId;
use super::namespaces::NetworkNamespace;
use super::store::{OciContainer, Store};

/// What a container of a pod is: `sandbox`, or `container` for all others.
const TYPE: &str = "io.kubernetes.cri.container-type";
/// Which container is its sandbox.
const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";

/// What a container has to do with others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    /// It has a VM of its own, made for it. Others may come.
    #[default]
    Alone,
    /// It has the VM of a pod, made for all that will come.
    Sandbox,
    /// It is in the VM of this container.
    Member(SandboxWords),
}

/// Where the container is that has the VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct SandboxWords {
    root: PathBuf,
    id: String,
}

impl SandboxWords {
    pub(super) fn find(&self) -> Result<OciContainer, OciError> {
        Store::at(self.root.clone()).find(self.id.parse()?)
    }
}

impl Role {
    /// Of a container that is made from a bundle. Those in whose VM it may be are below `roots`.
    pub(super) fn of(bundle: &Bundle, roots: &[PathBuf]) -> Result<Self, OciError> {
        let words = |root: &Path, id: &OciId| SandboxWords { root: root.to_owned(), id: id.to_string() };
        if let Some(id) = sandbox_id(&bundle.spec) {
            let id: OciId = id.parse()?;
            let root = roots.iter().find(|root| Store::at((*root).clone()).find(id.clone()).is_ok());
            return root.map(|root| Self::Member(words(root, &id))).ok_or(OciError::NotFound);
        }
        if annotation(&bundle.spec, TYPE) == Some("sandbox") {
            bundle.check_namespaces_are_its_own()?;
            return Ok(Self::Sandbox);
        }
        if let NetworkNamespace::Join(path) = bundle.network() {
            for root in roots {
                for container in Store::at(root.clone()).list().unwrap_or_default() {
                    if has_vm_in(&container, &path) {
                        return Ok(Self::Member(words(root, &container.id)));
                    }
                }
            }
        }
        bundle.check_namespaces_are_its_own()?;
        Ok(Self::Alone)
    }
}

/// Whether a container runs, in a VM of its own, with this network namespace.
fn has_vm_in(container: &OciContainer, namespace: &Path) -> bool {
    let Ok(record) = container.record() else { return false };
    let known = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let theirs = format!("/proc/{}/ns/net", record.pid);
    // Alive last: until then the pid could be another's.
    !matches!(record.role, Role::Member(_))
        && record.pid != 0
        && known(Path::new(&theirs)).is_some_and(|theirs| known(namespace) == Some(theirs))
        && container.is_alive()
}

/// What a bundle says under a key.
pub(super) fn annotation<'a>(spec: &'a Spec, key: &str) -> Option<&'a str> {
    spec.annotations().as_ref()?.get(key).map(String::as_str)
}

/// The sandbox that annotations name. A member that does not say of what is alone.
pub(super) fn sandbox_id(spec: &Spec) -> Option<&str> {
    let sandbox = annotation(spec, SANDBOX).filter(|id| !id.is_empty())?;
    (annotation(spec, TYPE) == Some("container")).then_some(sandbox)
}

/// The id of the container that a bundle's annotations name as the sandbox of its pod.
///
/// # Errors
/// There is no such bundle, or the id is none.
pub fn sandbox_of(bundle: &Path) -> Result<Option<OciId>, OciError> {
    sandbox_id(&read_spec(bundle)?.1).map(str::parse).transpose()
}

/// A namespace that a container has with another: by the pid by which the host knows that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct HostNamespace {
    pub(super) kind: LinuxNamespaceType,
    pub(super) pid: u32,
}

/// The same, by the name by which the guest knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct GuestNamespace {
    pub(super) kind: LinuxNamespaceType,
    pub(super) of: String,
}

/// The process whose namespace a path of the host's /proc is.
pub(super) fn pid_in(path: &Path) -> Option<u32> {
    let mut words = path.strip_prefix("/proc").ok()?.iter();
    let pid = words.next()?.to_str()?.parse().ok()?;
    (words.next()? == "ns").then_some(pid)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(annotations: Value) -> Spec {
        serde_json::from_value(json!({"ociVersion": "1.0.2", "annotations": annotations})).unwrap()
    }

    #[test]
    fn annotations_name_the_sandbox() {
        assert_eq!(sandbox_id(&spec(json!({TYPE: "container", SANDBOX: "a"}))), Some("a"));
        for none in [
            json!({}),
            json!({TYPE: "container"}),
            json!({SANDBOX: "a"}),
            json!({TYPE: "sandbox", SANDBOX: "a"}),
            json!({TYPE: "container", SANDBOX: ""}),
        ] {
            assert_eq!(sandbox_id(&spec(none)), None);
        }
    }

    #[test]
    fn paths_of_namespaces_tell_whose_they_are() {
        let pid = |path: &str| pid_in(Path::new(path));
        assert_eq!(pid("/proc/7/ns/ipc"), Some(7));
        for other in ["/run/netns/a", "/proc/self/ns/net", "/proc/7/fd/3", "/proc/7", "proc/7/ns/net"] {
            assert_eq!(pid(other), None, "{other}");
        }
    }
}
