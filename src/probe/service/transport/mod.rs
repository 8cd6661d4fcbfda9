//! Sends one request and reads one answer, bounded in time and size, with failures sorted by cause.

pub mod beside;

use super::{grpc, websocket};
use crate::snapshot::{PhaseTimes, Stream, Why};
use beside::Aside;
use http_body_util::BodyExt;
use reqwest::multipart;
use reqwest::{Client, Method, redirect};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;

/// Longest answer that is read, bytes.
pub const BODY_CAP: usize = 1 << 20;
const REDIRECTS: usize = 5;
/// Errors that tell of this process's or this machine's limits, not of the server.
const OWN_LIMITS: &[i32] = &[libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EADDRNOTAVAIL];

/// A request ready for the wire.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub method: String,
    pub url: Url,
    pub headers: Vec<(String, String)>,
    pub payload: Payload,
    /// Whether redirects on the same host are followed.
    pub follow: bool,
}

/// A body.
#[derive(Debug, Clone)]
pub enum Payload {
    Empty,
    Bytes { bytes: Arc<[u8]>, content_type: String },
    Multipart(Vec<Part>),
}

impl Payload {
    /// Size of what is sent, bytes, without the frame of a multipart body.
    pub fn bytes(&self) -> u64 {
        match self {
            Payload::Empty => 0,
            Payload::Bytes { bytes, .. } => bytes.len() as u64,
            Payload::Multipart(parts) => parts.iter().map(|part| part.bytes.len() as u64).sum(),
        }
    }
}

/// One part of a multipart body.
#[derive(Debug, Clone)]
pub struct Part {
    pub name: String,
    /// File name and media type.
    pub file: Option<(String, String)>,
    pub bytes: Arc<[u8]>,
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    pub body: Vec<u8>,
    /// The body was longer than [`BODY_CAP`].
    pub cut: bool,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What the time went into, where it was measured.
    pub phases: Option<PhaseTimes>,
    /// The pieces in which the answer came, if it did.
    pub stream: Option<Stream>,
    /// Fields that came after the body, names in lower case.
    pub trailers: Vec<(String, String)>,
    /// Of a gRPC call the name of its status; `status` is the HTTP status that it stands for.
    pub grpc_status: Option<String>,
    /// Of a WebSocket how it ended.
    pub session: Option<websocket::Session>,
}

/// Why there is no whole answer.
#[derive(Debug, Clone)]
pub struct Failure {
    pub why: Why,
    pub text: String,
    /// The obstacle lies on this side: the server was not even asked.
    pub own: bool,
    /// What had arrived by then, if the head of an answer had.
    pub partial: Option<Box<Reply>>,
}

/// Which certificates are trusted, besides the system's.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Every certificate (curl's `-k`).
    pub insecure: bool,
    /// More roots, PEM (curl's `--cacert`).
    pub roots: Option<Vec<u8>>,
}

/// The HTTP client of one conversation.
pub struct Http {
    runtime: Option<tokio::runtime::Runtime>,
    client: Client,
    /// Requests are gRPC calls.
    grpc: bool,
    deadline: Instant,
}

impl Drop for Http {
    fn drop(&mut self) {
        // A name that does not resolve must not hold up the end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Http {
    /// A client for a server, to be done by `deadline`. Proxies from the environment are not used.
    pub fn new(server: &Url, trust: &Trust, deadline: Instant) -> Result<Self, Failure> {
        // Fails only if a provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder =
            Client::builder().no_proxy().redirect(redirect::Policy::none()).user_agent(crate::TOOL.replace(' ', "/"));
        // gRPC is HTTP/2 from the first byte; an upgrade to a WebSocket is HTTP/1.1's.
        builder = match server.scheme() {
            "grpc" | "grpcs" => builder.http2_prior_knowledge(),
            _ => builder.http1_only(),
        };
        if !matches!(server.scheme(), "https" | "grpcs" | "wss") {
            // Plain HTTP must work on systems without any certificates.
            builder = builder.tls_certs_only([]);
        } else if trust.insecure {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        if let Some(pem) = &trust.roots {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|e| broken(&e))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| broken(&error))?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| broken(&error))?;
        let grpc = matches!(server.scheme(), "grpc" | "grpcs");
        Ok(Self { runtime: Some(runtime), client, grpc, deadline })
    }

