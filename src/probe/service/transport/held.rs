//! Connections that are opened and held open: WebSockets, or answers of HTTP that do not end. Each is listened to on the
//! side, so that pings are answered and what ends it is heard.

use super::exchange::Progress;
use super::failure::{Failure, broken, failure};
pub use super::outgoing::Outgoing;
use super::outgoing::{Form, Payload, build};
use super::wire::{Kept, Sender, Wire};
use super::{Connector, Reply, Route};
use crate::probe::Ask;
use crate::probe::ask::without_credentials;
use crate::probe::server_log::masked;
use crate::probe::service::secrets::Secrets;
use crate::probe::service::{everywhere, plain, trust, websocket};
use crate::snapshot::{Unknown, Why};
use futures_util::future::{Either, select};
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use url::Url;

/// Largest message that is taken, bytes.
const MESSAGE_CAP: usize = 1 << 20;
/// Text of the first messages and of a refusal that is kept, bytes.
const TEXT_MAX: usize = 4096;
/// Longest wait for the server's part of the goodbye.
const GOODBYE: Duration = Duration::from_millis(500);
/// How long the words of a refusal may take.
const REFUSAL: Duration = Duration::from_secs(1);
/// Between two looks at what was heard.
const PAUSE: Duration = Duration::from_millis(5);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The way to one server.
pub struct Holder {
    wire: Wire,
    server: Url,
    headers: Vec<(String, String)>,
    secrets: Secrets,
}

/// How the server answered the opening.
pub struct Opened {
    /// HTTP status: 101 for a WebSocket that was agreed to.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The beginning of the answer of a connection that was refused, without secrets.
    pub text: String,
    /// The connection, unless it was refused.
    pub held: Option<Held>,
}

/// A connection that is held.
pub struct Held {
    seen: Arc<Mutex<Seen>>,
    /// What is to be said on it. Without it, as when this is dropped, the connection is ended in order.
    wishes: UnboundedSender<Vec<u8>>,
    task: JoinHandle<()>,
}

/// What was heard on a connection.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Messages, or pieces of an answer.
    pub messages: u64,
    /// The first of them as text, at most 4 KiB.
    pub text: String,
    /// Close code and reason of a WebSocket; 1006 if it ended without a close message.
    pub close: Option<(u16, String)>,
    /// Whether it has ended.
    pub ended: bool,
    /// The system's or the protocol's error that ended it; empty without one.
    pub error: String,
}

impl Holder {
    /// For the server of the question.
    ///
    /// # Errors
    /// No server was named, or an option of the connection cannot be used.
    pub fn new(ask: &Ask) -> Result<Self, Unknown> {
        let Some(server) = ask.server.as_ref().map(without_credentials) else {
            return Err(Unknown::new(Why::NotAsked, "no server was named"));
        };
        let server = plain(&server);
        let route = Route { trust: trust(ask), connection: ask.connection.clone() };
        let connector = Connector::new(&server, &route).map_err(|failure| Unknown::new(failure.why, failure.text))?;
        let headers = everywhere(ask);
        let mut secrets = Secrets::default();
        headers.iter().for_each(|(name, value)| secrets.learn_header(name, value));
        Ok(Self { wire: Wire::new(connector, false), server, headers, secrets })
    }

    /// The text without what the server is told in confidence, and without what looks like a secret.
    pub fn masked(&self, text: &str) -> String {
        masked(&self.secrets.masked(text))
    }

