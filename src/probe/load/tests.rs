//! The engine against a small server of its own, with every fault that a server has.

use super::*;
use hyper::body::Bytes;
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the server does with its `n`th request of all connections.
type Answering = fn(&mut TcpStream, u64) -> std::io::Result<()>;

/// A server with a thread for each connection. It ends with the test's process.
struct Server {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl Server {
    fn start(answer: Answering) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (of_requests, of_connections) = (requests.clone(), connections.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                of_connections.fetch_add(1, Ordering::SeqCst);
                let requests = of_requests.clone();
                std::thread::spawn(move || serve(stream, &requests, answer));
            }
        });
        Self { address, requests, connections }
    }
}

fn serve(mut stream: TcpStream, requests: &AtomicU64, answer: Answering) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        // Every body of these tests is four bytes long.
        if let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n")
            && bytes.len() >= head + 8
        {
            bytes.drain(..head + 8);
            if answer(&mut stream, requests.fetch_add(1, Ordering::SeqCst)).is_err() {
                return;
            }
            continue;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

fn good(stream: &mut TcpStream, _: u64) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
}

pub struct Plain(pub SocketAddr);

impl Dial for Plain {
    fn open(&self) -> Opening<'_> {
        Box::pin(async {
            let stream = tokio::net::TcpStream::connect(self.0).await.map_err(|error| Fault::of_io(&error))?;
            stream.set_nodelay(true).map_err(|error| Fault::of_io(&error))?;
            Ok(Box::new(stream) as Box<dyn Wire>)
        })
    }
}

/// Accepts 200, whatever it says.
#[derive(Default)]
pub struct Status(Cell<u64>);

impl Judge for Status {
    fn read(&self, status: u16, _: &HeaderMap, body: &[u8]) -> Judged {
        self.0.set(self.0.get() + body.len() as u64);
        Judged { accepted: status == 200, server_ms: None }
    }
}

fn prepared() -> Prepared {
    Prepared {
        method: Method::POST,
        uri: "/asr".parse().unwrap(),
        headers: [(hyper::header::HOST, hyper::header::HeaderValue::from_static("server"))].into_iter().collect(),
        bodies: vec![Bytes::from_static(b"one!"), Bytes::from_static(b"two!")].into(),
        judge: Box::new(Status(Cell::new(0))),
    }
}

fn step(users: u32, rate_rps: Option<f64>, length_ms: u64) -> Step {
    Step {
        users,
        rate_rps,
        length: Duration::from_millis(length_ms),
        limit: Duration::from_secs(5),
        patience: Duration::from_millis(500),
        think_time: Duration::ZERO,
    }
}

pub fn until(requests: u64) -> Stop {
    let deadline = Instant::now() + Duration::from_secs(20);
    Stop::new(Limits { requests, failed_share: 0.5, judged: 20, deadline }, Arc::default(), Arc::default())
}

fn measure(server: SocketAddr, step: &Step, stop: &Stop) -> Measured {
    carry_out(&prepared(), &Plain(server), step, stop).unwrap()
}

/// A count that ends a step hides none of the requests that were due by then; and one due at the end itself is none.
#[test]
fn what_a_rate_could_not_start_is_told_however_the_step_ended() {
    let server = Server::start(|stream, n| {
        std::thread::sleep(Duration::from_millis(200));
        good(stream, n)
    });
    let measured = measure(server.address, &step(1, Some(200.0), 2000), &until(4));
    assert_eq!(measured.tally.requests, 4);
    assert!(measured.tally.dropped > 60, "{} of about 156", measured.tally.dropped);
    let server = Server::start(good);
    let measured = measure(server.address, &step(4, Some(8.3), 3000), &until(u64::MAX));
    assert!(measured.tally.dropped <= 1, "{}", measured.tally.dropped);
}

#[test]
fn each_user_has_one_connection_and_what_is_counted_is_what_the_server_saw() {
    let server = Server::start(good);
    let stop = until(u64::MAX);
    let measured = measure(server.address, &step(5, None, 300), &stop);
    let tally = &measured.tally;
    assert_eq!(server.connections.load(Ordering::SeqCst), 5);
    assert_eq!(server.requests.load(Ordering::SeqCst), tally.requests);
    assert!(tally.ok > 50 && tally.failed == 0 && tally.unfinished == 0, "{} {}", tally.ok, tally.failed);
    assert_eq!(tally.by_status.get(&200), Some(&tally.ok));
    assert_eq!(stop.reason(), None);
    // Little's law.
    let mean_ms = tally.latency.spread("requests").known().unwrap().mean;
    let by_law = tally.requests as f64 * mean_ms / 300.0;
    let under_way = tally.under_way.as_secs_f64() / 0.3;
    assert!((by_law / under_way - 1.0).abs() < 0.1, "{by_law} {under_way}");
    assert!(measured.own_cpu.unwrap() > Duration::ZERO);
}

