//! Calls to the agent (protocol/proto/agent.proto), with the replies checked.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holm_protocol::agent::messages::{
    Awakening, ConnectNetworkRequest, CreateContainerRequest, CreateProcessRequest, DisconnectNetworkRequest,
    FreezeContainerRequest, InjectedFile, ListProcessesRequest, MmioDevice, MountContainerRequest,
    NetworkInterface, ProcessRef, ReadUsageRequest, RemoveContainerRequest, ResizeTerminalRequest,
    ResumeContainerRequest, Rootfs, ShutdownRequest, SignalProcessRequest, StatFileRequest, Stdio,
    TransferRequest as TransferMessage, UpdateContainerRequest, VersionRequest,
};
use holm_protocol::agent::service::AgentClient as Ttrpc;
use holm_protocol::vm_control::DevicePlace;
use holm_protocol::vm_exit::printable;
use oci_spec::runtime::{LinuxResources, Process, Spec};
use protobuf::MessageField;
use ttrpc::Code;
use ttrpc::context::Context;

use super::boot::Told;
use super::stillness::Stillness;
use super::transfer::{FileStatus, TransferRequest};
use super::usage::{self, ProcessUsage, Usage};
use crate::bundle::EngineFile;

/// How long a call may take that waits neither for a workload nor for data to be copied.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// As much as the guest's kernel takes at once, twice what its generator holds.
const ENTROPY_BYTES: usize = 64;

/// A conversation with one agent. Clones share the connection and may call at the same time.
#[derive(Clone)]
pub struct AgentClient {
    ttrpc: Ttrpc,
    container_id: String,
    stillness: Stillness,
}

/// What CreateContainer takes.
#[derive(Clone, Debug)]
pub struct ContainerRequest<'a> {
    /// OCI runtime spec.
    pub spec: &'a Spec,
    /// Files bound over the container's own.
    pub files: &'a [EngineFile],
    /// Network interfaces of the container.
    pub interfaces: &'a [GuestInterface],
    /// Whether the guest has a resolver for the container, which asks the host.
    pub serve_names: bool,
    /// What becomes its `/`.
    pub root: GuestRoot<'a>,
    /// Whether stdin will be attached.
    pub stdin: bool,
    /// Whether the process has a terminal.
    pub tty: bool,
    /// What the guest has to be told of.
    pub told: &'a Told,
    /// Whether the process goes at once; otherwise [`AgentClient::start_process`] lets it go.
    pub start: bool,
}

/// Where the guest finds a container's root file system.
#[derive(Clone, Copy, Debug)]
pub enum GuestRoot<'a> {
    /// On two disks, by their serial numbers.
    Disks {
        /// The image's.
        image: &'a str,
        /// The writable layer's.
        writable: &'a str,
    },
    /// In a directory of the guest's: a share.
    Directory(&'a str),
    /// The same, which nobody writes to: what is written is on a disk.
    DirectoryBelow {
        /// The share's.
        directory: &'a str,
        /// The writable layer's, by its serial number.
        writable: &'a str,
    },
    /// On one disk, by its serial number.
    Disk(&'a str),
}

/// A network interface as the agent sets it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestInterface {
    /// `eth0`, ...
    pub name: String,
    /// By which it is found.
    pub mac: [u8; 6],
    /// Its address.
    pub address: Ipv4Addr,
    /// How many bits of it are the network's.
    pub prefix_length: u8,
    /// Where the way to everywhere else begins; `None` without one.
    pub gateway: Option<Ipv4Addr>,
    /// What it has of IPv6.
    pub ipv6: Option<GuestIpv6>,
    /// What it carries, in bytes.
    pub mtu_bytes: u16,
}

/// What an interface has of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestIpv6 {
    /// Its address.
    pub address: Ipv6Addr,
    /// How many bits of it are the network's.
    pub prefix_length: u8,
    /// Where the way to everywhere else begins; `None` without one.
    pub gateway: Option<Ipv6Addr>,
}

/// What else changes with a container's networks.
#[derive(Clone, Debug, Default)]
pub struct NetworkChange {
    /// The engine's files as they are from now on.
    pub files: Vec<EngineFile>,
    /// Whether the guest gets a resolver now.
    pub serve_names: bool,
    /// Where the way to everywhere else begins, if that changes otherwise than by a new interface.
    pub gateway: Option<Ipv4Addr>,
    /// The same of IPv6.
    pub gateway6: Option<Ipv6Addr>,
}

