//! Certificates made for a test by the openssl command, and uvicorn with them.
#![allow(dead_code)]

use super::asr::free_port;
use super::left_out;
use super::venv::venv;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How an authority signs what it is given, with any dates.
const AUTHORITY: &str = "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\nnew_certs_dir = .\ndefault_md = sha256\n\
    policy = any\ncopy_extensions = copy\nunique_subject = no\nrand_serial = yes\n[any]\ncommonName = optional\n";
const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

/// A folder of certificates: `NAME.pem` and `NAME-key.pem`.
pub struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    /// A folder with an authority, `ca.pem`. None, with a note, where openssl cannot make one.
    pub fn new() -> Option<Self> {
        let made = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        std::fs::write(made.file("ca.cnf"), AUTHORITY).expect("the folder can be written");
        std::fs::write(made.file("index.txt"), "").expect("the folder can be written");
        let arguments = format!("req -x509 {KEY} -keyout ca-key.pem -out ca.pem -days 2 -subj /CN=Voice-CA");
        if made.openssl(&arguments) {
            return Some(made);
        }
        left_out::note("openssl cannot make a certificate here");
        None
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `NAME.pem`, signed by itself, as the common recipe makes it.
    pub fn self_signed(&self, name: &str, names: &str) {
        let also = if names.is_empty() { String::new() } else { format!(" -addext subjectAltName={names}") };
        let (key, out) = (format!("-keyout {name}-key.pem"), format!("-out {name}.pem"));
        assert!(self.openssl(&format!("req -x509 {KEY} {key} {out} -days 1 -subj /CN=localhost{also}")));
    }

    /// `NAME.pem`, signed by the authority, valid between two years.
    pub fn signed(&self, name: &str, names: &str, years: (u32, u32)) {
        let (key, out) = (format!("-keyout {name}-key.pem"), format!("-out {name}.csr"));
        assert!(self.openssl(&format!("req {KEY} {key} {out} -subj /CN={name} -addext subjectAltName={names}")));
        let (start, end) = years;
        assert!(self.openssl(&format!(
            "ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca-key.pem -in {name}.csr -out {name}.pem \
             -startdate {start}0101000000Z -enddate {end}0101000000Z"
        )));
    }

    fn openssl(&self, arguments: &str) -> bool {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// uvicorn with the speech server and `NAME.pem`, and further options. None where its environment was not made.
    pub fn serve(&self, name: &str, options: &[&str]) -> Option<Secured> {
        let port = free_port();
        let code = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/servers/asr");
        let mut command = super::asr::uvicorn(&venv("cpu")?, port);
        command.current_dir(self.folder.path()).arg("--app-dir").arg(code);
        command.arg("--ssl-keyfile").arg(self.file(&format!("{name}-key.pem")));
        command.arg("--ssl-certfile").arg(self.file(&format!("{name}.pem"))).args(options);
        let server = Secured { child: command.spawn().expect("python starts"), port };
        let end = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "uvicorn did not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }
}

/// A server that is stopped when this is dropped.
pub struct Secured {
    child: Child,
    /// Its port.
    pub port: u16,
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