    /// Asks a path by GET: status and body.
    ///
    /// # Errors
    /// There is no whole answer within `limit`.
    pub async fn get(&self, path: &str, limit: Duration) -> Result<(u16, Vec<u8>), Failure> {
        let outgoing = self.outgoing("GET", path);
        let mut progress = Progress::default();
        match timeout(limit, self.wire.exchange(&outgoing, &mut progress)).await {
            Ok(Ok(())) => {
                let reply = progress.reply.ok_or_else(|| broken(&std::fmt::Error))?;
                Ok((reply.status, reply.body))
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(self.too_late(path, limit)),
        }
    }

    /// Opens a connection of its own: a WebSocket, or a request whose answer does not end.
    ///
    /// # Errors
    /// The server did not answer the opening within `limit`, or not as HTTP is.
    pub async fn open(&self, opening: &Outgoing, limit: Duration) -> Result<Opened, Failure> {
        let too_late = |_| Err(self.too_late(opening.url.path(), limit));
        timeout(limit, self.answered(opening)).await.unwrap_or_else(too_late)
    }

    /// The opening of a WebSocket at a path.
    pub fn websocket(&self, path: &str) -> Outgoing {
        self.outgoing(websocket::METHOD, path)
    }

    /// A GET that is to be answered with a stream of events.
    pub fn events(&self, path: &str) -> Outgoing {
        let mut outgoing = self.outgoing("GET", path);
        if !outgoing.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            outgoing.headers.push(("accept".into(), "text/event-stream, */*;q=0.5".into()));
        }
        outgoing
    }

    /// What is opened: `WebSocket`, or the method of a request whose answer is held.
    pub fn kind(opening: &Outgoing) -> &str {
        if opening.method == websocket::METHOD { "WebSocket" } else { &opening.method }
    }

    fn too_late(&self, path: &str, limit: Duration) -> Failure {
        failure(Why::TimedOut, format!("{path}: no answer within {:.1} s", limit.as_secs_f64()))
    }

    fn outgoing(&self, method: &str, path: &str) -> Outgoing {
        let mut url = self.server.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        let headers = self.headers.clone();
        Outgoing { method: method.into(), url, headers, payload: Payload::Empty, follow: false }
    }

    async fn answered(&self, outgoing: &Outgoing) -> Result<Opened, Failure> {
        // HTTP/1.1 alone, so that each is a connection of its own.
        let (mut kept, _) = self.wire.open(&outgoing.url, true, &mut Progress::default()).await?;
        let proxy = self.wire.connector.forwarding();
        let form = if proxy.is_some() { Form::Absolute } else { Form::Origin };
        let authorization = proxy.and_then(|proxy| proxy.authorization.as_deref());
        let request = build(outgoing, &outgoing.url, form, authorization)?;
        let response = match kept.sender.send(request).await {
            Ok(response) => response,
            Err((error, _)) => return Err(self.wire.told(&outgoing.url, error, None)),
        };
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let mut opened = Opened { status: response.status().as_u16(), headers, text: String::new(), held: None };
        if outgoing.method == websocket::METHOD && opened.status == 101 {
            websocket::agreed(&Reply { headers: opened.headers.clone(), ..Reply::default() })?;
            let upgraded = hyper::upgrade::on(response).await;
            let upgraded = upgraded.map_err(|error| self.wire.told(&outgoing.url, error, None))?;
            let config = WebSocketConfig::default()
                .read_buffer_size(16 << 10)
                .max_message_size(Some(MESSAGE_CAP))
                .max_frame_size(Some(MESSAGE_CAP));
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await;
            opened.held = Some(Held::of(|seen, wishes| tokio::spawn(listen(socket, seen, wishes))));
        } else if outgoing.method != websocket::METHOD && response.status().is_success() {
            let body = response.into_body();
            opened.held = Some(Held::of(|seen, wishes| tokio::spawn(drain(kept, body, seen, wishes))));
        } else {
            let mut body = response.into_body();
            let mut bytes = Vec::new();
            let read = async {
                while bytes.len() < TEXT_MAX
                    && let Some(Ok(frame)) = body.frame().await
                {
                    bytes.extend_from_slice(frame.data_ref().map(|data| data.as_ref()).unwrap_or_default());
                }
            };
            // A server that knows nothing of WebSockets may answer with a stream.
            let _ = timeout(REFUSAL, read).await;
            bytes.truncate(TEXT_MAX);
            opened.text = self.masked(&String::from_utf8_lossy(&bytes));
        }
        Ok(opened)
    }
}

impl Held {
    fn of(listen: impl FnOnce(Arc<Mutex<Seen>>, UnboundedReceiver<Vec<u8>>) -> JoinHandle<()>) -> Self {
        let (wishes, wished) = unbounded_channel();
        let seen = Arc::new(Mutex::default());
        let task = listen(seen.clone(), wished);
        Self { seen, wishes, task }
    }