/// What CreateProcess takes.
#[derive(Clone, Copy, Debug)]
pub struct ProcessRequest<'a> {
    /// Its id, not used before in this container.
    pub id: &'a str,
    /// OCI runtime spec's process.
    pub process: &'a Process,
    /// Whether stdin will be attached.
    pub stdin: bool,
    /// Whether the outputs will be attached.
    pub outputs: bool,
    /// Whether the process has a terminal.
    pub tty: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// 0 to 255.
    pub code: u8,
    /// Something in the container was killed for memory.
    pub oom_killed: bool,
    /// That was because all memory of the VM was in use, and no limit of the container.
    pub vm_exhausted: bool,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The program does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The program cannot be executed.
    #[error("{0}")]
    NotExecutable(String),
    /// The agent refused or failed.
    #[error("{0}")]
    Failed(String),
    /// The agent is gone, or does not speak as it should.
    #[error("lost the connection to the guest's agent in {call}: {reason}")]
    Lost {
        /// What was asked, by its name in protocol/proto/agent.proto.
        call: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl AgentError {
    /// What a failure of the call of this name means.
    fn of(call: &'static str) -> impl FnOnce(ttrpc::Error) -> Self {
        move |error| {
            let ttrpc::Error::RpcStatus(status) = error else {
                return Self::lost(call, &error.to_string());
            };
            let message = printable(status.message().as_bytes());
            match status.code() {
                Code::NOT_FOUND => Self::NotFound(message),
                Code::PERMISSION_DENIED => Self::NotExecutable(message),
                _ => Self::Failed(message),
            }
        }
    }

    fn lost(call: &'static str, reason: &str) -> Self {
        Self::Lost { call, reason: printable(reason.as_bytes()) }
    }

    /// The exit code that Docker gives: 125, 126 or 127.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::NotExecutable(_) => 126,
            Self::Failed(_) | Self::Lost { .. } => 125,
        }
    }
}

impl GuestRoot<'_> {
    fn message(self) -> Rootfs {
        match self {
            Self::Disks { image, writable } => Rootfs {
                image_disk: image.to_owned(),
                writable_disk: writable.to_owned(),
                ..Rootfs::default()
            },
            Self::Directory(directory) => Rootfs { directory: directory.to_owned(), ..Rootfs::default() },
            Self::Disk(disk) => Rootfs { root_disk: disk.to_owned(), ..Rootfs::default() },
            Self::DirectoryBelow { directory, writable } => Rootfs {
                directory: directory.to_owned(),
                writable_disk: writable.to_owned(),
                ..Rootfs::default()
            },
        }
    }
}

/// What may be missing, as the protocol has it.
fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

impl GuestInterface {
    fn message(&self) -> NetworkInterface {
        NetworkInterface {
            mac: self.mac.to_vec(),
            address: self.address.to_string(),
            prefix_length: self.prefix_length.into(),
            gateway: text(self.gateway),
            mtu_bytes: self.mtu_bytes.into(),
            name: self.name.clone(),
            address6: self.ipv6.map(|ipv6| ipv6.address.to_string()).unwrap_or_default(),
            prefix_length6: self.ipv6.map_or(0, |ipv6| ipv6.prefix_length.into()),
            gateway6: text(self.ipv6.and_then(|ipv6| ipv6.gateway)),
            ..NetworkInterface::default()
        }
    }
}

impl AgentClient {
    /// Speaks over the connection that the agent opened, about one container.
    ///
    /// # Errors
    /// When the connection cannot be used.
    pub fn new(connection: UnixStream, container_id: &str) -> Result<Self, AgentError> {
        let client = ttrpc::Client::new(connection.into_raw_fd()).map_err(AgentError::of("connect"))?;
        Ok(Self {
            ttrpc: Ttrpc::new(client),
            container_id: container_id.to_owned(),
            stillness: Stillness::default(),
        })
    }

    /// What the guest calls the container.
    #[must_use]
    pub fn container_id(&self) -> &str {
        &self.container_id
    }

    /// The container's own process for the empty id.
    fn process(&self, id: &str) -> ProcessRef {
        ProcessRef {
            container_id: self.container_id.clone(),
            process_id: id.to_owned(),
            ..ProcessRef::default()
        }
    }

    /// Has the agent say who it is: all that answers a call has run once then.
    ///
    /// # Errors
    /// What the agent says.
    pub fn rehearse(&self) -> Result<(), AgentError> {
        self.ttrpc.version(call(), &VersionRequest::default()).map(|_| ()).map_err(AgentError::of("version"))
    }

