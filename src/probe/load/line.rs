//! One user's connection: kept between requests, made anew when it ended.

use super::Prepared;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes of an answer that are kept to be judged, at most. The rest is read and counted.
const KEPT_MAX: usize = 256 << 10;

/// A stream of bytes to the server.
pub trait Wire: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin + ?Sized> Wire for T {}

/// A connection that is being made.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Wire>, Fault>> + 'a>>;

/// The way to the server: address, proxy, TLS.
pub trait Dial {
    /// Makes a connection that is ready for HTTP/1.1.
    fn open(&self) -> Opening<'_>;
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing listens there.
    ConnectRefused,
    /// No connection came about in time.
    ConnectTimedOut,
    /// The connection was reset.
    Reset,
    /// It was closed before the answer was whole.
    ClosedEarly,
    /// The answer did not come in time.
    TimedOut,
    /// What came was no HTTP.
    NotHttp,
    /// This process may not open more files.
    NoDescriptors,
    /// Anything else.
    Other,
}

impl Fault {
    /// As a snapshot names it.
    pub fn name(self) -> &'static str {
        match self {
            Fault::ConnectRefused => "connect_refused",
            Fault::ConnectTimedOut => "connect_timed_out",
            Fault::Reset => "reset",
            Fault::ClosedEarly => "closed_early",
            Fault::TimedOut => "timed_out",
            Fault::NotHttp => "not_http",
            Fault::NoDescriptors => "no_descriptors",
            Fault::Other => "other",
        }
    }

    /// Whether no connection came about.
    pub fn is_of_connecting(self) -> bool {
        matches!(self, Fault::ConnectRefused | Fault::ConnectTimedOut | Fault::NoDescriptors)
    }

    /// The fault behind an error of the operating system.
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut, UnexpectedEof,
        };
        match (error.kind(), error.raw_os_error()) {
            (_, Some(libc::EMFILE | libc::ENFILE)) => Fault::NoDescriptors,
            (ConnectionRefused, _) => Fault::ConnectRefused,
            (ConnectionReset | ConnectionAborted | BrokenPipe, _) => Fault::Reset,
            (UnexpectedEof, _) => Fault::ClosedEarly,
            (TimedOut, _) => Fault::TimedOut,
            _ => Fault::Other,
        }
    }

    fn of_http(error: &hyper::Error) -> Self {
        let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
        match cause {
            Some(cause) => Fault::of_io(cause),
            None if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => Fault::ClosedEarly,
            None if error.is_parse() => Fault::NotHttp,
            None => Fault::Other,
        }
    }
}

/// An answer, read to its end.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its beginning.
    pub body: Vec<u8>,
    /// When its head was there.
    pub first_byte: Instant,
}

/// One user's connection.
pub struct Line<'a> {
    dial: &'a dyn Dial,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl<'a> Line<'a> {
    /// Not connected yet.
    pub fn new(dial: &'a dyn Dial) -> Self {
        Self { dial, sender: None }
    }

    /// Sends the request with this body and reads the answer. A kept connection that the server had closed before anything
    /// was sent on it is replaced.
    pub async fn send(&mut self, prepared: &Prepared, body: &Bytes) -> Result<Answer, Fault> {
        loop {
            let reused = self.sender.is_some();
            let mut sender = match self.sender.take() {
                Some(sender) => sender,
                None => connect(self.dial).await?,
            };
            let unusable = sender.ready().await.is_err();
            if unusable && reused {
                continue;
            }
            match sender.try_send_request(request(prepared, body)).await {
                Ok(response) => {
                    let answer = read(response).await?;
                    self.sender = Some(sender);
                    return Ok(answer);
                }
                Err(mut error) => {
                    let is_unsent = error.take_message().is_some();
                    if !(reused && is_unsent) {
                        return Err(Fault::of_http(&error.into_error()));
                    }
                }
            }
        }
    }

    /// Lets go of the connection: what is still to come on it is not wanted.
    pub fn drop_connection(&mut self) {
        self.sender = None;
    }
}

async fn connect(dial: &dyn Dial) -> Result<SendRequest<Full<Bytes>>, Fault> {
    let wire = dial.open().await?;
    let (sender, connection) = http1::handshake(TokioIo::new(wire)).await.map_err(|error| Fault::of_http(&error))?;
    // It ends with the sender; how it ended, the sender tells.
    tokio::task::spawn_local(connection);
    Ok(sender)
}

fn request(prepared: &Prepared, body: &Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.clone()));
    request.method_mut().clone_from(&prepared.method);
    request.uri_mut().clone_from(&prepared.uri);
    request.headers_mut().clone_from(&prepared.headers);
    request
}

async fn read(response: Response<Incoming>) -> Result<Answer, Fault> {
    let first_byte = Instant::now();
    let (head, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| Fault::of_http(&error))?;
        if let Some(data) = frame.data_ref() {
            let room = KEPT_MAX.saturating_sub(body.len()).min(data.len());
            body.extend_from_slice(data.get(..room).unwrap_or_default());
        }
    }
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body, first_byte })
}
