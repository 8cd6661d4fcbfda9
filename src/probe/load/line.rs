//! One user's connection: kept between requests, made anew when it ended.

use super::Prepared;
use super::answer::Answer;
use super::body::{Body, left};
use super::fault::Fault;
use hyper::Method;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once.
const READ: usize = 64 << 10;

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

/// What all connections of a step share.
pub struct Frame<'a> {
    dial: &'a dyn Dial,
    /// Request line and headers, up to the body's length.
    head: Vec<u8>,
    /// Whether a request without a body tells so: where its method gives a body a meaning (RFC 9110, section 8.6).
    tells_no_body: bool,
    without_body: bool,
    with_headers: bool,
    /// Where all that comes in is read into: it is passed on before anything else is read.
    into: RefCell<Box<[u8]>>,
}

impl<'a> Frame<'a> {
    /// Forms what all requests have in common.
    pub fn new(prepared: &Prepared, dial: &'a dyn Dial) -> Self {
        let mut head = format!("{} {} HTTP/1.1\r\n", prepared.method, prepared.uri).into_bytes();
        for (name, value) in &prepared.headers {
            head.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        Self {
            dial,
            head,
            tells_no_body: [Method::POST, Method::PUT, Method::PATCH].contains(&prepared.method),
            without_body: prepared.method == Method::HEAD,
            with_headers: prepared.judge.wants_headers(),
            into: RefCell::new(vec![0; READ].into()),
        }
    }
}

/// One user's connection.
pub struct Line<'a> {
    frame: &'a Frame<'a>,
    wire: Option<Box<dyn Wire>>,
    head: Vec<u8>,
    answer: Answer,
}

impl<'a> Line<'a> {
    /// Not connected yet.
    pub fn new(frame: &'a Frame<'a>) -> Self {
        let head = Vec::with_capacity(frame.head.len() + 64);
        Self { frame, wire: None, head, answer: Answer::new(frame.without_body, frame.with_headers) }
    }

    /// Sends the request with this body, reads the answer and tells when its head was there. A kept connection that the
    /// server had closed before anything was sent on it is replaced.
    pub async fn send(&mut self, body: Body<'_>) -> Result<Instant, Fault> {
        let kept = match self.wire.take() {
            Some(wire) => still_open(wire).await,
            None => None,
        };
        let mut wire = match kept {
            Some(wire) => wire,
            None => self.frame.dial.open().await?,
        };
        self.answer.clear();
        self.form_head(body.len());
        let mut exchange = Exchange {
            parts: [&self.head, body.0[0], body.0[1], body.0[2]],
            sent: 0,
            is_sent: false,
            unsendable: None,
            first_byte: None,
            answer: &mut self.answer,
        };
        poll_fn(|context| exchange.poll(&mut *wire, &self.frame.into, context)).await?;
        let (is_sent, first_byte) = (exchange.is_sent, exchange.first_byte);
        if is_sent && self.answer.may_be_kept() {
            self.wire = Some(wire);
        }
        first_byte.ok_or(Fault::ClosedEarly)
    }

    /// What was answered last.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Lets go of the connection: what is still to come on it is not wanted.
    pub fn drop_connection(&mut self) {
        self.wire = None;
    }

    fn form_head(&mut self, length: usize) {
        self.head.clear();
        self.head.extend_from_slice(&self.frame.head);
        if length > 0 || self.frame.tells_no_body {
            // Writing into memory does not fail.
            let _ = write!(self.head, "content-length: {length}\r\n");
        }
        self.head.extend_from_slice(b"\r\n");
    }
}

/// A kept connection, unless it has ended or the server said something that nobody asked for.
async fn still_open(mut wire: Box<dyn Wire>) -> Option<Box<dyn Wire>> {
    let mut byte = [0];
    let is_silent = poll_fn(|context| {
        let read = Pin::new(&mut *wire).poll_read(context, &mut ReadBuf::new(&mut byte));
        Poll::Ready(read.is_pending())
    });
    if is_silent.await { Some(wire) } else { None }
}

/// One request and its answer.
struct Exchange<'a> {
    /// Its head, and its body in parts.
    parts: [&'a [u8]; 4],
    sent: usize,
    is_sent: bool,
    /// Why the rest of it cannot be sent. A server may answer, and close, before it has all of it.
    unsendable: Option<Fault>,
    first_byte: Option<Instant>,
    answer: &'a mut Answer,
}

impl Exchange<'_> {
    fn poll(
        &mut self,
        mut wire: &mut dyn Wire,
        into: &RefCell<Box<[u8]>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        if !self.is_sent && self.unsendable.is_none() {
            self.unsendable = match self.poll_write(wire, context) {
                Poll::Ready(Err(fault)) => Some(fault),
                Poll::Ready(Ok(())) | Poll::Pending => None,
            };
        }
        let mut into = into.borrow_mut();
        while !self.answer.is_whole() {
            let mut read = ReadBuf::new(&mut into);
            if let Err(error) = ready!(Pin::new(&mut wire).poll_read(context, &mut read)) {
                return Poll::Ready(Err(self.unsendable.unwrap_or(Fault::of_io(&error))));
            }
            let came = read.filled();
            if came.is_empty() {
                let closed = self.answer.close();
                return Poll::Ready(closed.map_err(|fault| self.unsendable.unwrap_or(fault)));
            }
            self.answer.read(came)?;
            if self.first_byte.is_none() && self.answer.status().is_some() {
                self.first_byte = Some(Instant::now());
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Head and body go out together, in one call to the system where it takes them.
    fn poll_write(&mut self, mut wire: &mut dyn Wire, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let all: usize = self.parts.iter().map(|part| part.len()).sum();
        while self.sent < all {
            let rest = left(&self.parts, self.sent);
            match ready!(Pin::new(&mut wire).poll_write_vectored(context, &rest)) {
                Ok(0) => return Poll::Ready(Err(Fault::ClosedEarly)),
                Ok(count) => self.sent += count,
                Err(error) => return Poll::Ready(Err(Fault::of_io(&error))),
            }
        }
        let flushed = ready!(Pin::new(&mut wire).poll_flush(context));
        self.is_sent = flushed.is_ok();
        Poll::Ready(flushed.map_err(|error| Fault::of_io(&error)))
    }
}
