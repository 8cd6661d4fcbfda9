//! Whether a server is ready, asked again and again until it is: by the health endpoints that servers are known to have.

use super::recognize::at;
use super::spoken::{Spoken, plain};
use super::transport::{Failure, Http, Outgoing, Payload, Reply, Route};
use super::{everywhere, grpc, trust, without_credentials};
use crate::probe::Ask;
use crate::snapshot::{Waited, Why};
use serde_json::Value;
use std::time::{Duration, Instant};
use url::Url;

/// Time between two looks: the first, and the longest.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(2);
/// Wait for one answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where servers tell whether they are ready, the more telling ones first: KServe v2 (Triton, MLServer), NIM, Kubernetes'
/// habits, vLLM, SGLang and TGI, TorchServe.
const PLACES: &[&str] =
    &["/v2/health/ready", "/v1/health/ready", "/health/ready", "/readyz", "/ready", "/health", "/healthz", "/ping"];
/// Of these a refusal of 400 says that it is not ready: Triton answers so (http_server.cc, HandleHealth).
const NOT_READY_IS_400: &str = "/v2/health/ready";

/// What was seen of a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// It is ready, as far as it tells.
    Ready(String),
    /// It is not, and may become so.
    NotYet(String),
    /// What is wrong does not heal by itself.
    Never(String),
}

impl Look {
    /// The record of a wait that ended with this.
    pub fn told(&self, waited: Duration) -> Waited {
        let (Look::Ready(last) | Look::NotYet(last) | Look::Never(last)) = self;
        Waited {
            waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            ready: matches!(self, Look::Ready(_)),
            last: last.clone(),
        }
    }
}

/// Looks until the server is ready, or will not become so, or for `longest`. `told` hears of every look.
pub fn wait(ask: &Ask, longest: Duration, told: &mut dyn FnMut(&Look)) -> Look {
    let Some(server) = ask.server.as_ref().map(without_credentials) else {
        return Look::Never("no server was named".into());
    };
    let end = Instant::now() + longest;
    let route = Route { trust: trust(ask), connection: ask.connection.clone() };
    let headers = everywhere(ask);
    let (mut pause, mut place) = (FIRST, None);
    loop {
        // A new client each time: names are resolved anew, and no broken connection is kept.
        let until = end.max(Instant::now() + FIRST);
        let look = match Http::new(&server, &route, until + PATIENCE) {
            Ok(http) => look(&http, &server, &headers, &mut place),
            Err(failure) => of_failure(&failure),
        };
        told(&look);
        let left = end.saturating_duration_since(Instant::now());
        if !matches!(look, Look::NotYet(_)) || left.is_zero() {
            return look;
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 3 / 2).min(LONGEST);
    }
}

/// One look. `place` is where the server told last that it is not ready.
fn look(http: &Http, server: &Url, headers: &[(String, String)], place: &mut Option<&'static str>) -> Look {
    match Spoken::by(server) {
        Spoken::Grpc => return of_grpc(http, server, headers),
        // Its routes answer nothing but upgrades: that it answers at all is what can be known.
        Spoken::WebSocket => {
            return match get(http, &plain(server), headers) {
                Ok(Said::Tells(look)) => look,
                Ok(Said::Fails(status)) => not_yet(plain(server).path(), status),
                Err(status) => up(status),
            };
        }
        Spoken::Http => {}
    }
    let others = PLACES.iter().filter(|one| Some(**one) != *place);
    let mut failed = None;
    for path in place.iter().chain(others).copied().collect::<Vec<_>>() {
        let look = get(http, &at(server, path), headers);
        match look {
            // There is no such place.
            Err(404 | 405 | 501 | 300..=399) => {}
            Err(400) if path == NOT_READY_IS_400 => {
                *place = Some(path);
                return Look::NotYet(format!("GET {path} answers 400, which says that it is not ready"));
            }
            // Beside one that fails, what says nothing by itself says nothing of the server either.
            Err(_) if failed.is_some() => {}
            Err(status) => return up(status),
            // The path is a guess: a route that fails there need not be the one that tells of the server.
            Ok(Said::Fails(status)) => {
                failed.get_or_insert((path, status));
            }
            Ok(Said::Tells(look)) => {
                if matches!(look, Look::NotYet(_)) {
                    *place = Some(path);
                }
                return look;
            }
        }
    }
    let Some((path, status)) = failed else {
        return Look::Ready("it answers, and has no health endpoint that is known".into());
    };
    *place = Some(path);
    not_yet(path, status)
}