    /// Says something on it, which means something on a WebSocket alone.
    pub fn say(&self, message: &[u8]) {
        // One that has ended hears nothing, and says so in what was seen of it.
        let _ = self.wishes.send(message.to_vec());
    }

    /// What was heard so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the first message or the end, at most so long.
    pub async fn greeted(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            let seen = self.seen();
            if seen.ended || seen.messages > 0 {
                return;
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits for the end, at most so long.
    pub async fn ended(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while Instant::now() < until && !self.seen().ended {
            sleep(PAUSE).await;
        }
    }

    /// Ends the connection, as a client does that leaves.
    pub async fn close(self) {
        let Self { wishes, mut task, .. } = self;
        drop(wishes);
        if timeout(2 * GOODBYE, &mut task).await.is_err() {
            task.abort();
        }
    }
}

fn note(seen: &Mutex<Seen>, change: impl FnOnce(&mut Seen)) {
    change(&mut seen.lock().unwrap_or_else(PoisonError::into_inner));
}

impl Seen {
    fn piece(&mut self, bytes: &[u8]) {
        self.messages = self.messages.saturating_add(1);
        let room = TEXT_MAX.saturating_sub(self.text.len()).min(bytes.len());
        if room > 0 {
            self.text.push_str(&String::from_utf8_lossy(bytes.get(..room).unwrap_or_default()));
            self.text.push('\n');
        }
    }

    fn closed(&mut self, code: u16, reason: String) {
        self.close.get_or_insert((code, reason));
        self.ended = true;
    }
}

async fn listen(mut socket: Socket, seen: Arc<Mutex<Seen>>, mut wishes: UnboundedReceiver<Vec<u8>>) {
    loop {
        let wish = pin!(wishes.recv());
        let message = match select(socket.next(), wish).await {
            Either::Left((message, _)) => message,
            Either::Right((Some(message), _)) => {
                // What broke is heard of by the next look.
                let _ = timeout(GOODBYE, socket.send(Message::binary(message))).await;
                continue;
            }
            Either::Right((None, _)) => break,
        };
        match message {
            Some(Ok(Message::Text(text))) => note(&seen, |seen| seen.piece(text.as_bytes())),
            Some(Ok(Message::Binary(bytes))) => note(&seen, |seen| seen.piece(&bytes)),
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) =
                    frame.map_or((1005, String::new()), |frame| (u16::from(frame.code), frame.reason.as_str().into()));
                note(&seen, |seen| seen.closed(code, reason));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => {
                return note(&seen, |seen| seen.closed(1006, String::new()));
            }
            Some(Err(error)) => {
                return note(&seen, |seen| {
                    seen.closed(1006, String::new());
                    // 1006 says so by itself.
                    if !matches!(error, Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) {
                        seen.error = error.to_string();
                    }
                });
            }
        }
    }
    let goodbye = async {
        let _ = socket.close(None).await;
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = timeout(GOODBYE, goodbye).await;
}

/// Reads an answer of HTTP until it ends or is given up. The connection's sender is kept: without it hyper ends it.
async fn drain(kept: Kept, mut body: Incoming, seen: Arc<Mutex<Seen>>, mut wishes: UnboundedReceiver<Vec<u8>>) {
    let _sender: Sender = kept.sender;
    loop {
        let (next, wish) = (pin!(body.frame()), pin!(wishes.recv()));
        match select(next, wish).await {
            Either::Left((Some(Ok(frame)), _)) => {
                if let Some(data) = frame.data_ref() {
                    note(&seen, |seen| seen.piece(data));
                }
            }
            Either::Left((end, _)) => {
                return note(&seen, |seen| {
                    seen.error = end.and_then(Result::err).map(|error| error.to_string()).unwrap_or_default();
                    seen.ended = true;
                });
            }
            Either::Right((Some(_), _)) => {}
            Either::Right((None, _)) => return,
        }
    }
}
