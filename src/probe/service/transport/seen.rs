//! What was seen of the way to the server, for the snapshot.

use super::connect::{ConnectTimes, Connector};
use super::tls::Fault;
use crate::snapshot::{Fact, PhaseTimes, Transport, Unknown, Why};
use std::time::Duration;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// The protocol of the last answer.
    pub protocol: Option<&'static str>,
    pub tls_version: Option<String>,
    /// A fault that showed outside of the handshake, and the certificate that came to light with it.
    pub fault: Option<Fault>,
    pub certificate: Option<String>,
    /// The first exchange on a new connection.
    pub first: Option<PhaseTimes>,
    /// What spoke on the port was looked at once, after a failure.
    pub examined: bool,
}

impl Seen {
    /// The facts about the way.
    pub fn told(&self, connector: &Connector) -> Transport {
        let no_answer = || Unknown::new(Why::NotAsked, "no HTTP answer came");
        let between = connector.between();
        let proxy = between.proxy.as_ref();
        let tls = connector.tls();
        let shown = tls.map(|tls| tls.shown()).unwrap_or_default();
        let fault = self.fault.as_ref().or(shown.fault.as_ref());
        let nothing_agreed = tls.is_some() && self.tls_version.is_none();
        let certificate = shown.certificate.or_else(|| self.certificate.clone());
        // Without a handshake, nothing is known of it; plain HTTP that is answered has no TLS to be at fault.
        let judged = |fault: Option<String>| match fault {
            None if nothing_agreed || self.protocol.is_none() => Fact::Unknown(no_answer()),
            fault => Fact::Known(fault.unwrap_or_default()),
        };
        Transport {
            protocol: self.protocol.map(str::to_owned).ok_or_else(no_answer).into(),
            proxy: Fact::Known(proxy.map(|proxy| proxy.shown()).unwrap_or_default()),
            proxy_from: Fact::Known(proxy.map(|proxy| proxy.from.clone()).unwrap_or_default()),
            proxy_unused: Fact::Known(
                between.unused.as_ref().map(|(from, url)| format!("{from}={url}")).unwrap_or_default(),
            ),
            unix_socket: Fact::Known(
                connector.unix_socket().map(|path| path.display().to_string()).unwrap_or_default(),
            ),
            tls_version: match &self.tls_version {
                None if nothing_agreed => Fact::unknown(Why::NotAsked, "TLS was not agreed on"),
                version => Fact::Known(version.clone().unwrap_or_default()),
            },
            tls_fault: judged(fault.map(|fault| fault.word.to_owned())),
            tls_fault_because: judged(fault.map(|fault| fault.text.clone())),
            certificate: match certificate {
                Some(certificate) => Fact::Known(certificate),
                None => Fact::unknown(Why::NotAsked, "no certificate was shown"),
            },
            first_exchange: self.first.clone().ok_or_else(no_answer).into(),
            credentials: Fact::default(),
            client_names: Fact::default(),
        }
    }
}

/// The times of an exchange. Phases of the connection are unknown on one that was kept.
pub fn phases(connection: Option<&ConnectTimes>, first_byte: Option<Duration>, total: Duration) -> PhaseTimes {
    let of = |time: Option<Duration>, lack: &str| match time {
        Some(time) => Fact::Known(milliseconds(time)),
        None => Fact::unknown(Why::NotAsked, lack),
    };
    let kept = "the connection was kept from the exchange before";
    let (resolve, connect, tls) = match connection {
        Some(times) => (
            of(times.resolve, "the address is a number or a path"),
            of(times.connect, "no connection was made"),
            of(times.tls, "without TLS"),
        ),
        None => (of(None, kept), of(None, kept), of(None, kept)),
    };
    PhaseTimes {
        resolve_ms: resolve,
        connect_ms: connect,
        tls_ms: tls,
        first_byte_ms: of(first_byte, "no answer came"),
        total_ms: Fact::Known(milliseconds(total)),
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