    /// Time left for the conversation.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Sends a request, and `delay` later a second one beside it. Tells of the second how long it took and what was left
    /// of the first when it was sent; nothing if the first had ended by then.
    pub fn send_with(
        &self,
        first: &Outgoing,
        limit: Duration,
        second: &Outgoing,
        delay: Duration,
    ) -> (Result<Reply, Failure>, Result<Option<Aside>, Failure>) {
        let Some(runtime) = &self.runtime else {
            return (self.send(first, limit), Ok(None));
        };
        let limit = limit.min(self.time_left() / 2);
        // Answered soon after the first at the latest, or not at all.
        let patience = limit + Duration::from_secs(1);
        let second = if self.grpc { grpc::call(second) } else { Ok(second.clone()) };
        let (client, second) = match second {
            Ok(second) => (self.client.clone(), second),
            Err(failure) => return (self.send(first, limit), Err(failure)),
        };
        let beside = runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            let sent = Instant::now();
            let mut reply = None;
            let ended = tokio::time::timeout(patience, exchange(&client, &second, &mut reply)).await;
            (sent, sent.elapsed(), ended)
        });
        let result = self.send(first, limit);
        let ended = Instant::now();
        if result.is_err() {
            beside.abort();
            return (result, Ok(None));
        }
        let rest = Duration::from_secs(1).min(self.time_left() / 4);
        let aside = match runtime.block_on(async { tokio::time::timeout(rest, beside).await }) {
            Ok(Ok((sent, took, Ok(Ok(()))))) => Ok((sent < ended).then(|| Aside { took, left: ended - sent })),
            Ok(Ok((.., Ok(Err(failure))))) => Err(failure),
            _ => Err(failure(Why::TimedOut, "the light request beside it got no answer".into())),
        };
        (result, aside)
    }

    /// Sends a request and reads its answer, within `limit` and half of the time left.
    pub fn send(&self, outgoing: &Outgoing, limit: Duration) -> Result<Reply, Failure> {
        if self.grpc {
            let mut reply = self.send_plain(&grpc::call(outgoing)?, limit)?;
            grpc::translate(outgoing.url.path(), &mut reply);
            return Ok(reply);
        }
        self.send_plain(outgoing, limit)
    }

    fn send_plain(&self, outgoing: &Outgoing, limit: Duration) -> Result<Reply, Failure> {
        let limit = limit.min(self.time_left() / 2);
        let Some(runtime) = &self.runtime else { return Err(broken(&std::fmt::Error)) };
        let mut partial = None;
        let ended = runtime.block_on(async {
            hear_of_closed().await;
            tokio::time::timeout(limit, exchange(&self.client, outgoing, &mut partial)).await
        });
        match ended {
            Ok(Ok(())) => partial.ok_or_else(|| broken(&std::fmt::Error)),
            Ok(Err(mut failure)) => {
                failure.partial = partial.map(Box::new);
                Err(failure)
            }
            Err(_) => {
                let seen = if partial.is_some() { "the whole answer did not come" } else { "no answer" };
                let text = format!("{}: {seen} within {:.1} s", outgoing.url, limit.as_secs_f64());
                Err(Failure { partial: partial.map(Box::new), ..failure(Why::TimedOut, text) })
            }
        }
    }
}

