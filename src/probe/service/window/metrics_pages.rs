//! Where a server of its kind has its metrics page.

use super::is_local;
use crate::probe::Context;
use crate::probe::metrics::Page;
use crate::probe::service::engine::Ports;
use crate::probe::service::recognize::{Discovered, at};
use crate::probe::service::transport::{Http, Outgoing, Payload};
use crate::snapshot::{Facts, Unknown, Why};
use std::time::Duration;
use url::Url;

/// Longest wait for a page, and its largest size.
const PATIENCE: Duration = Duration::from_secs(1);
const PAGE_CAP: usize = 1 << 20;

/// A page.
pub struct Place {
    pub url: Url,
    /// Whose page it must be, as `families.yaml` names it. Of a page at the server's own port, any known software's.
    pub of: Option<&'static str>,
    /// It is at another port than the server's, where the user's headers and route do not belong.
    pub beside: bool,
}

/// The pages to read.
pub fn places(server: &Url, found: &Discovered, context: &Context, facts: &Facts) -> Vec<Result<Place, Unknown>> {
    let own = |path: &str| {
        let url = at(server, &format!("{}{path}", found.prefix));
        Ok(Place { url, of: None, beside: false })
    };
    // Of a server behind a socket no other port is known.
    let has_ports = context.ask.connection.unix_socket.is_none();
    let beside = |port: u16, of| {
        let untold = || Unknown::new(Why::Unsupported, format!("{server} has no other ports"));
        let host = server.host_str().filter(|_| has_ports).ok_or_else(untold)?;
        let url = format!("http://{host}:{port}/metrics").parse().map_err(|_| untold())?;
        Ok(Place { url, of: Some(of), beside: true })
    };
    let ports = Ports::of(facts);
    let page = match found.kind {
        Some("triton") => ports.triton_page.and_then(|port| beside(port, "triton")),
        Some("mlserver") => beside(ports.mlserver_metrics, "mlserver"),
        Some("torchserve") => beside(ports.torchserve_metrics, "torchserve"),
        Some("ray-serve") => match ports.ray_metrics {
            Some(port) => beside(port, "ray_serve"),
            None => Err(Unknown::new(Why::NotAsked, "the port of Ray's metrics is not known")),
        },
        Some("tf-serving") => own("/monitoring/prometheus/metrics"),
        Some("vllm" | "sglang" | "tgi" | "tei" | "llama.cpp" | "bentoml" | "kserve" | "openai") => own("/metrics"),
        kind => {
            let kind = kind.unwrap_or("unrecognized");
            Err(Unknown::new(Why::NotAsked, format!("no metrics are known of a server of this kind ({kind})")))
        }
    };
    let mut places = vec![page];
    if is_local(context, facts) && has_ports {
        // DCGM's exporter, on this machine only.
        let url = Url::parse("http://127.0.0.1:9400/metrics").ok();
        places.extend(url.map(|url| Ok(Place { url, of: Some("dcgm"), beside: true })));
    }
    places
}

/// Reads a page.
///
/// # Errors
/// It is not reached within a second, is no page, or is longer than 1 MiB.
pub fn read(http: &Http, url: &Url, headers: &[(String, String)]) -> Result<Page, Unknown> {
    let (method, headers) = ("GET".into(), headers.to_vec());
    let outgoing = Outgoing { method, url: url.clone(), headers, payload: Payload::Empty, follow: false };
    let reply = http.send(&outgoing, PATIENCE).map_err(|failure| Unknown::new(failure.why, failure.text))?;
    if reply.status != 200 {
        return Err(Unknown::new(Why::Absent, format!("{url} answers {}", reply.status)));
    }
    if reply.cut || reply.body.len() > PAGE_CAP {
        return Err(Unknown::new(Why::Malformed, format!("{url}: the page is longer than 1 MiB")));
    }
    Page::read(reply.body.as_slice()).map_err(|error| Unknown::from_io(&error, url))
}
