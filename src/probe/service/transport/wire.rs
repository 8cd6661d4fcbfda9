//! The connections to one server: new ones, kept ones, and what they show of the way.

use super::connect::{ConnectTimes, Connector, Phase};
use super::exchange::Progress;
use super::failure::Failure;
use super::seen::{Seen, phases};
use super::tap::{Heard, Tap};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use url::Url;

/// Longest head of an answer that is read, bytes, and most headers in it.
pub const HEAD_CAP: usize = 256 << 10;
pub const HEADERS_MAX: usize = 200;
/// Connections that are kept: one for requests in turn, one for the light request beside.
const KEPT_MAX: usize = 2;

/// One side of a connection, on which requests are sent.
pub enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// A connection that may serve another request.
pub struct Kept {
    pub sender: Sender,
    pub heard: Heard,
    /// The error by which it ended.
    error: Arc<Mutex<Option<hyper::Error>>>,
    origin: String,
}

/// The wire to one server.
pub struct Wire {
    pub connector: Connector,
    /// HTTP/2 without agreeing on it.
    pub http2: bool,
    kept: Mutex<Vec<Kept>>,
    seen: Mutex<Seen>,
}

impl Wire {
    /// A wire on which nothing was sent yet. `http2` is HTTP/2 without agreeing on it.
    pub fn new(connector: Connector, http2: bool) -> Self {
        Self { connector, http2, kept: Mutex::default(), seen: Mutex::default() }
    }

    /// What was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kept connection that is still open.
    pub async fn take(&self, url: &Url) -> Option<Kept> {
        loop {
            let mut kept = {
                let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                let at = all.iter().position(|kept| kept.origin == origin(url))?;
                all.swap_remove(at)
            };
            let ready = tokio::time::timeout(Duration::from_millis(100), kept.sender.ready()).await;
            if matches!(ready, Ok(true)) {
                return Some(kept);
            }
        }
    }

    pub fn keep(&self, kept: Kept) {
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < KEPT_MAX {
            all.push(kept);
        }
    }

    /// A new connection; for an `upgrade` to another protocol, which only HTTP/1.1 has, without HTTP/2.
    pub async fn open(
        &self,
        url: &Url,
        upgrade: bool,
        progress: &mut Progress,
    ) -> Result<(Kept, ConnectTimes), Failure> {
        let http2 = self.http2 && !upgrade;
        let alpn: &[&[u8]] = match (upgrade, http2) {
            (true, _) => &[b"http/1.1"],
            (false, true) => &[b"h2"],
            (false, false) => &[b"h2", b"http/1.1"],
        };
        let opened = match self.connector.open(url, alpn, &mut progress.phase).await {
            Ok(opened) => opened,
            Err(failure) => {
                if progress.phase == Phase::Securing && !failure.own {
                    progress.failed = Some(failure.clone());
                    return Err(self.insecure(url, failure).await);
                }
                return Err(failure);
            }
        };
        if let Some(version) = opened.tls_version {
            self.seen().tls_version = Some(version);
        }
        let (tap, heard) = Tap::new(opened.io);
        let io = TokioIo::new(tap);
        let unusable = |error: hyper::Error| self.told(url, error, Some(&heard.bytes()));
        let error = Arc::new(Mutex::new(None));
        let sender = if opened.http2 || http2 && opened.times.tls.is_none() {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.max_header_list_size(HEAD_CAP as u32);
            let (sender, connection) = builder.handshake(io).await.map_err(unusable)?;
            tokio::spawn(ending(connection, error.clone()));
            Sender::Two(sender)
        } else {
            let mut builder = http1::Builder::new();
            builder.max_buf_size(HEAD_CAP).max_headers(HEADERS_MAX);
            let (sender, connection) = builder.handshake(io).await.map_err(unusable)?;
            // A server may agree to speak another protocol from then on.
            let connection = connection.with_upgrades();
            tokio::spawn(ending(connection, error.clone()));
            Sender::One(sender)
        };
        Ok((Kept { sender, heard, error, origin: origin(url) }, opened.times))
    }

    /// Notes what the head of an answer shows of the way.
    pub fn note(&self, response: &Response<Incoming>, times: Option<&ConnectTimes>, progress: &Progress) {
        let mut seen = self.seen();
        seen.protocol = Some(match response.version() {
            Version::HTTP_2 => "HTTP/2",
            Version::HTTP_10 | Version::HTTP_09 => "HTTP/1.0",
            _ => "HTTP/1.1",
        });
        if times.is_some() && seen.first.is_none() {
            let total = progress.started.map(|started| started.elapsed()).unwrap_or_default();
            seen.first = Some(phases(times, progress.first_byte, total));
        }
    }
}

impl Kept {
    /// The error by which the connection ended, if one did.
    pub fn ended(&self) -> Option<hyper::Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Keeps a connection going, and the error by which it ends.
async fn ending(connection: impl Future<Output = hyper::Result<()>>, error: Arc<Mutex<Option<hyper::Error>>>) {
    if let Err(cause) = connection.await {
        *error.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
    }
}

impl Sender {
    pub async fn ready(&mut self) -> bool {
        match self {
            Sender::One(sender) => sender.ready().await.is_ok(),
            Sender::Two(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends a request. An error comes with whether nothing of the request was sent.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, (hyper::Error, bool)> {
        let sent = match self {
            Sender::One(sender) => sender.try_send_request(request).await,
            Sender::Two(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut error| {
            let unsent = error.take_message().is_some();
            (error.into_error(), unsent)
        })
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
