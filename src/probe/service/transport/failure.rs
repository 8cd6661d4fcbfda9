//! Why there is no whole answer, sorted by cause.

use super::Reply;
use super::tls::{Fault, tls_error};
use crate::snapshot::Why;
use std::error::Error;
use std::io::ErrorKind;

/// Errors that tell of this process's or this machine's limits, not of the server.
const OWN_LIMITS: &[i32] = &[libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EADDRNOTAVAIL];

/// Why there is no whole answer.
#[derive(Debug, Clone)]
pub struct Failure {
    pub why: Why,
    pub text: String,
    /// The obstacle lies on this side: the server was not even asked.
    pub own: bool,
    /// The operating system's number for it, where a connection was not made.
    pub code: Option<i32>,
    /// What had arrived by then, if the head of an answer had.
    pub partial: Option<Box<Reply>>,
}

/// A failure of the server's, before any answer.
pub fn failure(why: Why, text: String) -> Failure {
    Failure { why, text, own: false, code: None, partial: None }
}

/// A failure on this side of the wire.
pub fn own(why: Why, text: String) -> Failure {
    Failure { own: true, ..failure(why, text) }
}

/// A request that could not even be formed.
pub fn broken(error: &dyn Error) -> Failure {
    own(Why::Malformed, format!("no request could be formed: {}", chain(error)))
}

/// Names the cause of a connection that was not made. `place` is what was to be reached.
pub fn unconnected(place: &str, error: &std::io::Error) -> Failure {
    Failure { code: error.raw_os_error(), ..worded(place, error) }
}

fn worded(place: &str, error: &std::io::Error) -> Failure {
    if error.raw_os_error().is_some_and(|code| OWN_LIMITS.contains(&code)) {
        return own(Why::Denied, format!("{place} could not be asked: {error}"));
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            failure(Why::Absent, format!("{place}: connection refused: nothing listens there"))
        }
        ErrorKind::NotFound => failure(Why::Absent, format!("{place}: there is no such socket")),
        // A socket's file that this user may not open says nothing of the server.
        ErrorKind::PermissionDenied => own(Why::Denied, format!("{place} could not be asked: {error}")),
        ErrorKind::TimedOut => failure(Why::TimedOut, format!("{place}: the connection timed out")),
        _ => failure(Why::Absent, format!("{place}: {error}")),
    }
}

/// How an exchange on a connection ended.
pub enum Broken {
    /// TLS was given up after its handshake, as servers do that miss the client's certificate.
    Tls(Fault),
    /// The peer ended the connection before an answer, or reset it: words for it.
    Closed(&'static str),
    /// The head of the answer is larger than is read.
    HeadTooLarge,
    /// What came is no HTTP.
    NotHttp(String),
    Other(String),
}

/// Tells how an exchange ended, by its error. `asked` is whether the server asked for a certificate of the client.
pub fn broken_by(error: &(dyn Error + 'static), asked: Option<bool>) -> Broken {
    // What the connection met says more than what hyper made of it.
    for io in sources(error).filter_map(|inner| inner.downcast_ref::<std::io::Error>()) {
        if let Some(tls) = tls_error(io) {
            return Broken::Tls(Fault::of(tls, asked));
        }
        match io.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                return Broken::Closed("the connection was reset before the answer ended");
            }
            ErrorKind::UnexpectedEof => return Broken::Closed("the connection was closed before an answer"),
            _ => {}
        }
    }
    for hyper in sources(error).filter_map(|inner| inner.downcast_ref::<hyper::Error>()) {
        if hyper.is_parse_too_large() {
            return Broken::HeadTooLarge;
        }
        if hyper.is_parse() {
            return Broken::NotHttp(hyper.to_string());
        }
        if hyper.is_incomplete_message() || hyper.is_canceled() {
            return Broken::Closed("the connection was closed before an answer");
        }
    }
    Broken::Other(chain(error))
}

/// An error and what is behind it.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |inner: &&'a (dyn Error + 'static)| (*inner).source())
}

/// The error and its sources in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}
