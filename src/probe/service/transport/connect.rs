//! Makes a connection to the server: name, address, proxy, TLS, each within its own time.

use super::failure::{Failure, failure, own, unconnected};
use super::outgoing::authority;
use super::proxy::{self, Between, Proxy};
use super::tap::Io;
use super::tls::Tls;
use super::tunnel::tunnel;
use super::{Route, Trust};
use crate::snapshot::Why;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

/// Longest wait for the name, for the connection, for the proxy's word and for TLS.
const RESOLVE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);
const TUNNEL: Duration = Duration::from_secs(10);
const SECURE: Duration = Duration::from_secs(5);
/// The next address of a name is tried beside a silent one after this time (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
const ADDRESSES: usize = 8;

/// What is being done, to be told where the time ends in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Resolving,
    Connecting,
    Tunnelling,
    Securing,
    Waiting,
    Reading,
}

impl Phase {
    /// What did not come in this phase.
    pub fn lacking(self) -> &'static str {
        match self {
            Phase::Resolving => "the name did not become an address",
            Phase::Connecting => "no connection",
            Phase::Tunnelling => "no word of the proxy",
            Phase::Securing => "connected, but no answer to the greeting of TLS",
            Phase::Waiting => "no answer",
            Phase::Reading => "the whole answer did not come",
        }
    }
}

/// What the phases of making a connection took; `None` where one did not take place.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectTimes {
    pub resolve: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
}

/// A connection, ready for HTTP.
pub struct Opened {
    pub io: Box<dyn Io>,
    /// Both sides agreed on HTTP/2 within TLS.
    pub http2: bool,
    /// TLS's version; `None` without TLS.
    pub tls_version: Option<String>,
    pub times: ConnectTimes,
}

/// Makes connections to one server.
#[derive(Debug)]
pub struct Connector {
    unix_socket: Option<PathBuf>,
    between: Between,
    tls: Option<Tls>,
}

impl Connector {
    /// For a server. Its scheme decides about TLS.
    ///
    /// # Errors
    /// A file or a proxy that cannot be used, by its option.
    pub fn new(server: &Url, route: &Route) -> Result<Self, Failure> {
        let unusable = |text: String| own(Why::Malformed, text);
        let unix_socket = route.connection.unix_socket.clone();
        let variable = |name: &str| std::env::var(name).ok();
        let between = match &unix_socket {
            // A socket of this machine is behind no proxy.
            Some(_) => Between::default(),
            None => proxy::choose(server, route.connection.proxy.as_deref(), variable).map_err(unusable)?,
        };
        let secure = matches!(server.scheme(), "https" | "wss" | "grpcs");
        // Plain HTTP must work on systems without any certificates.
        let tls = secure.then(|| Tls::new(&route.trust, &route.connection)).transpose().map_err(unusable)?;
        Ok(Self { unix_socket, between, tls })
    }

    /// TLS with this server, if it is spoken.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The proxy in between, and the one that is not used.
    pub fn between(&self) -> &Between {
        &self.between
    }

    /// The proxy to which requests are written as they are: plain HTTP is not tunnelled.
    pub fn forwarding(&self) -> Option<&Proxy> {
        self.between.proxy.as_ref().filter(|_| self.tls.is_none())
    }

    /// The socket's path, if the server listens at one.
    pub fn unix_socket(&self) -> Option<&std::path::Path> {
        self.unix_socket.as_deref()
    }

    /// What is connected to, as it is told.
    pub fn place(&self, url: &Url) -> String {
        match &self.unix_socket {
            Some(path) => path.display().to_string(),
            None => place(url),
        }
    }

