//! What a container's requests suffer from another one that uses all that it may: processes, memory, disk and network at once,
//! on a processor of its own.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::containers::{Holm, succeed};
use crate::figure::Figure;
use crate::sample::Spread;

/// One in a hundred is what is asked for: of a hundred that would be one, and chance.
const REQUESTS: u32 = 500;
/// Longer than any request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Until the neighbour is at its limits, and for a server to come up.
const WARM_UP: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

const SERVER: &str = "exec httpd -f -p 80 -h /etc";
const NEIGHBOUR: [&str; 7] = [
    "--cpuset-cpus=1",
    "--cpus=1",
    "--memory=128m",
    "--pids-limit=100",
    "--device-write-bps=/:4mb",
    "--storage-opt=size=256m",
    "--net-rate-out=4m",
];
/// A fork bomb, a hog, a filler and a flooder; each begins again when it has met its limit.
const DISTURBANCE: &str = "gateway=$(ip route | awk '/default/ { print $3 }')
    (while :; do (b() { b | b & }; b) 2>/dev/null; sleep 1; done) &
    (while :; do tail /dev/zero 2>/dev/null; sleep 0.1; done) &
    (while :; do dd if=/dev/zero of=/fill bs=64k conv=fsync 2>/dev/null; rm -f /fill; sleep 0.1; done) &
    (while :; do nc -u $gateway 9 </dev/zero 2>/dev/null; done) &
    while :; do sleep 1; done";

/// The p99 of a small request while the neighbour does its worst, against the p99 before it came; of many requests always.
pub(crate) fn p99(holm: &Holm, _: u32) -> Result<Figure> {
    let server = succeed(&mut holm.command(["run", "-d", "--cpuset-cpus=0", "busybox", "sh", "-c", SERVER]))?;
    let what = "{{.NetworkSettings.IPAddress}}";
    let address: IpAddr = succeed(&mut holm.command(["inspect", "-f", what, &server]))?.parse()?;
    let address = SocketAddr::new(address, 80);
    let begun = Instant::now();
    while let Err(error) = request(address) {
        if begun.elapsed() > PATIENCE {
            return Err(error);
        }
        sleep(PAUSE);
    }
    let quiet = requests(address, REQUESTS)?;
    let mut neighbour = holm.command(["run", "-d"]);
    let neighbour = succeed(neighbour.args(NEIGHBOUR).args(["busybox", "sh", "-c", DISTURBANCE]))?;
    sleep(WARM_UP);
    let disturbed = requests(address, REQUESTS);
    succeed(&mut holm.command(["rm", "-f", &server, &neighbour]))?;
    let at_p99 = |spread: Spread| Spread { median: spread.p99, ..spread };
    let spreads = (at_p99(disturbed?), at_p99(quiet));
    Ok(Figure::new(
        "neighbour.p99",
        "s",
        spreads,
        "the same request without a neighbour (goal: 1.1)",
        REQUESTS,
    ))
}

fn requests(address: SocketAddr, count: u32) -> Result<Spread> {
    let times = (0..count).map(|_| request(address));
    Ok(Spread::of(times.collect::<Result<_>>()?))
}

/// Seconds of one small request, which must succeed.
fn request(address: SocketAddr) -> Result<f64> {
    let begun = Instant::now();
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE).context("connect")?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(b"GET /hostname HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.0 200") && !answer.starts_with(b"HTTP/1.1 200") {
        bail!("the server answered {}", String::from_utf8_lossy(&answer));
    }
    Ok(begun.elapsed().as_secs_f64())
}
