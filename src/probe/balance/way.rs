//! The ways in which a connection can be opened: which are tried, and in what order.

use crate::probe::service::held::{Holder, Outgoing};
use crate::probe::service::known_good;
use crate::probe::{BalanceAsk, Context};
use crate::snapshot::{Facts, Unknown};
use std::time::{Duration, Instant};

/// Paths of WebSockets that are tried where none was named.
const PATHS: &[&str] = &["/asr", "/ws", "/v1/audio/stream", "/stream", "/transcribe"];
/// Longest search for a request that the server accepts.
const SEARCH: Duration = Duration::from_secs(25);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A WebSocket at a path.
    WebSocket(String),
    /// A GET of a path, answered with events.
    Events(String),
    /// The request that the server accepts, answered piece by piece.
    Good,
}

impl Way {
    /// Those that fit what the user asked, the likeliest first.
    pub fn all(context: &Context, ask: &BalanceAsk) -> Vec<Way> {
        let server = context.ask.server.as_ref();
        let of_websocket = server.filter(|url| matches!(url.scheme(), "ws" | "wss"));
        let of_url = of_websocket.map(|url| match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        });
        let named = context.ask.operation.clone().or(of_url.filter(|path| path != "/"));
        let named = named.map(|path| if path.starts_with('/') { path } else { format!("/{path}") });
        match (named, ask.over_http) {
            (Some(path), true) => vec![Way::Events(path), Way::Good],
            (Some(path), false) if of_websocket.is_some() => vec![Way::WebSocket(path)],
            (Some(path), false) => vec![Way::WebSocket(path.clone()), Way::Events(path), Way::Good],
            (None, true) => vec![Way::Good],
            (None, false) => {
                let paths = PATHS.iter().map(|path| Way::WebSocket((*path).to_owned()));
                paths.chain(of_websocket.is_none().then_some(Way::Good)).collect()
            }
        }
    }

    /// What is to be sent for it.
    ///
    /// # Errors
    /// No request is known that the server accepts.
    pub fn opening(&self, holder: &Holder, context: &Context, facts: &Facts) -> Result<Outgoing, Unknown> {
        match self {
            Way::WebSocket(path) => Ok(holder.websocket(path)),
            Way::Events(path) => Ok(holder.events(path)),
            Way::Good => {
                let deadline = context.deadline.min(Instant::now() + SEARCH);
                let context = Context { deadline, ..context.clone() };
                // The search has a loop of its own, and one thread has but one. Nothing is held yet that would have to wait.
                let found = std::thread::scope(|scope| scope.spawn(|| known_good(&context, facts)).join());
                found.unwrap_or_else(|_| {
                    Err(Unknown::new(crate::snapshot::Why::Crashed, "the search for a request failed"))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Ask;

    fn ways(server: &str, operation: Option<&str>, over_http: bool) -> Vec<Way> {
        let operation = operation.map(str::to_owned);
        let ask = Ask { server: Some(server.parse().unwrap()), operation, ..Ask::default() };
        let context = Context { ask, deadline: Instant::now() };
        Way::all(&context, &BalanceAsk { over_http, ..BalanceAsk::default() })
    }

    #[test]
    fn what_the_user_named_decides_which_ways_are_tried() {
        let websocket = |path: &str| Way::WebSocket(path.into());
        let events = |path: &str| Way::Events(path.into());
        assert_eq!(ways("ws://h:1/asr?language=en", None, false), [websocket("/asr?language=en")]);
        assert_eq!(ways("wss://h:1/", Some("talk"), false), [websocket("/talk")]);
        assert_eq!(ways("http://h:1", Some("/talk"), false), [websocket("/talk"), events("/talk"), Way::Good]);
        assert_eq!(ways("http://h:1", Some("/talk"), true), [events("/talk"), Way::Good]);
        assert_eq!(ways("http://h:1", None, true), [Way::Good]);
        assert_eq!(ways("ws://h:1", None, false).len(), PATHS.len());
        assert_eq!(ways("http://h:1", None, false).last(), Some(&Way::Good));
    }
}
