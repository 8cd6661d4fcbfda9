//! Speech over a WebSocket: one session is one request. The upgrade is an HTTP request like any other; what comes after
//! it is here: the samples go out in binary messages, an empty one ends them, and what the server says is listened to.
//!
//! The protocol is WhisperLiveKit's (<https://github.com/QuentinFuxa/WhisperLiveKit>, docs/API.md): a first message
//! `{"type": "config", "useAudioWorklet": true}` asks for raw PCM, states follow, `{"type": "ready_to_stop"}` is the last.
//! A server that says no such things is sent the same, and is done when it has answered and falls silent.

mod audio;
pub mod routes;
mod session;
#[cfg(test)]
mod tests;
mod text;

use super::transport::{Failure, Outgoing, Payload, Reply, failure};
use crate::snapshot::{Fact, Stream, Why};
use futures_util::future::{Either, select};
use futures_util::{SinkExt, StreamExt};
use session::Heard;
pub use session::Session;
use std::time::{Duration, Instant};
pub use text::is_empty_transcript;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// The method by which a session is told from a GET.
pub const METHOD: &str = "WEBSOCKET";
/// Largest message and all messages of a session together, bytes; messages.
const MESSAGE_CAP: usize = 1 << 20;
const SESSION_CAP: usize = 8 << 20;
const MESSAGES_MAX: usize = 20_000;
/// How long the server may take to say its configuration before the samples are sent.
const GREETING: Duration = Duration::from_millis(700);
/// Silence after an answer by which a server that says no end is done.
const SILENCE: Duration = Duration::from_secs(2);
/// Longest wait for the server's part of the goodbye.
const GOODBYE: Duration = Duration::from_millis(500);
/// Samples in one message, bytes: half a second.
const CHUNK: usize = 16_000;

/// Headers of the upgrade (RFC 6455, 4.1). The key need not be secret, only there.
pub const UPGRADE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "Z3B1LWRvY3Rvci1hc2tzLg=="),
];
/// What the server must make of the key (RFC 6455, 4.2.2): the base64 of the SHA-1 of key and a fixed text.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether the server's answer to the upgrade is that of a WebSocket server.
pub fn agreed(reply: &Reply) -> Result<(), Failure> {
    let given = reply.headers.iter().find(|(name, _)| name == "sec-websocket-accept").map(|(_, value)| value.trim());
    let key = UPGRADE.iter().find(|(name, _)| *name == "sec-websocket-key").map_or("", |(_, key)| key);
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    match given == Some(super::message::base64(digest.as_ref()).as_str()) {
        true => Ok(()),
        false => Err(failure(Why::Malformed, "the upgrade was answered, but not as by a WebSocket server".into())),
    }
}

/// The first message of a session in which this file is spoken to a server that greeted so.
pub fn first_message(file: &[u8], greeting: &str) -> Vec<u8> {
    let wants_file = greeting.lines().any(|line| text::meaning(line) == text::Meaning::Config { file: true });
    let sound = if wants_file { file } else { audio::samples(file) };
    sound.get(..CHUNK).unwrap_or(sound).to_vec()
}