/// What an answer says of the server.
enum Said {
    /// This.
    Tells(Look),
    /// It is an error, which another place may contradict; the status.
    Fails(u16),
}

fn not_yet(path: &str, status: u16) -> Look {
    Look::NotYet(format!("GET {path} answers {status}"))
}

fn up(status: u16) -> Look {
    Look::Ready(format!("it answers ({status})"))
}

/// What a GET says, or its status where that says nothing by itself.
fn get(http: &Http, url: &Url, headers: &[(String, String)]) -> Result<Said, u16> {
    let path = url.path();
    let outgoing = Outgoing {
        method: "GET".into(),
        url: url.clone(),
        headers: headers.to_vec(),
        payload: Payload::Empty,
        follow: false,
    };
    match http.send(&outgoing, PATIENCE) {
        Ok(reply) => match reply.status {
            200..=299 => Ok(Said::Tells(match denies(&reply) {
                Some(said) => Look::NotYet(format!("GET {path} answers {} and says {said}", reply.status)),
                None => Look::Ready(format!("GET {path} answers {}", reply.status)),
            })),
            status @ (401 | 403 | 407) => Ok(Said::Tells(Look::Never(format!("GET {path} answers {status}")))),
            // By 503 a server says on purpose that it is not ready, and by the others that it was asked too soon.
            status @ (408 | 425 | 429 | 503) => Ok(Said::Tells(not_yet(path, status))),
            status @ (500 | 502 | 504..=599) => Ok(Said::Fails(status)),
            status => Err(status),
        },
        Err(failure) => Ok(Said::Tells(of_failure(&failure))),
    }
}

/// What the body of a good answer says against it.
fn denies(reply: &Reply) -> Option<String> {
    let body: Value = serde_json::from_slice(reply.body.get(..reply.body.len().min(4096))?).ok()?;
    let is_false = ["ready", "model_loaded", "model_ready", "is_ready", "loaded", "healthy"];
    if let Some(name) = is_false.iter().find(|name| body.get(**name) == Some(&Value::Bool(false))) {
        return Some(format!("{name}: false"));
    }
    let status = body.get("status")?.as_str()?.to_lowercase();
    let words = ["loading", "starting", "initializing", "not ready", "not_ready", "unhealthy", "warming up", "warmup"];
    words.iter().find(|word| status == **word).map(|word| format!("status: {word}"))
}

fn of_grpc(http: &Http, server: &Url, headers: &[(String, String)]) -> Look {
    let url = at(server, grpc::HEALTH);
    let headers = headers.to_vec();
    let outgoing = Outgoing { method: "GET".into(), url, headers, payload: Payload::Empty, follow: false };
    match http.send(&outgoing, PATIENCE) {
        Ok(reply) => match (reply.status, String::from_utf8_lossy(&reply.body).contains("NOT_SERVING")) {
            (401 | 403, _) => Look::Never(format!("its health check answers {}", reply.status)),
            (_, true) => Look::NotYet("its health check says NOT_SERVING".into()),
            (502..=504, _) => Look::NotYet(format!("its health check answers {}", reply.status)),
            _ => Look::Ready("its health check is answered".into()),
        },
        Err(failure) => of_failure(&failure),
    }
}

fn of_failure(failure: &Failure) -> Look {
    // What lies on this side, a certificate, or another protocol does not change by waiting. A connection that breaks does:
    // Docker's proxy takes connections for a container in which nothing listens yet.
    let text = &failure.text;
    let breaks = ["reset before", "closed before"].iter().any(|words| text.contains(words));
    match failure.why {
        _ if failure.own => Look::Never(text.clone()),
        Why::Denied => Look::Never(text.clone()),
        Why::Malformed if !breaks => Look::Never(text.clone()),
        _ => Look::NotYet(text.clone()),
    }
}