#[test]
fn a_rate_is_kept_and_a_stall_is_told_from_the_intended_start() {
    let server = Server::start(|stream, n| {
        if n == 20 {
            std::thread::sleep(Duration::from_millis(300));
        }
        good(stream, n)
    });
    let measured = measure(server.address, &step(1, Some(100.0), 1000), &until(u64::MAX));
    let tally = &measured.tally;
    let spread = tally.latency.spread("requests").known().cloned().unwrap();
    assert!((90..=100).contains(&tally.requests), "{}", tally.requests);
    assert_eq!(tally.requests + tally.dropped, 100);
    // Requests that were to start in the stall waited for it; a client that waits for answers would see one of them.
    assert!(spread.p90 > 50.0 && spread.max > 280.0, "{spread:?}");
    assert!(spread.median < 50.0, "{spread:?}");
}

#[test]
fn requests_for_which_no_connection_was_free_are_dropped_and_said() {
    let server = Server::start(|stream, n| {
        std::thread::sleep(Duration::from_millis(100));
        good(stream, n)
    });
    let measured = measure(server.address, &step(2, Some(100.0), 500), &until(u64::MAX));
    let tally = &measured.tally;
    assert!((8..=12).contains(&tally.requests), "{}", tally.requests);
    assert_eq!(tally.requests + tally.dropped, 50);
}

#[test]
fn every_fault_has_its_name() {
    let told = |answer: Answering| {
        let server = Server::start(answer);
        let stop = until(u64::MAX);
        let measured =
            measure(server.address, &Step { limit: Duration::from_millis(150), ..step(2, None, 400) }, &stop);
        let mut faults: Vec<&str> = measured.tally.by_fault.keys().map(|fault| fault.name()).collect();
        faults.extend(
            measured.tally.by_status.keys().map(|status| if *status == 200 { "200" } else { "another status" }),
        );
        (faults.join(" "), measured.tally.failed > 0)
    };
    assert_eq!(told(good), ("200".into(), false));
    assert_eq!(
        told(|stream, _| stream.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")).0,
        "another status"
    );
    assert_eq!(told(|_, _| Err(std::io::ErrorKind::Other.into())), ("closed_early".into(), true));
    let half: Answering = |stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")?;
        Err(std::io::ErrorKind::Other.into())
    };
    assert_eq!(told(half), ("closed_early".into(), true));
    assert_eq!(told(|stream, _| stream.write_all(b"SSH-2.0-server\r\n\r\n")), ("not_http".into(), true));
    let slow: Answering = |stream, n| {
        std::thread::sleep(Duration::from_secs(1));
        good(stream, n)
    };
    assert_eq!(told(slow), ("timed_out".into(), true));
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stop = until(u64::MAX);
    let measured = measure(gone, &step(3, None, 300), &stop);
    assert_eq!(measured.tally.by_fault.keys().copied().collect::<Vec<_>>(), [Fault::ConnectRefused]);
    assert!(measured.tally.requests < 30, "a server that is gone is not hammered: {}", measured.tally.requests);
}

#[test]
fn it_stops_by_itself() {
    let server = Server::start(|stream, _| stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"));
    let stop = until(u64::MAX);
    let measured = measure(server.address, &step(4, None, 5000), &stop);
    assert_eq!(stop.reason(), Some("errors"));
    assert!(measured.tally.requests < 40 && measured.window < Duration::from_secs(2));
    let server = Server::start(good);
    let stop = until(7);
    assert_eq!(measure(server.address, &step(4, None, 5000), &stop).tally.ok, 7);
    assert_eq!(stop.reason(), Some("requests"));
    let interrupted = Arc::new(AtomicBool::new(false));
    let limits =
        Limits { requests: u64::MAX, failed_share: 0.5, judged: 20, deadline: Instant::now() + Duration::from_secs(9) };
    let stop = Stop::new(limits, interrupted.clone(), Arc::default());
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        interrupted.store(true, Ordering::SeqCst);
    });
    let measured = measure(server.address, &step(4, None, 5000), &stop);
    assert_eq!(stop.reason(), Some("interrupted"));
    assert!(measured.window < Duration::from_secs(2) && measured.tally.ok > 0);
}

#[test]
fn a_connection_that_the_server_closes_between_requests_is_no_failure() {
    let server = Server::start(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")?;
        Err(std::io::ErrorKind::Other.into())
    });
    let measured = measure(server.address, &step(2, None, 300), &until(50));
    assert_eq!((measured.tally.ok, measured.tally.failed), (50, 0));
    assert_eq!(server.connections.load(Ordering::SeqCst), 50);
}
