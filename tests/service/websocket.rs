//! Sessions over a WebSocket: heard, refused, closed, never ending, broken.

use crate::scripted_server::{Received, ScriptedServer};
use crate::{ask, known, probe, status};
use base64::Engine;
use gpu_doctor::snapshot::{Exchange, Facts};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

const CONFIG: &str = r#"{"type":"config","useAudioWorklet":true,"mode":"full"}"#;
const END: &str = r#"{"type":"ready_to_stop"}"#;

type Socket<'a> = WebSocket<&'a mut TcpStream>;

/// A server whose `/asr` takes WebSockets, and whose other paths do not exist.
fn speech(session: impl Fn(&Received, &mut Socket) + Send + Sync + 'static) -> ScriptedServer {
    ScriptedServer::start(move |request, stream| match path(request) {
        "/asr" if upgrades(request) => {
            accept(request, stream);
            session(request, &mut WebSocket::from_raw_socket(stream, Role::Server, None));
        }
        _ if upgrades(request) => refuse(stream, 403),
        _ => refuse(stream, 404),
    })
}

fn path(request: &Received) -> &str {
    request.target.split('?').next().unwrap_or_default()
}

fn upgrades(request: &Received) -> bool {
    request.head.to_ascii_lowercase().contains("upgrade: websocket")
}

fn refuse(stream: &mut TcpStream, status: u16) {
    let _ = write!(stream, "HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

fn accept(request: &Received, stream: &mut TcpStream) {
    let key = request.head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key").then_some(value.trim())
    });
    let text = format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key.expect("a key"));
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    let agreed = base64::engine::general_purpose::STANDARD.encode(digest);
    let head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept";
    write!(stream, "{head}: {agreed}\r\n\r\n").unwrap();
}

/// Bytes of samples that came before the empty message.
fn listen(socket: &mut Socket) -> usize {
    let mut bytes = 0;
    while let Ok(message) = socket.read() {
        match message {
            Message::Binary(samples) if samples.is_empty() => break,
            Message::Binary(samples) => bytes += samples.len(),
            Message::Close(_) => break,
            _ => {}
        }
    }
    bytes
}

fn say(socket: &mut Socket, text: impl Into<String>) -> bool {
    socket.send(Message::text(text.into())).is_ok()
}

fn close(socket: &mut Socket, code: u16, reason: &'static str) {
    let _ = socket.close(Some(CloseFrame { code: code.into(), reason: reason.into() }));
    while socket.read().is_ok() {}
}

fn asked(server: &ScriptedServer, path: &str) -> Facts {
    probe(ask(&format!("{}{path}", server.url().replace("http://", "ws://")), None), 20)
}

fn rejected(facts: &Facts) -> &Exchange {
    assert!(facts.request.good.known().is_none(), "{:?}", facts.request.good);
    known(&facts.request.rejected)
}

