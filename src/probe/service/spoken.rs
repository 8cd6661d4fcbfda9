//! What is spoken with the server: HTTP, gRPC or a WebSocket, by the scheme of its URL.

use super::message::Message;
use super::recognize::Discovered;
use super::recognize::questions::Questions;
use super::transport::{Failure, Route};
use super::{grpc, websocket};
use crate::probe::Context;
use crate::snapshot::{Fact, RequestFacts};
use url::Url;

/// A protocol above the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    Http,
    Grpc,
    WebSocket,
}

/// The server's URL as the connection has it: gRPC and WebSockets begin as HTTP.
pub fn plain(server: &Url) -> Url {
    let scheme = match server.scheme() {
        "grpc" | "ws" => "http",
        "grpcs" | "wss" => "https",
        _ => return server.clone(),
    };
    let rest = server.as_str().split_once(':').map_or("", |(_, rest)| rest);
    // The same text with a scheme of the web is a URL again; a host that no web URL can have stays as it was.
    Url::parse(&format!("{scheme}:{rest}")).unwrap_or_else(|_| server.clone())
}

impl Spoken {
    /// By the URL's scheme.
    pub fn by(server: &Url) -> Self {
        match server.scheme() {
            "grpc" | "grpcs" => Spoken::Grpc,
            "ws" | "wss" => Spoken::WebSocket,
            _ => Spoken::Http,
        }
    }

    /// What the server is. `ask` asks it as over HTTP, which is left out where a WebSocket is named. A WebSocket's route
    /// is sought if one is named, or if nothing else was found; a port that speaks something else gets its right name.
    /// With it comes how a route was recognized.
    ///
    /// # Errors
    /// The server is not reached, or does not speak this.
    pub fn discovered(
        self,
        ask: impl FnOnce(&mut Questions) -> Result<Discovered, Failure>,
        questions: &mut Questions,
        server: &Url,
        route: &Route,
        context: &Context,
        client: Option<&Message>,
    ) -> Result<(Discovered, Option<String>), Failure> {
        let sought =
            |questions: &mut Questions, only| websocket::routes::discover(questions, server, &context.ask, only);
        // The server may answer nothing but upgrades.
        if self == Spoken::WebSocket {
            return sought(questions, true);
        }
        match (self, ask(questions)) {
            (Spoken::Grpc, found) => {
                found.map(|found| (found, None)).map_err(|failure| grpc::port::not_grpc(server, failure))
            }
            (_, Err(failure)) => Err(grpc::port::named_rightly(server, route, failure, context.deadline)),
            // Routes of WebSockets stand in no schema, and are sought where it may be that the server has nothing else.
            (_, Ok(found)) if client.is_none() && found.is_open() => match sought(questions, false) {
                Ok((route, by)) if route.operation.is_some() => Ok((route, by)),
                _ => Ok((found, None)),
            },
            (_, Ok(found)) => Ok((found, None)),
        }
    }

    /// Writes down what was spoken, by what a route was recognized, and that an unknown server speaks gRPC.
    pub fn record(self, by: Option<String>, room: &mut RequestFacts) {
        let protocol = match self {
            Spoken::Grpc => Some("gRPC"),
            _ => by.as_ref().map(|_| "WebSocket"),
        };
        if let (Some(protocol), Fact::Known(transport)) = (protocol, &mut room.transport) {
            transport.protocol = Fact::Known(protocol.into());
        }
        if let Some(by) = by {
            room.recognized_by = Fact::Known(by);
        }
        let unrecognized = room.server_kind.known().is_some_and(|kind| kind == "unrecognized");
        if self == Spoken::Grpc && unrecognized {
            room.server_kind = Fact::Known("grpc".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_begins_as_http() {
        let plain = |text: &str| plain(&Url::parse(text).unwrap()).to_string();
        assert_eq!(plain("grpc://127.0.0.1:8001"), "http://127.0.0.1:8001/");
        assert_eq!(plain("grpcs://[::1]:8001/"), "https://[::1]:8001/");
        assert_eq!(plain("ws://h:8000/asr"), "http://h:8000/asr");
        assert_eq!(plain("wss://h/asr"), "https://h/asr");
        assert_eq!(plain("https://h/x"), "https://h/x");
        assert_eq!(Spoken::by(&Url::parse("grpcs://h:1").unwrap()), Spoken::Grpc);
        assert_eq!(Spoken::by(&Url::parse("ws://h").unwrap()), Spoken::WebSocket);
        assert_eq!(Spoken::by(&Url::parse("http://h").unwrap()), Spoken::Http);
    }
}
