//! Debian's docker-registry on a free port of the loopback interface, its data in a temporary directory.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use holm_runtime::image::Digest;

use crate::image::RegistryImage;

const PATIENCE: Duration = Duration::from_secs(20);
/// `htpasswd -nbB me s3cret`
const HTPASSWD: &str = "me:$2y$05$n3.okiaxnAler1NBeHKbg.1IPHslv0fRfQGvSE1mon6EZm0v40nVO\n";

/// How it is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// HTTP.
    Plain,
    /// TLS with a CA of its own, user `me` with password `s3cret`.
    Secured,
}

/// A running registry; gone when dropped.
pub struct DockerRegistry {
    child: Child,
    directory: tempfile::TempDir,
    /// `127.0.0.1:PORT`
    pub host: String,
}

impl DockerRegistry {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not come up; it is part of Debian's package docker-registry.
    #[must_use]
    pub fn start(mode: Mode) -> Self {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let at = |name: &str| directory.path().join(name);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: {host}\n",
            at("data").display()
        );
        if mode == Mode::Secured {
            make_certificates(directory.path());
            fs::write(at("htpasswd"), HTPASSWD).unwrap();
            config += &format!(
                "  tls: {{certificate: {}, key: {}}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                at("cert.pem").display(),
                at("key.pem").display(),
                at("htpasswd").display()
            );
        }
        fs::write(at("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(at("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(at("log")).unwrap())
            .spawn()
            .expect("docker-registry, of Debian's package docker-registry");
        let registry = Self { child, directory, host };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&registry.host).is_err() {
            let log = fs::read_to_string(registry.directory.path().join("log")).unwrap();
            assert!(Instant::now() < deadline, "docker-registry does not listen: {log}");
            thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// A repository's full name: `127.0.0.1:PORT/<image>`.
    #[must_use]
    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.host)
    }

    /// Has skopeo put an image there as it is; gives its full name.
    ///
    /// # Panics
    /// When it cannot; the registry must be [`Mode::Plain`].
    #[must_use]
    pub fn put(&self, image: &str, content: &RegistryImage) -> String {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let at = |name: &str| directory.path().join(name);
        for blob in content.layers.iter().chain([&content.config]) {
            fs::write(at(&Digest::of(blob).hex()), blob).unwrap();
        }
        fs::write(at("manifest.json"), &content.manifest).unwrap();
        fs::write(at("version"), "Directory Transport Version: 1.1\n").unwrap();
        let name = self.name(image);
        let copied = Command::new("skopeo")
            .args(["copy", "-q", "--dest-tls-verify=false"])
            .args([format!("dir:{}", directory.path().display()), format!("docker://{name}")])
            .output()
            .unwrap();
        assert!(copied.status.success(), "skopeo: {}", String::from_utf8_lossy(&copied.stderr));
        name
    }

    /// The CA's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A CA, and a certificate of it for 127.0.0.1.
fn make_certificates(directory: &Path) {
    let script = "set -e; key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1'
        openssl req -x509 $key -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=test CA'
        openssl req $key -nodes -keyout key.pem -out request.pem -subj '/CN=127.0.0.1'
        printf 'subjectAltName=IP:127.0.0.1' > extensions
        openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
            -extfile extensions -out cert.pem";
    let made = Command::new("sh").args(["-c", script]).current_dir(directory).output().unwrap();
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
}
