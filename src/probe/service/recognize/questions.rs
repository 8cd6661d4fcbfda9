//! Questions to the server before the first request: each is asked once a run, whoever wants to know, and few in all.

use super::at;
use crate::probe::service::transport::{BODY_CAP, Failure, Http, Outgoing, Payload, Reply, failure};
use crate::probe::service::websocket;
use crate::snapshot::Why;
use serde_json::Value;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;

/// Questions of one run, at most; those about the server's state come last and are fewer.
pub const MOST: usize = 10;
/// Longest wait for the first answer, for which a server may have to write its whole schema, and for each later one.
const PATIENCE_FIRST: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(2);

/// What came of a question.
pub type Answer = Result<Rc<Reply>, Failure>;

/// Asks, and remembers what was answered.
pub struct Questions<'a> {
    http: &'a Http,
    server: &'a Url,
    everywhere: &'a [(String, String)],
    /// Path under which the server's endpoints are mounted.
    pub prefix: String,
    asked: Vec<(String, Answer)>,
    /// Questions of this run, at most.
    most: usize,
    /// The server left a question unanswered: it is asked nothing more.
    silent: bool,
}

impl<'a> Questions<'a> {
    /// Nothing was asked yet.
    pub fn new(http: &'a Http, server: &'a Url, everywhere: &'a [(String, String)]) -> Self {
        Self { http, server, everywhere, prefix: String::new(), asked: Vec::new(), most: MOST, silent: false }
    }

    /// Questions that may still be asked.
    pub fn left(&self) -> usize {
        if self.silent { 0 } else { self.most.saturating_sub(self.asked.len()) }
    }

    /// Leaves one question for the server's state, where seeking what it is has used them up.
    pub fn one_for_the_state(&mut self) {
        self.most = self.most.max(self.asked.len() + 1);
    }

    /// GET of an absolute path, without the prefix.
    pub fn get_at(&mut self, path: &str, limit: Duration) -> Answer {
        let url = at(self.server, path);
        self.ask("GET", url, self.everywhere.to_vec(), Payload::Empty, limit)
    }

    /// GET of a path.
    pub fn get(&mut self, path: &str) -> Answer {
        let limit = if self.asked.is_empty() { PATIENCE_FIRST } else { PATIENCE };
        self.get_at(&format!("{}{path}", self.prefix), limit)
    }

    /// GET of a path: the answer if it is a 200.
    pub fn ok(&mut self, path: &str) -> Option<Rc<Reply>> {
        self.get(path).ok().filter(|reply| reply.status == 200)
    }

    /// GET of a path: the JSON of a 200.
    pub fn json(&mut self, path: &str) -> Option<Value> {
        json(&*self.ok(path)?)
    }

    /// An upgrade to a WebSocket at a path. A path that hangs says nothing of the others.
    pub fn knock(&mut self, path: &str, limit: Duration) -> Answer {
        let silent = self.silent;
        let url = at(self.server, path);
        let answer = self.ask(websocket::METHOD, url, self.everywhere.to_vec(), Payload::Empty, limit);
        self.silent = silent;
        answer
    }

    /// A reading POST of a JSON body, or OPTIONS of a path: the JSON of a 200.
    pub fn read_by(&mut self, method: &str, path: &str) -> Option<Value> {
        let payload = match method {
            "POST" => Payload::Bytes { bytes: Arc::from(&b"{}"[..]), content_type: "application/json".into() },
            _ => Payload::Empty,
        };
        let url = at(self.server, &format!("{}{path}", self.prefix));
        let reply = self.ask(method, url, self.everywhere.to_vec(), payload, PATIENCE).ok()?;
        json(&*(reply.status == 200).then_some(reply)?)
    }

    /// GET at another port of the same host, without the user's headers, which are meant for the server's own port.
    pub fn beside(&mut self, port: u16, path: &str) -> Option<Value> {
        let mut url = at(self.server, path);
        url.set_scheme("http").ok()?;
        url.set_port(Some(port)).ok()?;
        let reply = self.ask("GET", url, Vec::new(), Payload::Empty, PATIENCE).ok()?;
        json(&*(reply.status == 200).then_some(reply)?)
    }

    fn ask(
        &mut self,
        method: &str,
        url: Url,
        headers: Vec<(String, String)>,
        payload: Payload,
        limit: Duration,
    ) -> Answer {
        let key = format!("{method} {url}");
        if let Some((_, answer)) = self.asked.iter().find(|(old, _)| *old == key) {
            return answer.clone();
        }
        if self.left() == 0 {
            return Err(failure(Why::NotAsked, format!("{url}: enough was asked before")));
        }
        let other_port = url.port() != self.server.port();
        let follow = !other_port && method != websocket::METHOD;
        let outgoing = Outgoing { method: method.into(), url, headers, payload, follow };
        let answer = self.http.send(&outgoing, limit.min(self.http.time_left() / 4)).map(Rc::new);
        self.silent |= !other_port && answer.as_ref().is_err_and(|failure| failure.partial.is_none());
        self.asked.push((key, answer.clone()));
        answer
    }

    /// Whether the path was answered before.
    pub fn knows(&self, path: &str) -> bool {
        let key = format!("GET {}", at(self.server, path));
        self.asked.iter().any(|(old, _)| *old == key)
    }

    /// Time by which a group of questions that may take so long must end.
    pub fn end_after(&self, patience: Duration) -> Instant {
        Instant::now() + patience.min(self.http.time_left() / 4)
    }
}

/// The JSON of an answer that came whole.
pub fn json(reply: &Reply) -> Option<Value> {
    debug_assert!(reply.body.len() <= BODY_CAP);
    serde_json::from_slice(&reply.body).ok().filter(|_| !reply.cut)
}

/// The start of an answer as text.
pub fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.body.get(..reply.body.len().min(16 << 10)).unwrap_or_default()).into_owned()
}

/// A header of an answer.
pub fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply.headers.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
}
