//! Has a proxy connect through to the server.

use super::connect::place;
use super::failure::{Failure, failure, unconnected};
use super::proxy::Proxy;
use crate::snapshot::Why;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

/// Longest answer of a proxy to CONNECT, bytes.
const TUNNEL_HEAD: usize = 16 << 10;

/// Has the proxy connect through (RFC 9110, section 9.3.6).
pub async fn tunnel(stream: &mut TcpStream, url: &Url, proxy: &Proxy) -> Result<(), Failure> {
    let target = place(url);
    let mut question = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n");
    if let Some(authorization) = &proxy.authorization {
        question += &format!("proxy-authorization: {authorization}\r\n");
    }
    question += "\r\n";
    let lost = |error: std::io::Error| unconnected("it", &error);
    stream.write_all(question.as_bytes()).await.map_err(lost)?;
    let mut head = Vec::new();
    // Byte by byte: what follows the head belongs to TLS.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > TUNNEL_HEAD {
            return Err(failure(Why::Malformed, "what it answers to CONNECT has no end".into()));
        }
        let byte = stream.read_u8().await;
        head.push(byte.map_err(|_| failure(Why::Malformed, "it closed the connection on CONNECT".into()))?);
    }
    let line: String = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().chars().take(80).collect();
    match line.split(' ').nth(1) {
        Some(status) if status.len() == 3 && status.starts_with('2') => Ok(()),
        Some("407") => Err(failure(Why::Denied, "it wants credentials (407): name them in its URL".into())),
        _ => Err(failure(Why::Denied, format!("it does not connect to {target}: {line:?}"))),
    }
}
