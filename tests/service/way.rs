//! Ways to a server: Unix sockets, proxies, HTTP/2, redirects; and ports on which something else speaks.

use crate::bridge;
use crate::scripted_server::{ScriptedServer, respond};
use crate::{ask, known, probe, status};
use gpu_doctor::snapshot::{Fact, Transport};
use std::io::Write;
use std::time::Duration;

fn port(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().trim_matches('/').parse().unwrap()
}

fn text(fact: &Fact<String>) -> &str {
    known(fact).as_str()
}

#[test]
fn a_server_at_a_unix_socket_is_asked() {
    let demo = gpu_doctor::demo::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    bridge::unix_socket(&path, port(&demo.url()));
    let mut question = ask("http://asr.example", None);
    question.connection.unix_socket = Some(path.clone());
    assert_eq!(question.target().server_is_local, Some(true));
    let facts = probe(question.clone(), 20);
    assert_eq!(status(&facts.request.good), 200);
    let way = known(&facts.request.transport);
    assert_eq!((text(&way.unix_socket), text(&way.proxy)), (path.to_str().unwrap(), ""));

    question.connection.unix_socket = Some(folder.path().join("other.sock"));
    let error = probe(question, 20).request.reach_error;
    assert!(text(&error).contains("other.sock: there is no such socket"), "{error:?}");
}

#[test]
fn a_proxy_gets_whole_urls_and_its_own_credentials() {
    let demo = gpu_doctor::demo::start().unwrap();
    let proxy = bridge::proxy(port(&demo.url()), None);
    let mut question = ask("http://does-not-exist.invalid:8000", None);
    question.connection.proxy = Some(format!("http://bob:S3CRET-word@127.0.0.1:{}", proxy.port));
    question.headers = vec![("authorization".into(), "Bearer sesame-open-up".into())];
    let facts = probe(question, 20);
    let head = proxy.heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("GET http://does-not-exist.invalid:8000/openapi.json HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: Basic Ym9iOlMzQ1JFVC13b3Jk"), "{head}");
    assert!(head.contains("host: does-not-exist.invalid:8000\r\n"), "{head}");
    let way = known(&facts.request.transport);
    let shown = format!("http://127.0.0.1:{}", proxy.port);
    assert_eq!((text(&way.proxy), text(&way.proxy_from)), (shown.as_str(), "--proxy"));
    assert_eq!(text(&way.credentials), "authorization (Bearer)");
    let recorded = serde_json::to_string(&facts).unwrap();
    assert!(!recorded.contains("S3CRET") && !recorded.contains("Ym9i") && !recorded.contains("sesame"), "{recorded}");
}

#[test]
fn a_proxy_that_refuses_says_nothing_of_the_server() {
    let refusing = bridge::proxy(1, Some("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"));
    let mut question = ask("https://does-not-exist.invalid", None);
    question.connection.proxy = Some(format!("http://127.0.0.1:{}", refusing.port));
    let facts = probe(question, 20);
    let reason = facts.request.reachable.reason().expect("the server was not asked");
    assert!(reason.detail.contains("the proxy") && reason.detail.contains("wants credentials (407)"), "{reason}");
    assert!(refusing.heads.lock().unwrap()[0].starts_with("CONNECT does-not-exist.invalid:443 HTTP/1.1"));
}

#[test]
fn http_2_without_tls_is_spoken_when_asked_for() {
    let port = crate::two::start();
    let url = format!("http://127.0.0.1:{port}");
    let client = format!("curl {url}/asr -d text=hi");
    let mut question = ask(&url, Some(&client));
    question.connection.http2 = true;
    let facts = probe(question, 20);
    let client = known(&facts.request.client);
    assert_eq!((known(&client.status), client.answer.as_str()), (&200, "HTTP/2.0 POST /asr text=hi"));
    assert_eq!(text(&known(&facts.request.transport).protocol), "HTTP/2");

    let error = probe(ask(&url, None), 20).request.reach_error;
    assert!(text(&error).contains("HTTP/2 without TLS") && text(&error).contains("--http2"), "{error:?}");
    let demo = gpu_doctor::demo::start().unwrap();
    let mut question = ask(&demo.url(), None);
    question.connection.http2 = true;
    let error = probe(question, 20).request.reach_error;
    assert!(text(&error).contains("--http2"), "{error:?}");
}

/// What a port of that greeting is said to be.
fn said_of(greeting: &'static [u8]) -> String {
    let server = ScriptedServer::start(move |_, stream| {
        let _ = stream.write_all(greeting);
        std::thread::sleep(Duration::from_millis(50));
    });
    let facts = probe(ask(&server.url(), None), 20);
    assert_eq!(known(&facts.request.reachable), &false);
    text(&facts.request.reach_error).to_owned()
}

#[test]
fn another_protocol_is_named() {
    for (greeting, words) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "\"SSH-2.0-OpenSSH_9.6\", as an SSH server answers"),
        (b"-ERR wrong number of arguments for 'get' command\r\n", "as Redis answers"),
        (
            b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff",
            "HTTP/2 without TLS, as gRPC servers",
        ),
        (b"\xff\xfe\x00\x01\x02", "binary data"),
    ] {
        let said = said_of(greeting);
        assert!(said.contains(words), "{said}");
    }
    // The answer is read before its first byte, for servers that greet without being asked.
    let eager = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", eager.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in eager.incoming().flatten() {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n");
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let error = probe(ask(&url, None), 20).request.reach_error;
    assert!(text(&error).contains("SSH server"), "{error:?}");
}