    /// Makes a connection to the host and port of a URL and agrees on TLS and, by `alpn`, on the protocol inside.
    pub async fn open(&self, url: &Url, alpn: &[&[u8]], phase: &mut Phase) -> Result<Opened, Failure> {
        let mut times = ConnectTimes::default();
        let raw = self.raw(url, &mut times, phase).await?;
        let Some(tls) = &self.tls else {
            return Ok(Opened { io: raw, http2: false, tls_version: None, times });
        };
        *phase = Phase::Securing;
        let place = self.place(url);
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let wrong = |error: &dyn std::fmt::Display| own(Why::Malformed, format!("{place}: TLS: {error}"));
        let name = ServerName::try_from(host.to_owned()).map_err(|error| wrong(&error))?;
        let config = tls.config(alpn).map_err(|error| wrong(&error))?;
        let started = Instant::now();
        let agreed = timeout(SECURE, tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, raw));
        let stream = match agreed.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                let fault = tls.fault(&error);
                return Err(failure(Why::Denied, format!("{place}: TLS: {}", fault.text)));
            }
            Err(_) => return Err(too_late(&place, *phase, SECURE)),
        };
        times.tls = Some(started.elapsed());
        let session = stream.get_ref().1;
        let http2 = session.alpn_protocol() == Some(b"h2");
        let tls_version = session.protocol_version().map(|version| version_in_words(&format!("{version:?}")));
        Ok(Opened { io: Box::new(stream), http2, tls_version, times })
    }

    /// The connection below TLS.
    async fn raw(&self, url: &Url, times: &mut ConnectTimes, phase: &mut Phase) -> Result<Box<dyn Io>, Failure> {
        if let Some(path) = &self.unix_socket {
            *phase = Phase::Connecting;
            let place = path.display().to_string();
            let started = Instant::now();
            let connected = timeout(CONNECT, UnixStream::connect(path)).await;
            let stream = connected.map_err(|_| too_late(&place, *phase, CONNECT))?;
            times.connect = Some(started.elapsed());
            return Ok(Box::new(stream.map_err(|error| unconnected(&place, &error))?));
        }
        let Some(proxy) = &self.between.proxy else {
            return Ok(Box::new(reach(url, times, phase).await?));
        };
        let through = |failure: Failure| {
            let text = format!("the proxy {} ({}): {}", proxy.shown(), proxy.from, failure.text);
            own(failure.why, text)
        };
        let mut stream = reach(&proxy.url, times, phase).await.map_err(through)?;
        if self.tls.is_some() {
            *phase = Phase::Tunnelling;
            let tunnelled = timeout(TUNNEL, tunnel(&mut stream, url, proxy)).await;
            tunnelled.map_err(|_| too_late(&proxy.shown(), *phase, TUNNEL)).and_then(|done| done).map_err(through)?;
        }
        Ok(Box::new(stream))
    }

    /// Whether plain HTTP is answered where TLS was not: the start of an answer to a bare GET.
    pub async fn answers_plain(&self, url: &Url) -> bool {
        let ask = async {
            let mut io = self.raw(url, &mut ConnectTimes::default(), &mut Phase::default()).await.ok()?;
            let question = format!("GET / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", authority(url));
            io.write_all(question.as_bytes()).await.ok()?;
            let mut start = [0; 5];
            io.read_exact(&mut start).await.ok()?;
            Some(&start == b"HTTP/")
        };
        timeout(Duration::from_secs(1), ask).await.ok().flatten().unwrap_or(false)
    }

    /// Whether TLS is spoken where plain HTTP failed, and what the server shows then.
    pub async fn answers_tls(&self, url: &Url) -> Option<Option<String>> {
        let trust = Trust { insecure: true, roots: None };
        let tls = Tls::new(&trust, &Default::default()).ok()?;
        let secure = Self { unix_socket: self.unix_socket.clone(), between: self.between.clone(), tls: Some(tls) };
        let opened = timeout(Duration::from_secs(2), secure.open(url, &[], &mut Phase::default())).await;
        let certificate = secure.tls.as_ref().and_then(|tls| tls.shown().certificate);
        // A server that wants a certificate of the client has shown its own by then.
        (matches!(opened, Ok(Ok(_))) || certificate.is_some()).then_some(certificate)
    }
}

fn version_in_words(version: &str) -> String {
    // rustls writes TLSv1_3.
    version.replace('_', ".")
}

pub fn place(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or("?"), port(url))
}

/// The port of a URL, also of the schemes whose port the URL's reader does not know.
fn port(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or(if url.scheme() == "grpcs" { 443 } else { 80 })
}

fn too_late(place: &str, phase: Phase, limit: Duration) -> Failure {
    failure(Why::TimedOut, format!("{place}: {} within {:.1} s", phase.lacking(), limit.as_secs_f64()))
}

/// A TCP connection to the host and port of a URL.
async fn reach(url: &Url, times: &mut ConnectTimes, phase: &mut Phase) -> Result<TcpStream, Failure> {
    *phase = Phase::Resolving;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let started = Instant::now();
    let numeric = host.parse::<std::net::IpAddr>().ok();
    let addresses: Vec<SocketAddr> = match numeric {
        Some(address) => vec![SocketAddr::new(address, port(url))],
        None => {
            let found = timeout(RESOLVE, tokio::net::lookup_host((host.as_str(), port(url)))).await;
            let found = found.map_err(|_| too_late(&host, *phase, RESOLVE))?;
            let unresolved = |cause: String| {
                failure(Why::Absent, format!("the name {host} does not resolve to an address ({cause})"))
            };
            let found: Vec<_> = found.map_err(|error| unresolved(error.to_string()))?.take(ADDRESSES).collect();
            times.resolve = Some(started.elapsed());
            found
        }
    };
    *phase = Phase::Connecting;
    let started = Instant::now();
    let connected = timeout(CONNECT, first_of(addresses)).await;
    let stream = connected.map_err(|_| too_late(&place(url), *phase, CONNECT))?;
    let stream = stream.map_err(|error| unconnected(&place(url), &error))?;
    times.connect = Some(started.elapsed());
    // Small requests must not wait for the answer to the one before.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// The first address that takes a connection; one that is silent does not keep the next one waiting for long.
async fn first_of(addresses: Vec<SocketAddr>) -> std::io::Result<TcpStream> {
    let mut left = addresses.into_iter();
    let mut tries = JoinSet::new();
    let mut last = std::io::Error::new(std::io::ErrorKind::AddrNotAvailable, "the name has no address");
    if let Some(address) = left.next() {
        tries.spawn(TcpStream::connect(address));
    }
    while !tries.is_empty() {
        let patience = if left.len() == 0 { CONNECT } else { STAGGER };
        match timeout(patience, tries.join_next()).await {
            Ok(Some(Ok(Ok(stream)))) => return Ok(stream),
            Ok(Some(Ok(Err(error)))) => last = error,
            _ => {}
        }
        if let Some(address) = left.next() {
            tries.spawn(TcpStream::connect(address));
        }
    }
    Err(last)
}