/// Lets kept connections hear that the server has closed them since. Nothing runs between two requests, so without this
/// the next one would be written to such a connection and be lost: gunicorn closes after two quiet seconds, uvicorn after
/// five.
async fn hear_of_closed() {
    // The first turn asks the kernel what has happened, in the second the connections read it.
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

async fn exchange(client: &Client, outgoing: &Outgoing, reply: &mut Option<Reply>) -> Result<(), Failure> {
    let mut url = outgoing.url.clone();
    for _ in 0..=REDIRECTS {
        let request = build(client, outgoing, &url)?;
        let started = Instant::now();
        let response = client.execute(request).await.map_err(|error| classify(&url, &error))?;
        let status = response.status().as_u16();
        let header = |name: &str| {
            response.headers().get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).unwrap_or_default()
        };
        // 301 to 303 turn other methods into GET, so a body would be lost.
        let follows = outgoing.follow
            && outgoing.method != websocket::METHOD
            && match status {
                307 | 308 => true,
                301..=303 => outgoing.method == "GET",
                _ => false,
            };
        if follows
            && let Ok(next) = url.join(&header("location"))
            && next.origin() == url.origin()
        {
            url = next;
            continue;
        }
        let content_type = header("content-type");
        let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let reply = reply.insert(Reply { status, content_type, headers, ..Reply::default() });
        if status == 101 && outgoing.method == websocket::METHOD {
            websocket::agreed(reply)?;
            let stream = response.upgrade().await.map_err(|error| classify(&url, &error))?;
            return websocket::hold(stream, outgoing, started, reply).await;
        }
        let mut body = hyper::Response::<reqwest::Body>::from(response).into_body();
        while let Some(frame) = body.frame().await {
            let chunk = match frame.map_err(|error| classify(&url, &error))?.into_data() {
                Ok(chunk) => chunk,
                Err(frame) => {
                    let told = frame.into_trailers().unwrap_or_default();
                    reply.trailers = told.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
                    continue;
                }
            };
            let room = BODY_CAP - reply.body.len();
            reply.body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                reply.cut = true;
                break;
            }
        }
        return Ok(());
    }
    let text = format!("{}: redirected more than {REDIRECTS} times, last to {}", outgoing.url, url.path());
    Err(failure(Why::Malformed, text))
}

fn build(client: &Client, outgoing: &Outgoing, url: &Url) -> Result<reqwest::Request, Failure> {
    let upgrades = outgoing.method == websocket::METHOD;
    let method = if upgrades { "GET" } else { &outgoing.method };
    let method = Method::from_bytes(method.as_bytes()).map_err(|error| broken(&error))?;
    let mut request = client.request(method, url.clone());
    if upgrades {
        for (name, value) in websocket::UPGRADE.iter().copied().chain(own_headers(outgoing)) {
            request = request.header(name, value);
        }
        // What the session says is sent after the upgrade.
        return request.build().map_err(|error| broken(&error));
    }
    for (name, value) in own_headers(outgoing) {
        request = request.header(name, value);
    }
    request = match &outgoing.payload {
        Payload::Empty => request,
        Payload::Bytes { bytes, content_type } if content_type.is_empty() => request.body(bytes.to_vec()),
        Payload::Bytes { bytes, content_type } => request.header("content-type", content_type).body(bytes.to_vec()),
        Payload::Multipart(parts) => {
            let mut form = multipart::Form::new();
            for part in parts {
                let mut piece = multipart::Part::bytes(part.bytes.to_vec());
                if let Some((name, media_type)) = &part.file {
                    piece = piece.file_name(name.clone()).mime_str(media_type).map_err(|error| broken(&error))?;
                }
                form = form.part(part.name.clone(), piece);
            }
            request.multipart(form)
        }
    };
    request.build().map_err(|error| broken(&error))
}

