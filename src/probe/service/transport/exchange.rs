//! One request and its answer, on a kept connection or a new one.

use super::connect::{ConnectTimes, Phase};
use super::explain::lost;
use super::failure::{Failure, failure};
use super::outgoing::{Form, Outgoing, build};
use super::seen::phases;
use super::stream::Pieces;
use super::wire::{Kept, Sender, Wire};
use super::{BODY_CAP, Reply};
use crate::probe::service::websocket;
use crate::snapshot::Why;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::time::{Duration, Instant};
use url::Url;

const REDIRECTS: usize = 5;
/// Wait for the end of a stream that has said it is done.
const FAREWELL: Duration = Duration::from_millis(250);

/// How far an exchange came.
#[derive(Default)]
pub struct Progress {
    pub phase: Phase,
    pub reply: Option<Reply>,
    pub pieces: Option<Pieces>,
    pub started: Option<Instant>,
    /// Of a new connection.
    pub times: Option<ConnectTimes>,
    pub first_byte: Option<Duration>,
    /// What failed, while it is examined what is behind it: it stands if the time ends before that.
    pub failed: Option<Failure>,
}

impl Progress {
    /// Writes down what came. `whole` is whether the answer's own end did.
    pub fn settle(&mut self, whole: bool) {
        let total = self.started.map(|started| started.elapsed()).unwrap_or_default();
        if let Some(reply) = &mut self.reply {
            reply.phases = Some(phases(self.times.as_ref(), self.first_byte, total));
            if let Some(pieces) = &self.pieces {
                reply.stream = pieces.told(whole);
            }
        }
    }
}

impl Wire {
    /// Sends a request, follows where it may, and reads the answer into `progress`.
    pub async fn exchange(&self, outgoing: &Outgoing, progress: &mut Progress) -> Result<(), Failure> {
        progress.started = Some(Instant::now());
        let mut url = outgoing.url.clone();
        for _ in 0..=REDIRECTS {
            let (response, kept, sent) = self.answered(outgoing, &url, progress).await?;
            if let Some(next) = followed(outgoing, &url, &response) {
                url = next;
                continue;
            }
            if outgoing.method == websocket::METHOD && response.status() == hyper::StatusCode::SWITCHING_PROTOCOLS {
                return self.session(outgoing, response, sent, progress).await;
            }
            self.read(response, kept, sent, progress).await.map_err(|error| self.told(&url, error, None))?;
            return self.judged(&url, progress);
        }
        let text = format!("{}: redirected more than {REDIRECTS} times, last to {}", outgoing.url, url.path());
        Err(failure(Why::Malformed, text))
    }

    /// The head of the answer, the connection that it came on, and when the request was sent.
    async fn answered(
        &self,
        outgoing: &Outgoing,
        url: &Url,
        progress: &mut Progress,
    ) -> Result<(Response<Incoming>, Kept, Instant), Failure> {
        loop {
            // A session takes its connection with it.
            let upgrade = outgoing.method == websocket::METHOD;
            let taken = if upgrade { None } else { self.take(url).await };
            let (mut kept, times) = match taken {
                Some(kept) => (kept, None),
                None => {
                    // Nothing is opened for a request that cannot be formed.
                    build(outgoing, url, Form::Origin, None)?;
                    let (kept, times) = self.open(url, upgrade, progress).await?;
                    (kept, Some(times))
                }
            };
            progress.times = times;
            progress.phase = Phase::Waiting;
            let proxy = self.connector.forwarding();
            let form = match (&kept.sender, proxy) {
                (Sender::Two(_), _) => Form::Two,
                (Sender::One(_), Some(_)) => Form::Absolute,
                (Sender::One(_), None) => Form::Origin,
            };
            let request = build(outgoing, url, form, proxy.and_then(|proxy| proxy.authorization.as_deref()))?;
            kept.heard.clear();
            let sent = Instant::now();
            match kept.sender.send(request).await {
                Ok(response) => {
                    progress.first_byte = Some(sent.elapsed());
                    self.note(&response, times.as_ref(), progress);
                    return Ok((response, kept, sent));
                }
                // A kept connection may have been closed by the server just then. As curl does, what was not heard of is
                // sent once more, on a new one.
                Err((error, unsent))
                    if times.is_none() && (unsent || lost(&error) && kept.heard.bytes().is_empty()) => {}
                Err((error, _)) => {
                    // What ended the connection says more than that the request was given up with it.
                    let error = kept.ended().filter(|_| error.is_canceled()).unwrap_or(error);
                    let heard = kept.heard.bytes();
                    let failed = self.told(url, error, Some(&heard));
                    progress.failed = Some(failed.clone());
                    return Err(self.examined(url, failed, &heard).await);
                }
            }
        }
    }

