//! From a container to a VM whose agent answers.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use holm_protocol::agent::CONTROL_PORT;
use holm_protocol::vm_config::{BootConfig, ConsoleConfig, DiskConfig, SegmentConfig, VmConfig, VsockConfig};

use super::shape::VmShape;
use super::vmm_process::{VmmEnd, VmmError, VmmProcess};
use crate::host::Installation;

/// Serial number of the disk that holds the image.
pub const IMAGE_DISK: &str = "image";
/// Serial number of the disk that holds the writable layer.
pub const WRITABLE_DISK: &str = "layer";

/// Every guest's own context id. Host sockets are per VM, so ids need not differ between VMs.
const GUEST_CID: u32 = 3;

/// A VM that was started.
#[derive(Debug)]
pub struct Sandbox {
    /// Its process.
    pub vmm: VmmProcess,
    /// Where stdio streams are connected.
    pub vsock_socket: PathBuf,
}

/// Why a VM could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The socket on which the agent is awaited.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The VMM.
    #[error(transparent)]
    Vmm(#[from] VmmError),
}

/// What happens to a starting VM, told on other threads.
pub trait BootEvents: Clone + Send + 'static {
    /// The agent can be spoken to.
    fn agent_connected(&self, connection: UnixStream);
    /// The VM ended, whenever that is.
    fn vmm_ended(&self, end: VmmEnd);
}

impl Sandbox {
    /// Starts a VM over `image_segments` and the file `layer`, with its sockets in `run_directory`.
    ///
    /// # Errors
    /// When the VMM cannot be started; later failures come through `events`.
    pub fn boot(
        installation: &Installation,
        shape: VmShape,
        image_segments: Vec<SegmentConfig>,
        layer: &Path,
        layer_bytes: u64,
        run_directory: &Path,
        events: impl BootEvents,
    ) -> Result<Self, BootError> {
        let vsock_socket = run_directory.join("vsock");
        let control = run_directory.join(format!("vsock_{CONTROL_PORT}"));
        let listener = UnixListener::bind(&control)
            .map_err(|source| BootError::Listen { path: control.clone(), source })?;
        let layer = SegmentConfig { path: layer.to_owned(), offset_bytes: 0, length_bytes: layer_bytes };
        let mut disks =
            vec![DiskConfig { id: WRITABLE_DISK.to_owned(), read_only: false, segments: vec![layer] }];
        if !image_segments.is_empty() {
            disks.insert(
                0,
                DiskConfig { id: IMAGE_DISK.to_owned(), read_only: true, segments: image_segments },
            );
        }
        let config = VmConfig {
            vcpus: shape.vcpus,
            memory_mib: shape.memory_mib,
            boot: BootConfig {
                kernel: installation.kernel.clone(),
                initramfs: installation.initramfs.clone(),
                cmdline: CMDLINE.map(str::to_owned).to_vec(),
            },
            disks,
            vsock: Some(VsockConfig {
                guest_cid: GUEST_CID,
                socket: vsock_socket.clone(),
                host_ports: vec![CONTROL_PORT],
            }),
            console: console(run_directory),
        };
        let on_end = events.clone();
        let vmm = VmmProcess::start(&installation.vmm, &config, move |end| on_end.vmm_ended(end))?;
        std::thread::spawn(move || {
            // One connection is all that a guest gets; when accepting fails, its absence is noticed by the boot timeout.
            if let Ok((connection, _)) = listener.accept() {
                drop(listener);
                let _ = std::fs::remove_file(&control);
                events.agent_connected(connection);
            }
        });
        Ok(Self { vmm, vsock_socket })
    }
}

/// Where kernel parameters are the engine's choice. The compiler of BPF programs is off (docs/decisions/0010-no-bpf-jit.md).
const CMDLINE: [&str; 1] = ["sysctl.net.core.bpf_jit_enable=0"];

/// `HOLM_CONSOLE=1` keeps the guest kernel's messages in `console.log` beside the sockets.
fn console(run_directory: &Path) -> ConsoleConfig {
    match std::env::var_os("HOLM_CONSOLE") {
        Some(value) if !value.is_empty() => ConsoleConfig::File(run_directory.join("console.log")),
        _ => ConsoleConfig::Off,
    }
}