    /// Makes the container; its process waits before its execve unless it is to go at once.
    ///
    /// # Errors
    /// What the agent says; where the process goes at once also those of [`AgentClient::start_process`].
    pub fn create_container(&self, request: &ContainerRequest<'_>) -> Result<(), AgentError> {
        let spec =
            serde_json::to_vec(request.spec).map_err(|e| AgentError::Failed(format!("OCI spec: {e}")))?;
        let message = CreateContainerRequest {
            container_id: self.container_id.clone(),
            oci_spec_json: spec,
            rootfs: MessageField::some(request.root.message()),
            stdio: MessageField::some(Stdio {
                stdin: request.stdin,
                stdout: true,
                stderr: !request.tty,
                ..Stdio::default()
            }),
            files: injected(request.files),
            interfaces: request.interfaces.iter().map(GuestInterface::message).collect(),
            serve_names: request.serve_names,
            start: request.start,
            awakening: awakening(request.told)?,
            ..CreateContainerRequest::default()
        };
        // A new volume is filled meanwhile, which takes as long as there is to copy.
        let unlimited = Context::default();
        self.ttrpc
            .create_container(unlimited, &message)
            .map(|_| ())
            .map_err(AgentError::of("create_container"))
    }

    /// Ends one container of the guest and forgets it.
    ///
    /// # Errors
    /// What the agent says.
    pub fn remove_container(&self, id: &str, slots: &[u32]) -> Result<(), AgentError> {
        let message = RemoveContainerRequest {
            container_id: id.to_owned(),
            slots: slots.to_vec(),
            ..RemoveContainerRequest::default()
        };
        self.ttrpc.remove_container(call(), &message).map(|_| ()).map_err(AgentError::of("remove_container"))
    }

    /// Makes one more process in the container, which waits before its execve.
    ///
    /// # Errors
    /// What the agent says.
    pub fn create_process(&self, request: &ProcessRequest<'_>) -> Result<(), AgentError> {
        let process = serde_json::to_vec(request.process)
            .map_err(|e| AgentError::Failed(format!("OCI process: {e}")))?;
        let message = CreateProcessRequest {
            process: MessageField::some(self.process(request.id)),
            oci_process_json: process,
            stdio: MessageField::some(Stdio {
                stdin: request.stdin,
                stdout: request.outputs,
                stderr: request.outputs && !request.tty,
                ..Stdio::default()
            }),
            ..CreateProcessRequest::default()
        };
        self.ttrpc.create_process(call(), &message).map(|_| ()).map_err(AgentError::of("create_process"))
    }

    /// Lets a process go: the container's own for the empty id.
    ///
    /// # Errors
    /// What the agent says; a program that is missing or not executable is told apart.
    pub fn start_process(&self, id: &str) -> Result<(), AgentError> {
        self.ttrpc
            .start_process(call(), &self.process(id))
            .map(|_| ())
            .map_err(AgentError::of("start_process"))
    }

    /// Lets the container's own process go, when hooks that may take as long as they like run in the guest before.
    ///
    /// # Errors
    /// As [`AgentClient::start_process`], and that a hook failed.
    pub fn start_after_hooks(&self) -> Result<(), AgentError> {
        self.ttrpc
            .start_process(Context::default(), &self.process(""))
            .map(|_| ())
            .map_err(AgentError::of("start_process"))
    }

    /// Waits for a process, as long as it takes.
    ///
    /// # Errors
    /// When the agent is gone.
    pub fn wait_process(&self, id: &str) -> Result<Exit, AgentError> {
        let reply = self
            .ttrpc
            .wait_process(Context::default(), &self.process(id))
            .map_err(AgentError::of("wait_process"))?;
        let code = u8::try_from(reply.exit_code)
            .map_err(|_| AgentError::lost("wait_process", &format!("exit code {}", reply.exit_code)))?;
        Ok(Exit { code, oom_killed: reply.oom_killed, vm_exhausted: reply.vm_exhausted })
    }

    /// Sends a signal to a process.
    ///
    /// # Errors
    /// What the agent says.
    pub fn signal_process(&self, id: &str, signal: i32) -> Result<(), AgentError> {
        let message = SignalProcessRequest {
            process: MessageField::some(self.process(id)),
            signal,
            ..SignalProcessRequest::default()
        };
        self.ttrpc.signal_process(call(), &message).map(|_| ()).map_err(AgentError::of("signal_process"))
    }

