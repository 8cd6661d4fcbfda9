//! What is spoken with the server: HTTP, gRPC or a WebSocket, by the scheme of its URL.

use super::message::Message;
use super::recognize::{self, Discovered};
use super::transport::{Failure, Http, Outgoing, Payload};
use super::{grpc, websocket};
use crate::probe::Context;
use crate::snapshot::{RequestFacts, StateAnswer};
use url::Url;

/// A protocol above the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    Http,
    Grpc,
    WebSocket,
}

/// What the server says of itself beyond its operation, by what was spoken.
pub enum Told {
    Nothing,
    Grpc(grpc::server::Told),
    WebSocket(websocket::routes::Told),
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

    /// Finds out what the server is. `server` is `named` as the connection has it.
    ///
    /// # Errors
    /// The server is not reached, or does not speak this.
    pub fn discover(
        self,
        http: &Http,
        named: &Url,
        server: &Url,
        everywhere: &[(String, String)],
        context: &Context,
        client: Option<&Message>,
    ) -> Result<(Discovered, Told), Failure> {
        let ask = &context.ask;
        match self {
            Spoken::Grpc => {
                grpc::server::discover(http, server, everywhere, ask).map(|(found, told)| (found, Told::Grpc(told)))
            }
            Spoken::WebSocket => websocket::routes::discover(http, server, everywhere, ask, true)
                .map(|(found, told)| (found, Told::WebSocket(told))),
            Spoken::Http => {
                let found = recognize::discover(http, server, everywhere, ask, client)
                    .map_err(|failure| grpc::server::named_rightly(named, failure, context.deadline))?;
                if found.operation.is_some() || client.is_some() {
                    return Ok((found, Told::Nothing));
                }
                // Routes of WebSockets stand in no schema.
                Ok(match websocket::routes::discover(http, server, everywhere, ask, false) {
                    Ok((route, told)) if route.operation.is_some() => (route, Told::WebSocket(told)),
                    _ => (found, Told::Nothing),
                })
            }
        }
    }

    /// A request that costs the server next to nothing.
    pub fn light(self, found: &Discovered, server: &Url, everywhere: &[(String, String)]) -> Outgoing {
        match self {
            Spoken::Grpc => grpc::server::live(server, everywhere),
            _ => Outgoing {
                method: "GET".into(),
                url: found.light(server),
                headers: everywhere.to_vec(),
                payload: Payload::Empty,
                follow: false,
            },
        }
    }
}

impl Told {
    /// Fills the facts about the server. `state` is what it answered about its state.
    pub fn record(self, state: &[StateAnswer], room: &mut RequestFacts) {
        match self {
            Told::Nothing => {}
            Told::Grpc(told) => told.record(state, room),
            Told::WebSocket(told) => told.record(room),
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
