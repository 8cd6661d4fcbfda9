//! Connections that are kept, and lost.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

fn client(url: &Url) -> Http {
    Http::new(url, &Route::default(), Instant::now() + Duration::from_secs(60)).unwrap()
}

fn outgoing(method: &str, url: &Url) -> Outgoing {
    let (method, url) = (method.into(), url.clone());
    Outgoing { method, url, headers: Vec::new(), payload: Payload::Empty, follow: false }
}

/// Answers one request on each connection, promises to keep it open, and closes it.
fn closing_server(connections: usize) -> (Url, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let serve = move || {
        for stream in listener.incoming().take(connections) {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            // Closed only when the answer has long been read.
            std::thread::sleep(Duration::from_millis(30));
        }
    };
    (url, std::thread::spawn(serve))
}

#[test]
fn a_request_is_not_lost_on_a_connection_that_the_server_has_closed() {
    let (url, server) = closing_server(5);
    let http = client(&url);
    for turn in 0..5 {
        let reply = http.send(&outgoing("POST", &url), Duration::from_secs(10));
        assert_eq!(reply.map(|reply| reply.status).map_err(|failure| failure.text), Ok(200), "request {turn}");
        // The server's goodbye arrives while nothing runs here.
        std::thread::sleep(Duration::from_millis(150));
    }
    server.join().unwrap();
}

/// Answers every request on the connections that it keeps open.
fn patient_server() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|count| count > 0) {
                if line == "\r\n" {
                    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
                }
                line.clear();
            }
        }
    });
    url
}

#[test]
fn a_connection_is_kept_and_its_phases_are_told() {
    let url = patient_server();
    let http = client(&url);
    let phases = |_: u8| http.send(&outgoing("GET", &url), Duration::from_secs(10)).unwrap().phases.unwrap();
    let (first, second) = (phases(1), phases(2));
    assert!(first.connect_ms.known().is_some() && first.resolve_ms.reason().is_some(), "{first:?}");
    assert!(second.connect_ms.reason().unwrap().detail.contains("kept"), "{second:?}");
    for phases in [&first, &second] {
        let (byte, total) = (phases.first_byte_ms.known().unwrap(), phases.total_ms.known().unwrap());
        assert!(byte <= total && *byte > 0.0, "{phases:?}");
    }
    let transport = http.transport();
    assert_eq!(transport.first_exchange.known(), Some(&first));
    assert_eq!(transport.protocol.known().unwrap(), "HTTP/1.1");
    assert_eq!(transport.tls_fault.known().unwrap(), "");
}