#[test]
fn a_session_is_held_by_its_address_and_by_that_of_the_server() {
    let server = speech(|_, socket| {
        say(socket, CONFIG);
        let _ = socket.send(Message::Ping(b"alive".as_slice().into()));
        let seconds = listen(socket) as f64 / 32_000.0;
        say(socket, r#"{"status":"no_audio_detected","lines":[],"buffer_transcription":""}"#);
        say(socket, format!(r#"{{"lines":[{{"text":" {seconds:.1} seconds of speech."}}]}}"#));
        say(socket, END);
        while socket.read().is_ok() {}
    });
    for facts in [asked(&server, "/asr"), asked(&server, ""), probe(ask(&server.url(), None), 20)] {
        let good = known(&facts.request.good);
        assert_eq!((good.method.as_str(), good.path.as_str(), known(&good.status)), ("WEBSOCKET", "/asr", &101));
        assert!(good.answer.contains("4.6 seconds of speech"), "{good:?}");
        assert!(good.curl.contains("websocat --binary --no-close ws://127.0.0.1:"), "{}", good.curl);
        let stream = known(&good.stream);
        assert_eq!((stream.kind.as_str(), stream.pieces, stream.ended), ("WebSocket messages", 4, true));
        assert!(*known(&stream.first_piece_ms) <= good.duration_ms);
        assert_eq!(known(&facts.request.server_kind), "whisper-websocket");
        let by = known(&facts.request.recognized_by);
        assert!(by.starts_with("WebSocket at /asr: accepted; /gpu-doctor-") && by.ends_with("gets 403"), "{by}");
        assert_eq!(known(&facts.execution.requests_ok), &2, "each request of the window is a session");
    }
}

#[test]
fn a_plain_server_gets_samples_and_is_done_when_it_falls_silent() {
    let server = speech(|_, socket| {
        let bytes = listen(socket);
        say(socket, format!("{bytes} bytes heard"));
        let mut one = [0];
        let _ = socket.get_mut().read(&mut one);
    });
    let facts = asked(&server, "/asr");
    let good = known(&facts.request.good);
    assert_eq!(good.answer, "146080 bytes heard");
    assert!(!known(&good.stream).ended);
    assert_eq!(known(&facts.request.server_kind), "websocket");
}

#[test]
fn a_refusal_before_the_session_is_told_beside_that_of_a_path_that_cannot_exist() {
    let server = ScriptedServer::start(|_, stream| refuse(stream, 403));
    let facts = asked(&server, "/asr");
    assert_eq!(known(&rejected(&facts).status), &403);
    let by = known(&facts.request.recognized_by);
    assert!(by.contains("either the path is wrong or the server refuses every session"), "{by}");
    let server =
        ScriptedServer::start(|request, stream| refuse(stream, if path(request) == "/asr" { 401 } else { 404 }));
    let facts = asked(&server, "");
    assert_eq!((rejected(&facts).path.as_str(), known(&rejected(&facts).status)), ("/asr", &401));
    let nowhere = ScriptedServer::start(|_, stream| refuse(stream, 403));
    let facts = asked(&nowhere, "");
    let error = known(&facts.request.schema_error);
    assert!(error.contains("no WebSocket route was found (/asr 403, /ws 403"), "{error}");
}

#[test]
fn a_session_that_is_closed_tells_code_and_reason() {
    let server = speech(|_, socket| {
        say(socket, CONFIG);
        close(socket, 1008, "No GPU available");
    });
    let facts = asked(&server, "/asr");
    let refused = rejected(&facts);
    assert_eq!((known(&refused.status), refused.accepted), (&101, false));
    let closed = known(&refused.closed);
    assert_eq!((closed.code, closed.reason.as_str()), (1008, "No GPU available"));
    assert_eq!(refused.answer, "closed with 1008 (policy violation): No GPU available");

    let server = speech(|_, socket| {
        listen(socket);
    });
    let facts = asked(&server, "/asr");
    assert_eq!(known(&rejected(&facts).closed).code, 1006, "it hung up without a word");
}

#[test]
fn a_language_that_the_close_message_demands_is_found() {
    let server = speech(|request, socket| {
        if !request.target.contains("language=en") {
            return close(socket, 1008, "language parameter is required");
        }
        say(socket, CONFIG);
        listen(socket);
        say(socket, r#"{"lines":[{"text":"hello"}]}"#);
        say(socket, END);
    });
    let facts = asked(&server, "/asr");
    let missing = &known(&facts.request.missing_fields)[0];
    assert_eq!((missing.name.as_str(), missing.place.as_str(), missing.value.as_str()), ("language", "query", "en"));
    assert_eq!(status(&facts.request.good), 101);
    let facts = asked(&server, "/asr?language=en");
    assert_eq!(known(&facts.request.good).path, "/asr?language=en", "the query of the address is sent");
    assert!(known(&facts.request.missing_fields).is_empty());
    let facts = asked(&server, "/asr?language=en&token=sesame-open-up");
    let target = server.received().last().unwrap().target.clone();
    assert!(target.contains("token=sesame-open-up"), "{target}");
    assert!(known(&facts.request.good).path.contains("token="), "{:?}", facts.request.good);
    assert!(!serde_json::to_string(&facts).unwrap().contains("sesame"));
}

#[test]
fn endless_and_broken_sessions_end() {
    let endless = speech(|_, socket| while say(socket, r#"{"status":"active_transcription","lines":[]}"#) {});
    let begun = Instant::now();
    let facts = asked(&endless, "/asr");
    assert!(begun.elapsed() < Duration::from_secs(25));
    assert_eq!(known(&rejected(&facts).status), &101);
    let garbage = speech(|_, socket| {
        say(socket, CONFIG);
        let _ = socket.get_mut().write_all(&[0xff; 64]);
        let _ = socket.get_mut().read(&mut [0; 64]);
    });
    let facts = asked(&garbage, "/asr");
    assert!(!rejected(&facts).accepted);
    let huge = speech(|_, socket| {
        say(socket, CONFIG);
        let _ = socket.get_mut().write_all(&[0x82, 127, 0, 0, 0, 0xff, 0, 0, 0, 0]);
        let _ = socket.get_mut().read(&mut [0; 64]);
    });
    assert!(!rejected(&asked(&huge, "/asr")).accepted);
    // An upgrade that is none: the key is not answered.
    let fake = ScriptedServer::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 101 Yes\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
    });
    assert!(!rejected(&asked(&fake, "/asr")).accepted);
}

#[test]
fn silence_as_an_answer_to_speech_is_an_empty_transcript() {
    let server = speech(|_, socket| {
        say(socket, CONFIG);
        listen(socket);
        say(socket, r#"{"status":"no_audio_detected","lines":[],"buffer_transcription":""}"#);
        say(socket, END);
    });
    let facts = asked(&server, "/asr");
    let good = known(&facts.request.good);
    assert_eq!(good.answer, r#"{"status":"no_audio_detected","lines":[],"buffer_transcription":""}"#);
    assert!(known(&good.stream).first_piece_ms.known().is_none(), "no message held a text");
    let soft = &known(&facts.request.soft_failures)[0];
    assert_eq!(soft.kind, "empty_transcript");
    assert!(soft.detail.contains("quick brown fox") && soft.detail.contains("no_audio_detected"), "{soft:?}");
    // One that is no recognizer has no transcript to be empty.
    let counter = speech(|_, socket| {
        listen(socket);
        say(socket, r#"{"voiced": true, "start": 0.1}"#);
        while socket.read().is_ok() {}
    });
    let facts = asked(&counter, "/asr");
    assert!(known(&facts.request.good).accepted);
    assert_eq!(known(&facts.request.soft_failures).len(), 0, "{:?}", facts.request.soft_failures);
}
