//! A server that plays a script: for each request it reads, a function writes the bytes that go back.
//!
//! Not every test uses all of it.
#![allow(dead_code)]

#[path = "printed.rs"]
mod printed;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Received {
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Head as text.
    pub head: String,
    /// Body as text, invalid UTF-8 replaced.
    pub body: String,
}

/// A running server; it stops when this is dropped.
pub struct ScriptedServer {
    port: u16,
    stop: Arc<AtomicBool>,
    received: Arc<Mutex<Vec<Received>>>,
    thread: Option<JoinHandle<()>>,
}

impl ScriptedServer {
    /// Starts a server whose answers `play` writes, each on a connection of its own.
    pub fn start(play: impl Fn(&Received, &mut TcpStream) + Send + Sync + 'static) -> Self {
        printed::is_no_log();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let received = Arc::new(Mutex::new(Vec::new()));
        let (halt, log, play) = (stop.clone(), received.clone(), Arc::new(play));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if halt.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(mut stream), log, play) = (stream, log.clone(), play.clone()) else { continue };
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                    if let Some(request) = read(&mut stream) {
                        log.lock().unwrap().push(request.clone());
                        play(&request, &mut stream);
                    }
                });
            }
        });
        Self { port, stop, received, thread: Some(thread) }
    }

    /// Starts a server that answers with status, content type and body.
    pub fn answering(answer: impl Fn(&Received) -> (u16, &'static str, String) + Send + Sync + 'static) -> Self {
        Self::start(move |request, stream| {
            let (status, content_type, body) = answer(request);
            let _ = stream.write_all(respond(status, content_type, &body).as_bytes());
        })
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A whole HTTP/1.1 answer.
pub fn respond(status: u16, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 65536];
    let (head, start) = loop {
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break (String::from_utf8_lossy(&bytes[..at]).into_owned(), at + 4);
        }
    };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while bytes.len() < start + length.unwrap_or(0) {
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
    }
    let mut first = head.lines().next()?.split(' ').map(str::to_owned);
    let (method, target) = (first.next()?, first.next()?);
    let body = String::from_utf8_lossy(&bytes[start..]).into_owned();
    Some(Received { method, target, head, body })
}