    /// Sends a signal to every process of the container.
    ///
    /// # Errors
    /// What the agent says.
    pub fn signal_container(&self, signal: i32) -> Result<(), AgentError> {
        let message = SignalProcessRequest {
            process: MessageField::some(self.process("")),
            signal,
            all: true,
            ..SignalProcessRequest::default()
        };
        self.ttrpc.signal_process(call(), &message).map(|_| ()).map_err(AgentError::of("signal_process"))
    }

    /// Sets the size of a process's terminal.
    ///
    /// # Errors
    /// What the agent says.
    pub fn resize_process(&self, id: &str, columns: u16, rows: u16) -> Result<(), AgentError> {
        let message = ResizeTerminalRequest {
            process: MessageField::some(self.process(id)),
            columns: columns.into(),
            rows: rows.into(),
            ..ResizeTerminalRequest::default()
        };
        self.ttrpc.resize_terminal(call(), &message).map(|_| ()).map_err(AgentError::of("resize_terminal"))
    }

    /// The container's processes.
    ///
    /// # Errors
    /// What the agent says.
    pub fn processes(&self) -> Result<Vec<ProcessUsage>, AgentError> {
        let message = ListProcessesRequest {
            container_id: self.container_id.clone(),
            ..ListProcessesRequest::default()
        };
        let reply = self.ttrpc.list_processes(call(), &message).map_err(AgentError::of("list_processes"))?;
        Ok(usage::processes(reply.processes))
    }

    /// What the container uses.
    ///
    /// # Errors
    /// What the agent says.
    pub fn usage(&self) -> Result<Usage, AgentError> {
        let message =
            ReadUsageRequest { container_id: self.container_id.clone(), ..ReadUsageRequest::default() };
        self.ttrpc.read_usage(call(), &message).map(Usage::from).map_err(AgentError::of("read_usage"))
    }

    /// Changes the container's limits to these.
    ///
    /// # Errors
    /// What the agent says; some of them may hold then.
    pub fn update_container(&self, resources: &LinuxResources) -> Result<(), AgentError> {
        let resources = serde_json::to_vec(resources)
            .map_err(|error| AgentError::Failed(format!("OCI resources: {error}")))?;
        let message = UpdateContainerRequest {
            container_id: self.container_id.clone(),
            oci_resources_json: resources,
            ..UpdateContainerRequest::default()
        };
        self.ttrpc.update_container(call(), &message).map(|_| ()).map_err(AgentError::of("update_container"))
    }

    /// Stops every process of the container, until everybody who did so has called [`AgentClient::thaw`].
    ///
    /// # Errors
    /// What the agent says; nothing is held then.
    pub fn freeze(&self) -> Result<(), AgentError> {
        self.stillness.hold(|| self.set_frozen(true, false))
    }

    /// Lets the processes go on, as far as the caller is concerned.
    ///
    /// # Errors
    /// What the agent says.
    pub fn thaw(&self) -> Result<(), AgentError> {
        self.stillness.release(|| self.set_frozen(false, false))
    }

    /// As [`AgentClient::freeze`], and has what they wrote written back to the disks.
    ///
    /// # Errors
    /// What the agent says; nothing is held then.
    pub fn freeze_and_sync(&self) -> Result<(), AgentError> {
        self.freeze()?;
        // They are let go all the same where that fails, too.
        self.set_frozen(true, true).inspect_err(|_| drop(self.thaw()))
    }

    /// Makes a guest that went on from a checkpoint its own. Its container stays frozen.
    ///
    /// # Errors
    /// What the agent says.
    pub fn resume_container(&self, hostname: &str, files: &[EngineFile]) -> Result<(), AgentError> {
        // It knows where its devices are.
        let awakening = awakening(&Told::default())?;
        let message = ResumeContainerRequest {
            container_id: self.container_id.clone(),
            awakening,
            hostname: hostname.to_owned(),
            files: injected(files),
            ..ResumeContainerRequest::default()
        };
        self.ttrpc.resume_container(call(), &message).map(|_| ()).map_err(AgentError::of("resume_container"))
    }

    fn set_frozen(&self, frozen: bool, sync: bool) -> Result<(), AgentError> {
        let message = FreezeContainerRequest {
            container_id: self.container_id.clone(),
            frozen,
            sync,
            ..FreezeContainerRequest::default()
        };
        self.ttrpc.freeze_container(call(), &message).map(|_| ()).map_err(AgentError::of("freeze_container"))
    }

