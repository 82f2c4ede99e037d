//! The RPCs of `protocol/proto/agent.proto`, one file each.

mod connect_network;
mod create_container;
mod create_process;
mod disconnect_network;
mod freeze_container;
mod list_processes;
mod mount_container;
mod read_usage;
mod remove_container;
mod resize_terminal;
mod resume_container;
mod shutdown;
mod signal_process;
mod start_process;
mod stat_file;
mod transfer;
mod update_container;
mod version;
mod wait_process;

use std::sync::Arc;

use async_trait::async_trait;
use holm_protocol::agent::messages::{
    ConnectNetworkRequest, CreateContainerRequest, CreateContainerResponse, CreateProcessRequest,
    CreateProcessResponse, DisconnectNetworkRequest, Empty, FreezeContainerRequest, ListProcessesRequest,
    ListProcessesResponse, MountContainerRequest, ProcessRef, ReadUsageRequest, ReadUsageResponse,
    RemoveContainerRequest, ResizeTerminalRequest, ResumeContainerRequest, ShutdownRequest,
    SignalProcessRequest, StartProcessResponse, StatFileRequest, StatFileResponse, TransferRequest,
    UpdateContainerRequest, VersionRequest, VersionResponse, WaitProcessResponse,
};
use holm_protocol::agent::service::Agent;
use ttrpc::r#async::TtrpcContext;

use crate::container::SpareNetwork;
use crate::reaper::Reaper;
use crate::registry::Registry;

/// What all RPCs work on.
pub(crate) struct AgentServer {
    registry: Arc<Registry>,
    reaper: Reaper,
    spare_network: SpareNetwork,
}

impl AgentServer {
    pub(crate) fn new(registry: Arc<Registry>, reaper: Reaper) -> Self {
        Self { registry, reaper, spare_network: SpareNetwork::make() }
    }
}

#[async_trait]
impl Agent for AgentServer {
    async fn version(&self, _: &TtrpcContext, _: VersionRequest) -> ttrpc::Result<VersionResponse> {
        Ok(version::version()?)
    }

    async fn create_container(
        &self,
        _: &TtrpcContext,
        request: CreateContainerRequest,
    ) -> ttrpc::Result<CreateContainerResponse> {
        let Self { registry, reaper, spare_network } = self;
        Ok(create_container::create_container(registry, reaper, spare_network, request).await?)
    }

    async fn remove_container(
        &self,
        _: &TtrpcContext,
        request: RemoveContainerRequest,
    ) -> ttrpc::Result<Empty> {
        Ok(remove_container::remove_container(&self.registry, &request).await?)
    }

    async fn create_process(
        &self,
        _: &TtrpcContext,
        request: CreateProcessRequest,
    ) -> ttrpc::Result<CreateProcessResponse> {
        Ok(create_process::create_process(&self.registry, &self.reaper, request).await?)
    }

    async fn start_process(
        &self,
        _: &TtrpcContext,
        request: ProcessRef,
    ) -> ttrpc::Result<StartProcessResponse> {
        Ok(start_process::start_process(&self.registry, &request).await?)
    }

    async fn wait_process(
        &self,
        _: &TtrpcContext,
        request: ProcessRef,
    ) -> ttrpc::Result<WaitProcessResponse> {
        Ok(wait_process::wait_process(&self.registry, &request).await?)
    }

    async fn signal_process(&self, _: &TtrpcContext, request: SignalProcessRequest) -> ttrpc::Result<Empty> {
        Ok(signal_process::signal_process(&self.registry, &request)?)
    }

    async fn resize_terminal(
        &self,
        _: &TtrpcContext,
        request: ResizeTerminalRequest,
    ) -> ttrpc::Result<Empty> {
        Ok(resize_terminal::resize_terminal(&self.registry, &request)?)
    }

    async fn list_processes(
        &self,
        _: &TtrpcContext,
        request: ListProcessesRequest,
    ) -> ttrpc::Result<ListProcessesResponse> {
        Ok(list_processes::list_processes(&self.registry, &request)?)
    }

    async fn read_usage(
        &self,
        _: &TtrpcContext,
        request: ReadUsageRequest,
    ) -> ttrpc::Result<ReadUsageResponse> {
        Ok(read_usage::read_usage(&self.registry, &request)?)
    }

    async fn freeze_container(
        &self,
        _: &TtrpcContext,
        request: FreezeContainerRequest,
    ) -> ttrpc::Result<Empty> {
        Ok(freeze_container::freeze_container(&self.registry, &request).await?)
    }

    async fn resume_container(
        &self,
        _: &TtrpcContext,
        request: ResumeContainerRequest,
    ) -> ttrpc::Result<Empty> {
        Ok(resume_container::resume_container(&self.registry, &request)?)
    }

    async fn connect_network(
        &self,
        _: &TtrpcContext,
        request: ConnectNetworkRequest,
    ) -> ttrpc::Result<Empty> {
        Ok(connect_network::connect_network(&self.registry, &request)?)
    }

    async fn disconnect_network(
        &self,
        _: &TtrpcContext,
        request: DisconnectNetworkRequest,
    ) -> ttrpc::Result<Empty> {
        Ok(disconnect_network::disconnect_network(&self.registry, &request)?)
    }

    async fn update_container(
        &self,
        _: &TtrpcContext,
        request: UpdateContainerRequest,
    ) -> ttrpc::Result<Empty> {
        Ok(update_container::update_container(&self.registry, &request)?)
    }

    async fn mount_container(
        &self,
        _: &TtrpcContext,
        request: MountContainerRequest,
    ) -> ttrpc::Result<Empty> {
        Ok(mount_container::mount_container(&self.registry, request)?)
    }

    async fn stat_file(&self, _: &TtrpcContext, request: StatFileRequest) -> ttrpc::Result<StatFileResponse> {
        Ok(stat_file::stat_file(&self.registry, &request)?)
    }

    async fn transfer(&self, _: &TtrpcContext, request: TransferRequest) -> ttrpc::Result<Empty> {
        Ok(transfer::transfer(&self.registry, &self.reaper, request).await?)
    }

    async fn shutdown(&self, _: &TtrpcContext, _: ShutdownRequest) -> ttrpc::Result<Empty> {
        Ok(shutdown::shutdown(&self.registry).await?)
    }
}
