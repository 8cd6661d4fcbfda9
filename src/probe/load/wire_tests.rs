//! What passes on the wire: large bodies, answers that come early, in pieces or not at all.

use super::tests::{Plain, Status, until};
use super::*;
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderValue};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A server that does with each of its connections what it is told, one after the other.
fn serve(answer: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

/// The next request's head, in lower case, and what came of its body; an error where there is none.
fn head(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 1000]);
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).to_lowercase(), body));
        }
        match stream.read(&mut chunk)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

fn request(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let (head, mut body) = head(stream)?;
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok()).unwrap_or(0);
    let begun = body.len();
    body.resize(length, 0);
    stream.read_exact(&mut body[begun..])?;
    Ok((head, body))
}

fn prepared(bodies: Vec<Bytes>) -> Prepared {
    Prepared {
        method: Method::POST,
        uri: "/asr?lang=en".parse().unwrap(),
        headers: [(HOST, HeaderValue::from_static("server"))].into_iter().collect(),
        bodies: bodies.into(),
        judge: Box::new(Status::default()),
    }
}

fn measure(server: SocketAddr, bodies: Vec<Bytes>, requests: u64, think_time: Duration) -> Tally {
    let step = Step {
        users: 1,
        rate_rps: None,
        length: Duration::from_secs(10),
        limit: Duration::from_secs(5),
        patience: Duration::from_secs(1),
        think_time,
    };
    carry_out(&prepared(bodies), &Plain(server), &step, &until(requests)).unwrap().tally
}

fn small() -> Vec<Bytes> {
    vec![Bytes::from_static(b"four")]
}

/// Outcomes of so many requests to a server that answers every request by these bytes, and then closes or goes on.
fn told(answer: &'static str, goes_on: bool) -> String {
    let server = serve(move |mut stream| {
        loop {
            request(&mut stream)?;
            stream.write_all(answer.as_bytes())?;
            if !goes_on {
                return Ok(());
            }
        }
    });
    let tally = measure(server, small(), 3, Duration::from_millis(20));
    let faults = tally.by_fault.iter().map(|(fault, count)| format!("{count} {}", fault.name()));
    tally
        .by_status
        .iter()
        .map(|(status, count)| format!("{count} {status}"))
        .chain(faults)
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn large_bodies_arrive_whole_and_each_is_its_own() {
    let (sender, came) = channel();
    let sender = Mutex::new(sender);
    let server = serve(move |mut stream| {
        loop {
            let (head, body) = request(&mut stream)?;
            let _ = sender.lock().unwrap().send((head, body));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        }
    });
    // More than a socket holds, so that it goes out in pieces.
    let base: Vec<u8> = (0..6_000_000_u32).map(|n| (n % 251) as u8).collect();
    let longer = [&base[..1000], b"a comment", &base[1000..]].concat();
    let mut other = base.clone();
    other[3_000_000] ^= 1;
    let bodies: Vec<Bytes> = [base, longer, other, Vec::new()].map(Bytes::from).into();
    let tally = measure(server, bodies.clone(), 8, Duration::ZERO);
    assert_eq!((tally.ok, tally.failed), (8, 0), "{:?}", tally.by_fault);
    for (number, body) in bodies.iter().cycle().take(8).enumerate() {
        let (head, sent) = came.recv().unwrap();
        assert!(sent == *body, "body {number}: {} bytes", sent.len());
        let expected = format!("post /asr?lang=en http/1.1\r\nhost: server\r\ncontent-length: {}\r\n\r\n", body.len());
        assert_eq!(head, expected);
    }
}

#[test]
fn an_answer_counts_before_the_body_is_sent() {
    let server = serve(|mut stream| {
        head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 413 Too large\r\ncontent-length: 0\r\n\r\n")?;
        // It reads no further, and closes later: what it said must not be lost on the way.
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    });
    let tally = measure(server, vec![Bytes::from(vec![7; 20_000_000])], 2, Duration::ZERO);
    assert_eq!((tally.by_status.get(&413), tally.failed), (Some(&2), 2), "{:?}", tally.by_fault);
    assert!(tally.by_fault.is_empty());
}

#[test]
fn what_ends_in_the_middle_is_named() {
    assert_eq!(told("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", false), "3 closed_early");
    assert_eq!(told("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf", false), "3 closed_early");
    assert_eq!(told("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n", true), "3 not_http");
    let server = serve(|mut stream| {
        request(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")?;
        // So that the half was read before the reset takes it away.
        std::thread::sleep(Duration::from_millis(20));
        let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
        let size = libc::socklen_t::try_from(size_of_val(&at_once)).unwrap();
        // SAFETY: reads a live structure of that size.
        let set = unsafe {
            libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const at_once).cast(), size)
        };
        assert_eq!(set, 0);
        Ok(())
    });
    let tally = measure(server, small(), 3, Duration::ZERO);
    assert_eq!((tally.by_fault.get(&Fault::Reset), tally.failed), (Some(&3), 3), "{:?}", tally.by_fault);
}

#[test]
fn however_an_answer_is_framed_it_is_one() {
    assert_eq!(told("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true), "3 200");
    assert_eq!(told("HTTP/1.0 200 OK\r\n\r\nuntil it closes", false), "3 200");
    assert_eq!(told("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\r\n\r\n", true), "3 204");
}

/// The next request finds the connection closed, and is sent on another one.
#[test]
fn a_connection_that_ended_between_requests_is_no_failure() {
    assert_eq!(told("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false), "3 200");
    let timeout = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 408 Slow\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(told(timeout, false), "3 200", "what nobody asked for is no answer");
}

#[test]
fn who_waits_for_a_slow_rate_hears_of_an_interrupt() {
    let server = serve(|mut stream| {
        loop {
            request(&mut stream)?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        }
    });
    let interrupted = Arc::new(AtomicBool::new(false));
    let deadline = Instant::now() + Duration::from_secs(60);
    let limits = Limits { requests: u64::MAX, failed_share: 0.5, judged: 20, deadline };
    let stop = Stop::new(limits, interrupted.clone(), Arc::default());
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        interrupted.store(true, Ordering::SeqCst);
    });
    let step = Step {
        users: 20,
        rate_rps: Some(0.5),
        length: Duration::from_secs(50),
        limit: Duration::from_secs(5),
        patience: Duration::from_secs(1),
        think_time: Duration::ZERO,
    };
    let measured = carry_out(&prepared(small()), &Plain(server), &step, &stop).unwrap();
    assert!(measured.window < Duration::from_secs(5), "{:?}", measured.window);
    assert_eq!((measured.tally.ok, measured.tally.failed, stop.reason()), (1, 0, Some("interrupted")));
}
