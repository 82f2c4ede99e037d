//! What a thread is for.

/// The roles of threads; each has its own filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The main thread: the event loop of vsock, entropy and the balloon, the control channel, and the VM's end.
    Main,
    /// Runs one vCPU and answers what it asks of devices.
    Vcpu,
    /// Serves one disk.
    Disk,
    /// Serves one network.
    Network,
    /// Serves the host's directories.
    Shares,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Main, Self::Vcpu, Self::Disk, Self::Network, Self::Shares];
}
