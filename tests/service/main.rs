//! The service probe against servers that behave and servers that do not.

mod breaking;
#[path = "../setup/bridge.rs"]
mod bridge;
mod clients;
mod contract;
mod grpc;
#[path = "../setup/scripted_server.rs"]
mod scripted_server;
mod transport;
mod two;
mod way;
mod websocket;

use gpu_doctor::probe::{Ask, Context, service};
use gpu_doctor::snapshot::{Exchange, Fact, Facts, Unknown, Why};
use std::time::{Duration, Instant};

/// Runs the probe on a question, within some seconds.
fn probe(ask: Ask, seconds: u64) -> Facts {
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not part of this test"));
    let context = Context { ask, deadline: Instant::now() + Duration::from_secs(seconds) };
    (service::PROBE.run)(&context, &mut facts);
    facts
}

fn ask(url: &str, client: Option<&str>) -> Ask {
    Ask {
        server: Some(url.parse().unwrap()),
        client_request: client.map(|text| ("the test".to_owned(), text.to_owned())),
        requests: 2,
        window: Duration::from_millis(300),
        ..Ask::default()
    }
}

fn known<T: std::fmt::Debug>(fact: &Fact<T>) -> &T {
    match fact {
        Fact::Known(value) => value,
        Fact::Unknown(unknown) => panic!("unknown: {unknown}"),
    }
}

fn status(exchange: &Fact<Exchange>) -> u64 {
    *known(&known(exchange).status)
}