/// Holds a session on an upgraded connection. What came is in `reply` at every moment, for a session that runs out of
/// time. A request without a payload only listens whether the server greets.
///
/// # Errors
/// The connection broke, or the server's messages were no WebSocket's.
pub async fn hold<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    outgoing: &Outgoing,
    started: Instant,
    reply: &mut Reply,
) -> Result<(), Failure> {
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .max_message_size(Some(MESSAGE_CAP))
        .max_frame_size(Some(MESSAGE_CAP));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await;
    let mut heard = Heard::new(started);
    let result = talk(&mut socket, &outgoing.payload, &mut heard, reply).await;
    heard.write(reply);
    if result.is_ok() && heard.close.is_none() {
        let goodbye = async {
            let _ = socket.close(None).await;
            while let Some(Ok(_)) = socket.next().await {}
        };
        // The server's work is done; one that does not say goodbye is left.
        let _ = timeout(GOODBYE, goodbye).await;
    }
    result
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    payload: &Payload,
    heard: &mut Heard,
    reply: &mut Reply,
) -> Result<(), Failure> {
    let greeted = Instant::now() + GREETING;
    // A ping is no greeting.
    while heard.messages == 0
        && let Ok(message) = timeout(greeted.saturating_duration_since(Instant::now()), socket.next()).await
    {
        if listen(message, heard, reply)? {
            return Ok(());
        }
    }
    let Payload::Bytes { bytes, .. } = payload else { return Ok(()) };
    let sound = if heard.wants_file { bytes } else { audio::samples(bytes) };
    let (mut sink, mut source) = socket.split();
    // While the samples go out, for a server that stops reading until it is read.
    let send = async {
        for chunk in sound.chunks(CHUNK) {
            sink.send(Message::binary(chunk.to_vec())).await?;
        }
        sink.send(Message::binary(Vec::new())).await
    };
    let mut send = std::pin::pin!(send);
    let mut sent = false;
    loop {
        let patience =
            if sent && heard.answered() && !heard.has_protocol { SILENCE } else { Duration::from_secs(3600) };
        let next = std::pin::pin!(timeout(patience, source.next()));
        let message = match sent {
            true => next.await,
            false => match select(send.as_mut(), next).await {
                Either::Left((ended, _)) => {
                    sent = true;
                    ended.or_else(forgiven)?;
                    continue;
                }
                Either::Right((message, _)) => message,
            },
        };
        match message {
            Ok(message) => {
                if listen(message, heard, reply)? {
                    return Ok(());
                }
            }
            Err(_) => return Ok(()),
        }
    }
}

/// Samples that could not be sent: a server that closes early is heard out, for it may have said why.
fn forgiven(error: Error) -> Result<(), Failure> {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_) | Error::Protocol(_) => Ok(()),
        error => Err(broken(&error)),
    }
}

/// Takes one message down. True if it was the last.
fn listen(message: Option<Result<Message, Error>>, heard: &mut Heard, reply: &mut Reply) -> Result<bool, Failure> {
    let ended = match message {
        None => true,
        // The server hung up: with a close message before it, or without.
        Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => true,
        Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
            heard.hung_up();
            true
        }
        Some(Err(error)) => {
            heard.write(reply);
            return Err(broken(&error));
        }
        Some(Ok(message)) => match message {
            Message::Text(text) => heard.text(text.as_str()),
            Message::Binary(bytes) => heard.binary(&bytes),
            Message::Close(frame) => {
                let (code, reason) =
                    frame.map_or((1005, String::new()), |frame| (u16::from(frame.code), frame.reason.as_str().into()));
                heard.close = Some((code, reason));
                true
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => false,
        },
    };
    heard.write(reply);
    if heard.bytes > SESSION_CAP || heard.messages > MESSAGES_MAX {
        let text = format!("the session did not end within {} messages and {} bytes", heard.messages, heard.bytes);
        return Err(failure(Why::Malformed, text));
    }
    Ok(ended)
}

fn broken(error: &Error) -> Failure {
    match error {
        Error::Io(io) => failure(Why::Malformed, format!("the WebSocket's connection broke: {io}")),
        error => failure(Why::Malformed, format!("the server's messages are not a WebSocket's: {error}")),
    }
}

/// The pieces of a session, for the facts.
fn stream_of(heard: &Heard) -> Stream {
    let first = heard.first_text.map(|at| (at.as_secs_f64() * 1e6).round() / 1e3);
    Stream {
        kind: "WebSocket messages".into(),
        pieces: heard.messages as u64,
        first_piece_ms: first.map_or_else(|| Fact::unknown(Why::Absent, "no message held a text"), Fact::Known),
        ended: heard.said_end || heard.close.as_ref().is_some_and(|(code, _)| matches!(code, 1000 | 1005)),
    }
}
