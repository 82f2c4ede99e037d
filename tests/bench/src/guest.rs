//! A VM of QEMU's that stands beside a container of Holm's: the same kernel, the same programs, as much memory, as many
//! processors, and a network of the same kind, over which it takes scripts.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::containers::Holm;
use crate::installation;
use crate::process::Process;
use crate::qemu;
use crate::shell::Shell;
use crate::tools::{MOUNT_POINT, PORT, Tools};
use crate::wire::{self, Wire};

/// Debian's own, of QEMU.
const VIRTIOFSD: &str = "/usr/lib/qemu/virtiofsd";
/// Until the VM's shell listens, or virtiofsd does.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than any script takes.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(100);

/// What the VM has beside its root.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extra<'a> {
    /// Nothing.
    None,
    /// A file with an ext4 file system, over virtio-blk.
    Disk(&'a Path),
    /// A directory of the host's, over virtio-fs.
    Share(&'a Path),
}

/// The VM; it ends with the value.
#[derive(Debug)]
pub(crate) struct Guest {
    // In the order in which they have to go.
    qemu: Process,
    _virtiofsd: Option<Process>,
    _wire: Wire,
}

impl Guest {
    /// Boots it, and mounts what it was given.
    pub(crate) fn start(holm: &Holm, tools: &Tools, extra: Extra<'_>) -> Result<Self> {
        let directory = holm.scratch("guest")?;
        let messages = directory.join("messages");
        let log = File::create(&messages)?;
        let wire = Wire::new()?;
        let mut command = qemu::machine(&installation::kernel()?);
        command.args(["-global", "virtio-mmio.force-legacy=false", "-append"]).arg(format!(
            "loglevel=1 reboot=t panic=-1 tsc=reliable random.trust_cpu=on root=/dev/vda rootfstype=erofs ro init=/init \
             address={}",
            wire::GUEST
        ));
        let network = format!("tap,id=net,ifname={},script=no,downscript=no,vhost=off", wire::TAP);
        command.args(["-netdev", &network, "-device", "virtio-net-device,netdev=net"]);
        disk(&mut command, "root", tools.disk(), ",readonly=on");
        let mut virtiofsd = None;
        let mount = match extra {
            Extra::None => None,
            Extra::Disk(file) => {
                disk(&mut command, "data", file, "");
                Some("ext4 /dev/vdb")
            }
            Extra::Share(shared) => {
                let socket = directory.join("virtiofsd.socket");
                virtiofsd = Some(serve(shared, &socket, log.try_clone()?)?);
                share(&mut command, &socket);
                Some("virtiofs share")
            }
        };
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut guest = Self { qemu: Process::start(&mut command)?, _virtiofsd: virtiofsd, _wire: wire };
        let begun = Instant::now();
        while let Err(error) = guest.sh("true") {
            if begun.elapsed() > PATIENCE || !guest.qemu.runs()? {
                let said = fs::read_to_string(&messages).unwrap_or_default();
                return Err(error.context(format!("QEMU's guest does not answer: {}", said.trim())));
            }
            sleep(PAUSE);
        }
        if let Some(mount) = mount {
            guest.sh(&format!("mount -t {mount} {MOUNT_POINT}"))?;
        }
        Ok(guest)
    }
}

/// virtio-blk as QEMU has it by itself: the host's page cache, and threads.
fn disk(command: &mut Command, name: &str, file: &Path, options: &str) {
    let drive = format!("id={name},file={},format=raw,if=none{options}", file.display());
    command.args(["-drive", &drive, "-device", &format!("virtio-blk-device,drive={name}")]);
}

/// virtiofsd as it is by itself, too.
fn serve(directory: &Path, socket: &Path, log: File) -> Result<Process> {
    let _ = fs::remove_file(socket);
    let mut command = Command::new(VIRTIOFSD);
    command.arg(format!("--socket-path={}", socket.display()));
    command.args(["-o", &format!("source={}", directory.display())]);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut process = Process::start(&mut command)?;
    let begun = Instant::now();
    while !socket.exists() {
        if begun.elapsed() > PATIENCE || !process.runs()? {
            bail!("{VIRTIOFSD} does not listen");
        }
        sleep(PAUSE);
    }
    Ok(process)
}

/// virtiofsd reads and writes the guest's memory, so that has to be a file.
fn share(command: &mut Command, socket: &Path) {
    let memory = format!("memory-backend-memfd,id=memory,size={}M,share=on", qemu::MEMORY_MIB);
    command.args(["-object", &memory, "-machine", "memory-backend=memory"]);
    command.args(["-chardev", &format!("socket,id=share,path={}", socket.display())]);
    command.args(["-device", "vhost-user-fs-device,chardev=share,tag=share"]);
}

impl Shell for Guest {
    fn sh(&self, script: &str) -> Result<String> {
        let mut connection = TcpStream::connect_timeout(&SocketAddr::new(self.address(), PORT), PATIENCE)?;
        connection.set_read_timeout(Some(SCRIPT_PATIENCE))?;
        let framed = format!(
            "( {script}\n) </dev/null 2>/tmp/errors\nstatus=$?; [ $status = 0 ] || cat /tmp/errors; echo; echo $status\n"
        );
        connection.write_all(framed.as_bytes())?;
        connection.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).context("the guest's shell")?;
        match answer.trim_end().rsplit_once('\n') {
            Some((output, "0")) => Ok(output.trim().to_owned()),
            Some((output, status)) => {
                bail!("{script} in QEMU's guest: exit code {status}: {}", output.trim())
            }
            None => bail!("{script} in QEMU's guest: no answer: {answer}"),
        }
    }

    fn address(&self) -> IpAddr {
        wire::GUEST_ADDRESS.into()
    }
}
