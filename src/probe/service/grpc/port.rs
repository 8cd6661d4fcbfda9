//! Ports that speak gRPC under another name, and the reverse; the health of a gRPC server of any kind.

use super::HEALTH;
use crate::probe::service::recognize::at;
use crate::probe::service::record::Recorder;
use crate::probe::service::transport::{Failure, Http, Outgoing, Payload, Route};
use crate::snapshot::{Fact, StateAnswer, Why};
use std::time::{Duration, Instant};
use url::Url;

/// Longest wait for the answer whether a port speaks gRPC at all, and for that of the health check.
const GUESS_PATIENCE: Duration = Duration::from_millis(1500);
const HEALTH_PATIENCE: Duration = Duration::from_secs(1);
/// Characters kept of an answer.
const ANSWER_CAP: usize = 300;

/// What the health check that every kind of gRPC server may have answers.
pub fn health(http: &Http, server: &Url, everywhere: &[(String, String)], recorder: &Recorder) -> StateAnswer {
    let (status, answer) = match http.send(&get(server, HEALTH, everywhere), HEALTH_PATIENCE.min(http.time_left() / 8))
    {
        Ok(reply) => (Fact::Known(reply.status.into()), String::from_utf8_lossy(&reply.body).into_owned()),
        Err(failure) => (Fact::unknown(failure.why, recorder.clean(&failure.text, ANSWER_CAP)), String::new()),
    };
    StateAnswer { path: HEALTH.into(), status, answer: recorder.clean(&answer, ANSWER_CAP) }
}

/// Of a port that was named http:// and answered no HTTP/1: the failure, with the right name if it speaks gRPC. It is
/// reached by the run's own `route`.
pub fn named_rightly(server: &Url, route: &Route, failure: Failure, deadline: Instant) -> Failure {
    // Frames of HTTP/2 that come before the request is sent look like an answer to nobody.
    if failure.own || failure.partial.is_some() || !matches!(failure.why, Why::Malformed | Why::Absent) {
        return failure;
    }
    let scheme = if server.scheme() == "https" { "grpcs" } else { "grpc" };
    let place = place(server);
    let speaks = format!("{scheme}://{place}").parse().is_ok_and(|url| {
        // The user's headers are not needed to learn what a port speaks.
        let http = Http::new(&url, route, deadline);
        let reply = http.and_then(|http| http.send(&get(server, HEALTH, &[]), GUESS_PATIENCE));
        reply.is_ok_and(|reply| reply.grpc_status.is_some())
    });
    match speaks {
        true => Failure { text: format!("{place}: this port speaks gRPC: name it {scheme}://{place}"), ..failure },
        false => failure,
    }
}

/// Of a port that was named grpc:// and answered no HTTP/2: the failure, with the right name.
pub fn not_grpc(server: &Url, failure: Failure) -> Failure {
    // The connection was there, and what came on it was no HTTP/2.
    let spoke = failure.text.rsplit_once("client error (SendRequest): ").map(|(_, error)| error.to_owned());
    if failure.own || failure.why != Why::Malformed && spoke.is_none() {
        return failure;
    }
    let cause = spoke.unwrap_or_else(|| failure.text.clone());
    let text = format!("{} does not answer gRPC ({cause}); if it speaks HTTP/1.1, name it http://", place(server));
    Failure { why: Why::Malformed, text, ..failure }
}

fn place(server: &Url) -> String {
    format!("{}:{}", server.host_str().unwrap_or("?"), server.port_or_known_default().unwrap_or(0))
}

fn get(server: &Url, path: &str, headers: &[(String, String)]) -> Outgoing {
    let headers = headers.to_vec();
    Outgoing { method: "GET".into(), url: at(server, path), headers, payload: Payload::Empty, follow: false }
}