#[test]
fn a_page_of_a_tls_port_is_its_fault() {
    for page in [
        "<center>The plain HTTP request was sent to HTTPS port</center>",
        "Client sent an HTTP request to an HTTPS server.\n",
        "Reason: You're speaking plain HTTP to an SSL-enabled server port.",
    ] {
        let server = ScriptedServer::answering(move |_| (400, "text/html", page.into()));
        let facts = probe(ask(&server.url(), None), 20);
        assert_eq!(known(&facts.request.reachable), &false, "{page}");
        let way = known(&facts.request.transport);
        assert_eq!(text(&way.tls_fault), "tls_port");
        assert!(text(&facts.request.reach_error).contains("name it https://"), "{:?}", facts.request.reach_error);
    }
}

#[test]
fn heads_without_end_and_packed_bodies_are_said() {
    let long = ScriptedServer::start(|_, stream| {
        let head = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\ncontent-length: 2\r\n\r\nok", "y".repeat(1 << 20));
        let _ = stream.write_all(head.as_bytes());
    });
    let error = probe(ask(&long.url(), None), 20).request.reach_error;
    assert!(text(&error).contains("the head of the answer is longer than 256 KiB"), "{error:?}");

    let packing = ScriptedServer::start(|_, stream| {
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n";
        let _ = stream.write_all(&[head.as_bytes(), &[0x1f, 0x8b, 8, 0]].concat());
    });
    let client = format!("curl {}/asr -d text=hi", packing.url());
    let facts = probe(ask(&packing.url(), Some(&client)), 20);
    assert_eq!(known(&facts.request.client).answer, "(4 bytes, packed with gzip although nothing asked for that)");
    assert!(packing.received().iter().all(|one| !one.head.to_ascii_lowercase().contains("accept-encoding")));
}

#[test]
fn a_stream_that_goes_on_is_an_answer_with_its_first_token() {
    let server = ScriptedServer::start(|request, stream| {
        if request.method != "POST" {
            return drop(stream.write_all(respond(404, "text/plain", "no").as_bytes()));
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: ping\n\n");
        std::thread::sleep(Duration::from_millis(60));
        let token = b"data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
        while stream.write_all(token).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let client = format!("curl -m 1 {}/v1/chat/completions --json '{{\"stream\":true}}'", server.url());
    let facts = probe(ask(&server.url(), Some(&client)), 20);
    let client = known(&facts.request.client);
    assert!(client.accepted, "{client:?}");
    let stream = known(&client.stream);
    assert_eq!((stream.kind.as_str(), stream.ended), ("server-sent events", false));
    assert!(stream.pieces > 5 && (50.0..900.0).contains(known(&stream.first_piece_ms)), "{stream:?}");
}

#[test]
fn a_refusal_that_comes_while_the_body_is_sent_is_heard() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // nginx's way: the head alone decides, then what still comes is read for a while.
            let mut head = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut head);
            let _ = stream.write_all(respond(413, "text/html", "<hr><center>nginx/1.22.1</center>").as_bytes());
            let _ = stream.set_read_timeout(Some(Duration::from_millis(300)));
            while matches!(std::io::Read::read(&mut stream, &mut [0; 65536]), Ok(1..)) {}
        }
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("long.wav"), vec![7; 5 << 20]).unwrap();
    let client = format!("curl {url}/asr -F audio=@{}/long.wav", folder.path().display());
    let facts = probe(ask(&url, Some(&client)), 20);
    let client = known(&facts.request.client);
    assert_eq!(known(&client.status), &413);
    assert_eq!(known(&client.sent_bytes), &(5 << 20));
}

#[test]
fn a_server_of_many_minds_is_borne() {
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let server = ScriptedServer::start(move |_, stream| {
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let answers: [&[u8]; 7] = [
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
            b"HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 301 Moved\r\nlocation: \xff\xfe\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n\xc3\x28",
            b"SSH-2.0-x\r\n",
            b"",
        ];
        let _ = stream.write_all(answers[turn % answers.len()]);
    });
    let client = format!("curl -L {}/asr -d text=hi", server.url());
    for _ in 0..7 {
        let facts = probe(ask(&server.url(), Some(&client)), 20);
        assert!(facts.request.reachable.known().is_some(), "{:?}", facts.request.reachable);
    }
}

#[test]
fn a_client_that_names_another_server_is_said() {
    let demo = gpu_doctor::demo::start().unwrap();
    let names = |client: &str| {
        let facts = probe(ask(&demo.url(), Some(client)), 20);
        text(&known(&facts.request.transport).client_names).to_owned()
    };
    assert_eq!(names("curl https://asr.example/asr?token=S3CRET -d lang=en"), "https://asr.example");
    assert_eq!(names(&format!("curl {}/asr -d lang=en", demo.url().replace("127.0.0.1", "localhost"))), "");
}

#[test]
fn without_an_answer_nothing_is_said_of_tls() {
    let facts = probe(ask("http://127.0.0.1:1", None), 5);
    let way: &Transport = known(&facts.request.transport);
    assert!(way.tls_fault.reason().is_some() && way.protocol.reason().is_some(), "{way:?}");
}