fn own_headers(outgoing: &Outgoing) -> impl Iterator<Item = (&str, &str)> {
    outgoing.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// A request that could not even be formed.
fn broken(error: &dyn Error) -> Failure {
    Failure { own: true, ..failure(Why::Malformed, format!("no request could be formed: {}", chain(error))) }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

/// Names the cause of a failed exchange.
fn classify(url: &Url, error: &reqwest::Error) -> Failure {
    let place = format!("{}:{}", url.host_str().unwrap_or("?"), url.port_or_known_default().unwrap_or(0));
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            if let Some(tls) = tls_error(io) {
                return failure(Why::Denied, format!("{place}: TLS: {}", tls_cause(tls)));
            }
            if io.raw_os_error().is_some_and(|code| OWN_LIMITS.contains(&code)) {
                return Failure { own: true, ..failure(Why::Denied, format!("{place} could not be asked: {io}")) };
            }
            match io.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    return failure(Why::Absent, format!("{place}: connection refused: nothing listens there"));
                }
                std::io::ErrorKind::ConnectionReset => {
                    let text = format!("{place}: the connection was reset before the answer ended{}", tls_hint(url));
                    return failure(Why::Malformed, text);
                }
                std::io::ErrorKind::TimedOut => {
                    return failure(Why::TimedOut, format!("{place}: the connection timed out"));
                }
                _ => {}
            }
        }
        if let Some(hyper) = inner.downcast_ref::<hyper::Error>() {
            if hyper.is_parse() {
                let hint = if url.scheme() == "http" { "; if it speaks TLS, name it https://" } else { "" };
                return failure(Why::Malformed, format!("{place}: the answer is not HTTP ({hyper}){hint}"));
            }
            if hyper.is_incomplete_message() {
                let text = format!("{place}: the connection was closed before an answer{}", tls_hint(url));
                return failure(Why::Malformed, text);
            }
        }
        source = inner.source();
    }
    let text = chain(error);
    match text.split_once("dns error: ") {
        Some((_, cause)) => {
            let host = url.host_str().unwrap_or("?");
            failure(Why::Absent, format!("the name {host} does not resolve to an address ({cause})"))
        }
        None => failure(Why::Absent, format!("{place}: {text}")),
    }
}

fn tls_hint(url: &Url) -> &'static str {
    if url.scheme() == "http" { " (some TLS ports do so: try https://)" } else { "" }
}

/// The TLS error inside an I/O error, which may be wrapped in another one.
fn tls_error(io: &std::io::Error) -> Option<&rustls::Error> {
    let mut io = io;
    for _ in 0..4 {
        let inner = io.get_ref()?;
        if let Some(tls) = inner.downcast_ref() {
            return Some(tls);
        }
        io = inner.downcast_ref()?;
    }
    None
}

/// A failure of the server's, before any answer.
pub fn failure(why: Why, text: String) -> Failure {
    Failure { why, text, own: false, partial: None }
}

fn tls_cause(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as A, CertificateError as C, Error as E};
    match error {
        E::InvalidCertificate(C::UnknownIssuer) => {
            "the certificate is self-signed or its issuer is not trusted (curl: --cacert FILE)".into()
        }
        // webpki's word for a certificate that signs itself; the variant is not public here.
        E::InvalidCertificate(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "the certificate is self-signed".into()
        }
        E::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => "the certificate has expired".into(),
        E::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "the certificate is not valid yet".into()
        }
        E::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            format!("the certificate is for another name ({error})")
        }
        E::InvalidMessage(_) => "the port does not speak TLS: name it http:// instead".into(),
        E::PeerIncompatible(_) | E::AlertReceived(A::ProtocolVersion) => {
            format!("no TLS version in common; TLS 1.2 and 1.3 are tried ({error})")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    /// Answers one request on each connection, promises to keep it open, and closes it.
    fn closing_server(connections: usize) -> (Url, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let serve = move || {
            for stream in listener.incoming().take(connections) {
                let mut stream = BufReader::new(stream.unwrap());
                let mut line = String::new();
                while stream.read_line(&mut line).unwrap() > 2 {
                    line.clear();
                }
                stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
                // Closed only when the answer has long been read.
                std::thread::sleep(Duration::from_millis(30));
            }
        };
        (url, std::thread::spawn(serve))
    }

    #[test]
    fn a_request_is_not_lost_on_a_connection_that_the_server_has_closed() {
        let (url, server) = closing_server(5);
        let http = Http::new(&url, &Trust::default(), Instant::now() + Duration::from_secs(60)).unwrap();
        let outgoing =
            Outgoing { method: "POST".into(), url, headers: Vec::new(), payload: Payload::Empty, follow: false };
        for turn in 0..5 {
            let reply = http.send(&outgoing, Duration::from_secs(10));
            assert_eq!(reply.map(|reply| reply.status).map_err(|failure| failure.text), Ok(200), "request {turn}");
            // The server's goodbye arrives while nothing runs here.
            std::thread::sleep(Duration::from_millis(150));
        }
        server.join().unwrap();
    }
}
