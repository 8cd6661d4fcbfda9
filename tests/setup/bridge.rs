//! Carries bytes between a client and a server: a Unix socket before a TCP port, and a proxy.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Copies one direction until it ends.
fn copy(mut from: impl Read + Send + 'static, mut to: impl Write + Send + 'static) {
    std::thread::spawn(move || {
        let mut chunk = [0; 16384];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            if to.write_all(&chunk[..count]).is_err() {
                return;
            }
        }
    });
}

/// A Unix socket that carries to the port. It serves as long as the test runs.
pub fn unix_socket(path: &Path, port: u16) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            copy(stream.try_clone().unwrap(), server.try_clone().unwrap());
            copy(server, stream);
        }
    });
}

/// A proxy that does what it is asked to, and the heads that it was asked with.
pub struct Proxy {
    /// Its port.
    pub port: u16,
    /// Heads of the requests.
    pub heads: Arc<Mutex<Vec<String>>>,
}

/// Starts a proxy that connects to `port` whatever the name is, and refuses with `refusal` where one is given.
pub fn proxy(port: u16, refusal: Option<&'static str>) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let proxy = Proxy { port: listener.local_addr().unwrap().port(), heads: heads.clone() };
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                head.push(byte[0]);
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            heads.lock().unwrap().push(text.clone());
            if let Some(refusal) = refusal {
                let _ = stream.write_all(refusal.as_bytes());
                continue;
            }
            let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            match text.starts_with("CONNECT ") {
                true => stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap(),
                // A server takes the whole URL too (RFC 9112, section 3.2.2).
                false => server.write_all(&head).unwrap(),
            }
            copy(stream.try_clone().unwrap(), server.try_clone().unwrap());
            copy(server, stream);
        }
    });
    proxy
}