    /// Holds the session of a WebSocket, whose upgrade was agreed to.
    async fn session(
        &self,
        outgoing: &Outgoing,
        response: Response<Incoming>,
        sent: Instant,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        progress.phase = Phase::Reading;
        let reply = progress.reply.insert(headed(&response));
        websocket::agreed(reply)?;
        let upgraded = hyper::upgrade::on(response).await.map_err(|error| self.told(&outgoing.url, error, None))?;
        let held = websocket::hold(TokioIo::new(upgraded), outgoing, sent, reply).await;
        progress.settle(true);
        held
    }

    /// Reads the answer's body, up to [`BODY_CAP`]. The connection is kept if all of it came.
    async fn read(
        &self,
        response: Response<Incoming>,
        kept: Kept,
        sent: Instant,
        progress: &mut Progress,
    ) -> Result<(), hyper::Error> {
        let reply = progress.reply.insert(headed(&response));
        let (head, mut body) = response.into_parts();
        let new = progress.times;
        progress.phase = Phase::Reading;
        progress.pieces = Pieces::of(&head.headers);
        let mut whole = true;
        loop {
            let done = progress.pieces.as_ref().is_some_and(Pieces::done);
            let frame = match done {
                false => body.frame().await,
                // The server has said its last; some keep the connection open after that.
                true => match tokio::time::timeout(FAREWELL, body.frame()).await {
                    Ok(frame) => frame,
                    Err(_) => {
                        whole = false;
                        break;
                    }
                },
            };
            let Some(frame) = frame else { break };
            let chunk = match frame?.into_data() {
                Ok(chunk) => chunk,
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    reply.trailers = trailers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
                    continue;
                }
            };
            if let Some(pieces) = &mut progress.pieces {
                pieces.take(&chunk, sent.elapsed());
            }
            let room = BODY_CAP - reply.body.len();
            reply.body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                reply.cut = true;
                whole = false;
                break;
            }
        }
        progress.settle(whole);
        let mut seen = self.seen();
        if let (Some(_), Some(first)) = (new, &mut seen.first)
            && let Some(phases) = progress.reply.as_ref().and_then(|reply| reply.phases.clone())
            && first.first_byte_ms == phases.first_byte_ms
        {
            *first = phases;
        }
        drop(seen);
        if whole {
            self.keep(kept);
        }
        Ok(())
    }
}

fn text(value: &hyper::header::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The answer without its body.
fn headed(response: &Response<Incoming>) -> Reply {
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let content_type = response.headers().get("content-type").map(text).unwrap_or_default();
    Reply { status: response.status().as_u16(), content_type, headers, ..Reply::default() }
}

/// Where a redirect leads, if it is followed: on the same host, scheme and port, and without losing a body.
fn followed(outgoing: &Outgoing, url: &Url, response: &Response<Incoming>) -> Option<Url> {
    let follows = outgoing.follow
        && outgoing.method != websocket::METHOD
        && match response.status().as_u16() {
            307 | 308 => true,
            // These turn other methods into GET, so a body would be lost.
            301..=303 => outgoing.method == "GET",
            _ => false,
        };
    let location = response.headers().get("location").filter(|_| follows)?;
    let next = url.join(&String::from_utf8_lossy(location.as_bytes())).ok()?;
    (next.origin() == url.origin()).then_some(next)
}
