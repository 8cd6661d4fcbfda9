//! Sends one request and reads one answer, bounded in time and size, with failures sorted by cause and the time told by
//! phases.

pub mod beside;
mod certificate;
pub mod connect;
mod exchange;
mod explain;
mod failure;
pub mod held;
pub mod outgoing;
mod protocol;
mod proxy;
mod seen;
mod stream;
mod tap;
#[cfg(test)]
mod tests;
mod tls;
pub mod told;
mod tunnel;
mod two_steps;
mod verifier;
mod wire;

pub use failure::{Failure, failure};
pub use outgoing::{Outgoing, Part, Payload};

use super::{grpc, websocket};
use crate::probe::Connection;
use crate::snapshot::{PhaseTimes, Stream, Transport, Why};
use beside::Aside;
use connect::Connector;
use exchange::Progress;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;
use wire::Wire;

/// Longest answer that is read, bytes.
pub const BODY_CAP: usize = 8 << 20;

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    /// As it came: where the server compresses it, though nothing asked for that, it is not unpacked.
    pub body: Vec<u8>,
    /// The body was longer than [`BODY_CAP`].
    pub cut: bool,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What the time went into, where it was measured.
    pub phases: Option<PhaseTimes>,
    /// The pieces in which the answer came, if it did.
    pub stream: Option<Stream>,
    /// Fields that came after the body, names in lower case.
    pub trailers: Vec<(String, String)>,
    /// Of a gRPC call the name of its status; `status` is the HTTP status that it stands for.
    pub grpc_status: Option<String>,
    /// Of a WebSocket how it ended.
    pub session: Option<websocket::Session>,
}

impl Reply {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// How the body is packed, if it is.
    pub fn packed(&self) -> Option<&str> {
        self.header("content-encoding").filter(|packed| !packed.eq_ignore_ascii_case("identity"))
    }
}

/// Which certificates are trusted, besides the system's.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Every certificate (curl's `-k`).
    pub insecure: bool,
    /// More roots, PEM (curl's `--cacert`).
    pub roots: Option<Vec<u8>>,
}

/// How the server is reached: what the client's request says of it, and what the user does.
#[derive(Debug, Clone, Default)]
pub struct Route {
    pub trust: Trust,
    pub connection: Connection,
}

/// The HTTP client of one conversation.
pub struct Http {
    runtime: Option<tokio::runtime::Runtime>,
    wire: Arc<Wire>,
    /// Requests are gRPC calls.
    grpc: bool,
    deadline: Instant,
}

impl Drop for Http {
    fn drop(&mut self) {
        // A name that does not resolve must not hold up the end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Http {
    /// A client for a server, to be done by `deadline`.
    pub fn new(server: &Url, route: &Route, deadline: Instant) -> Result<Self, Failure> {
        let connector = Connector::new(server, route)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failure::broken(&error))?;
        let grpc = matches!(server.scheme(), "grpc" | "grpcs");
        let wire = Arc::new(Wire::new(connector, route.connection.http2 || grpc));
        Ok(Self { runtime: Some(runtime), wire, grpc, deadline })
    }

    /// Time left for the conversation.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// What was seen of the way to the server so far.
    pub fn transport(&self) -> Transport {
        self.wire.seen().told(&self.wire.connector)
    }

    /// Sends a request, and `delay` later a second one beside it. Tells of the second how long it took and what was left
    /// of the first when it was sent; nothing if the first had ended by then.
    pub fn send_with(
        &self,
        first: &Outgoing,
        limit: Duration,
        second: &Outgoing,
        delay: Duration,
    ) -> (Result<Reply, Failure>, Result<Option<Aside>, Failure>) {
        let Some(runtime) = &self.runtime else {
            return (self.send(first, limit), Ok(None));
        };
        let limit = limit.min(self.time_left() / 2);
        // Answered soon after the first at the latest, or not at all.
        let patience = limit + Duration::from_secs(1);
        let second = if self.grpc { grpc::call(second) } else { Ok(second.clone()) };
        let (wire, second) = match second {
            Ok(second) => (self.wire.clone(), second),
            Err(failure) => return (self.send(first, limit), Err(failure)),
        };
        let beside = runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            let sent = Instant::now();
            let mut progress = Progress::default();
            let ended = tokio::time::timeout(patience, wire.exchange(&second, &mut progress)).await;
            (sent, sent.elapsed(), ended)
        });
        let result = self.send(first, limit);
        let ended = Instant::now();
        if result.is_err() {
            beside.abort();
            return (result, Ok(None));
        }
        let rest = Duration::from_secs(1).min(self.time_left() / 4);
        let aside = match runtime.block_on(async { tokio::time::timeout(rest, beside).await }) {
            Ok(Ok((sent, took, Ok(Ok(()))))) => Ok((sent < ended).then(|| Aside { took, left: ended - sent })),
            Ok(Ok((.., Ok(Err(failure))))) => Err(failure),
            _ => Err(failure(Why::TimedOut, "the light request beside it got no answer".into())),
        };
        (result, aside)
    }

    /// Sends a request and reads its answer, within `limit` and half of the time left. A stream of events or lines that
    /// goes on beyond it is an answer too, as far as it came. Where the answer only tells where the result is fetched, that
    /// is the answer.
    pub fn send(&self, outgoing: &Outgoing, limit: Duration) -> Result<Reply, Failure> {
        if self.grpc {
            let mut reply = self.send_plain(&grpc::call(outgoing)?, limit)?;
            grpc::translate(outgoing.url.path(), &mut reply);
            return Ok(reply);
        }
        let begun = Instant::now();
        let reply = self.send_plain(outgoing, limit)?;
        match two_steps::second(outgoing, &reply) {
            Some(second) => self.send_plain(&second, limit.saturating_sub(begun.elapsed())),
            None => Ok(reply),
        }
    }

    fn send_plain(&self, outgoing: &Outgoing, limit: Duration) -> Result<Reply, Failure> {
        let limit = limit.min(self.time_left() / 2);
        let Some(runtime) = &self.runtime else { return Err(failure::broken(&std::fmt::Error)) };
        let mut progress = Progress::default();
        let ended = runtime.block_on(async {
            hear_of_closed().await;
            tokio::time::timeout(limit, self.wire.exchange(outgoing, &mut progress)).await
        });
        if !matches!(ended, Ok(Ok(()))) {
            progress.settle(false);
        }
        let Progress { phase, reply, pieces, failed, .. } = progress;
        match ended {
            Ok(Ok(())) => reply.ok_or_else(|| failure::broken(&std::fmt::Error)),
            Ok(Err(mut failure)) => {
                failure.partial = reply.map(Box::new);
                Err(failure)
            }
            Err(_) => match reply {
                Some(reply) if pieces.is_some_and(|pieces| pieces.speaks()) => Ok(reply),
                None if let Some(failed) = failed => Err(failed),
                reply => {
                    let text = format!("{}: {} within {:.1} s", outgoing.url, phase.lacking(), limit.as_secs_f64());
                    Err(Failure { partial: reply.map(Box::new), ..failure(Why::TimedOut, text) })
                }
            },
        }
    }
}

/// Lets kept connections hear that the server has closed them since. Nothing runs between two requests, so without this
/// the next one would be written to such a connection and be lost: gunicorn closes after two quiet seconds, uvicorn after
/// five.
async fn hear_of_closed() {
    // The first turn asks the kernel what has happened, in the second the connections read it.
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}