    /// Sets up the interface of a device that the VM got since its start.
    ///
    /// # Errors
    /// What the agent says; the container does not have the interface then.
    pub fn connect_network(
        &self,
        place: DevicePlace,
        interface: &GuestInterface,
        change: &NetworkChange,
    ) -> Result<(), AgentError> {
        let message = ConnectNetworkRequest {
            container_id: self.container_id.clone(),
            device: MessageField::some(mmio_device(place)),
            interface: MessageField::some(interface.message()),
            files: injected(&change.files),
            serve_names: change.serve_names,
            ..ConnectNetworkRequest::default()
        };
        self.ttrpc.connect_network(call(), &message).map(|_| ()).map_err(AgentError::of("connect_network"))
    }

    /// Gives up the device in a slot and its interface.
    ///
    /// # Errors
    /// What the agent says; the device may be taken away all the same.
    pub fn disconnect_network(&self, slot: u32, change: &NetworkChange) -> Result<(), AgentError> {
        let message = DisconnectNetworkRequest {
            container_id: self.container_id.clone(),
            slot,
            files: injected(&change.files),
            gateway: text(change.gateway),
            gateway6: text(change.gateway6),
            ..DisconnectNetworkRequest::default()
        };
        self.ttrpc
            .disconnect_network(call(), &message)
            .map(|_| ())
            .map_err(AgentError::of("disconnect_network"))
    }

    /// Mounts the container's root without any process in it.
    ///
    /// # Errors
    /// What the agent says.
    pub fn mount_container(
        &self,
        image_disk: &str,
        writable_disk: &str,
        told: &Told,
    ) -> Result<(), AgentError> {
        let message = MountContainerRequest {
            container_id: self.container_id.clone(),
            rootfs: MessageField::some(
                GuestRoot::Disks { image: image_disk, writable: writable_disk }.message(),
            ),
            awakening: awakening(told)?,
            ..MountContainerRequest::default()
        };
        self.ttrpc.mount_container(call(), &message).map(|_| ()).map_err(AgentError::of("mount_container"))
    }

    /// What a path refers to; `None` when to nothing.
    ///
    /// # Errors
    /// What the agent says.
    pub fn stat_file(&self, path: &str, follow: bool) -> Result<Option<FileStatus>, AgentError> {
        let message = StatFileRequest {
            container_id: self.container_id.clone(),
            path: path.to_owned(),
            follow,
            ..StatFileRequest::default()
        };
        match self.ttrpc.stat_file(call(), &message).map_err(AgentError::of("stat_file")) {
            Ok(reply) => Ok(Some(FileStatus { mode: reply.mode, path: reply.path })),
            Err(AgentError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Moves files over the stream that is or will be connected for this transfer, as long as it takes.
    ///
    /// # Errors
    /// What the agent says.
    pub fn transfer(&self, request: &TransferRequest) -> Result<(), AgentError> {
        let message = TransferMessage {
            container_id: self.container_id.clone(),
            transfer_id: request.id.clone(),
            what: Some(request.what.message()),
            ..TransferMessage::default()
        };
        self.ttrpc.transfer(Context::default(), &message).map(|_| ()).map_err(AgentError::of("transfer"))
    }

    /// Makes everything written durable; the VM can be ended afterwards.
    ///
    /// # Errors
    /// What the agent says.
    pub fn shutdown(&self) -> Result<(), AgentError> {
        self.ttrpc
            .shutdown(call(), &ShutdownRequest::default())
            .map(|_| ())
            .map_err(AgentError::of("shutdown"))
    }
}

fn injected(files: &[EngineFile]) -> Vec<InjectedFile> {
    let message = |file: &EngineFile| InjectedFile {
        path: file.path.to_owned(),
        content: file.content.clone().into_bytes(),
        mode: 0o644,
        ..InjectedFile::default()
    };
    files.iter().map(message).collect()
}

/// What makes a guest its own.
fn awakening(told: &Told) -> Result<MessageField<Awakening>, AgentError> {
    let mut entropy = vec![0; ENTROPY_BYTES];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut entropy))
        .map_err(|error| AgentError::Failed(format!("cannot read /dev/urandom: {error}")))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(MessageField::some(Awakening {
        entropy,
        realtime_ns: u64::try_from(now.as_nanos()).unwrap_or(0),
        devices: told.devices.iter().map(|place| mmio_device(*place)).collect(),
        memory_blocks: told.memory_blocks.clone(),
        late_devices: told.late_devices.iter().map(|place| mmio_device(*place)).collect(),
        ..Awakening::default()
    }))
}

fn mmio_device(place: DevicePlace) -> MmioDevice {
    MmioDevice { slot: place.slot, address: place.address, gsi: place.gsi, ..MmioDevice::default() }
}

fn call() -> Context {
    ttrpc::context::with_duration(CALL_TIMEOUT)
}
