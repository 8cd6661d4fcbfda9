//! What is behind an exchange that failed: TLS on one side only, a certificate that is wanted, another protocol.

use super::exchange::Progress;
use super::failure::{Broken, Failure, broken, broken_by, failure};
use super::protocol::{Speaks, speaks};
use super::tls::{Fault, wanted};
use super::wire::{HEAD_CAP, HEADERS_MAX, Wire};
use crate::snapshot::Why;
use url::Url;

/// What servers answer with 400 to plain HTTP on their TLS port: nginx, Go, Apache; and nginx to a missing certificate.
const SPEAKS_TLS: &[&str] =
    &["plain HTTP request was sent to HTTPS port", "HTTP request to an HTTPS server", "speaking plain HTTP to an SSL"];
const WANTS_CERTIFICATE: &[&str] = &["No required SSL certificate was sent", "The SSL certificate error"];

impl Wire {
    /// Hears from an answer what is wrong with the way: TLS ports say so in plain words.
    pub fn judged(&self, url: &Url, progress: &mut Progress) -> Result<(), Failure> {
        let Some(reply) = progress.reply.as_ref().filter(|reply| reply.status == 400) else { return Ok(()) };
        let text = String::from_utf8_lossy(&reply.body);
        let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
        if says(SPEAKS_TLS) && url.scheme() == "http" {
            let fault = tls_port(&self.connector.place(url));
            let text = fault.text.clone();
            self.seen().fault = Some(fault);
            progress.reply = None;
            return Err(failure(Why::Malformed, text));
        }
        if says(WANTS_CERTIFICATE) {
            let sent = self.connector.tls().and_then(|tls| tls.asked()) == Some(true);
            let text =
                if sent { "the server refuses the client's certificate" } else { "the server wants a certificate" };
            self.seen().fault = Some(Fault::new("client_certificate_wanted", text));
        }
        Ok(())
    }

    /// A handshake that failed: is it plain HTTP that is spoken there?
    pub async fn insecure(&self, url: &Url, failed: Failure) -> Failure {
        let shown = self.connector.tls().map(|tls| tls.shown()).unwrap_or_default();
        let place = self.connector.place(url);
        let untold = shown.certificate.is_none() && !std::mem::replace(&mut self.seen().examined, true);
        if untold && self.connector.answers_plain(url).await {
            let text = format!("{place}: TLS: the port speaks plain HTTP: name it http:// instead");
            self.seen().fault = Some(Fault::new("plain_port", text.clone()));
            return failure(Why::Malformed, text);
        }
        let mut seen = self.seen();
        if seen.fault.is_none() && failed.why == Why::Denied {
            let asked = self.connector.tls().and_then(|tls| tls.asked());
            let bare = failed.text.split_once("TLS: ").map_or(failed.text.as_str(), |(_, words)| words);
            let word = if asked.is_some() { "client_certificate_wanted" } else { "other" };
            seen.fault = Some(shown.fault.unwrap_or_else(|| Fault::new(word, bare)));
        }
        failed
    }

    /// What came instead of an answer: does the port speak TLS?
    pub async fn examined(&self, url: &Url, failed: Failure, heard: &[u8]) -> Failure {
        let silent = matches!(speaks(heard), Speaks::Nothing | Speaks::Tls);
        let never = self.seen().protocol.is_none();
        if url.scheme() != "http" || !silent || !never || std::mem::replace(&mut self.seen().examined, true) {
            return failed;
        }
        let Some(certificate) = self.connector.answers_tls(url).await else { return failed };
        let fault = tls_port(&self.connector.place(url));
        let text = fault.text.clone();
        let mut seen = self.seen();
        (seen.fault, seen.certificate) = (Some(fault), certificate);
        failure(Why::Malformed, text)
    }

    /// The failure behind an error of HTTP. `heard` is what came in on the connection, if nothing of the answer was read.
    pub fn told(&self, url: &Url, error: hyper::Error, heard: Option<&[u8]>) -> Failure {
        let place = self.connector.place(url);
        if error.is_user() {
            return broken(&error);
        }
        match (broken_by(&error, self.connector.tls().and_then(|tls| tls.asked())), heard.map(speaks)) {
            (Broken::Tls(fault), _) => {
                let text = format!("{place}: TLS: {}", fault.text);
                self.seen().fault = Some(fault);
                failure(Why::Denied, text)
            }
            (Broken::HeadTooLarge, _) => {
                let most = format!("{} KiB or {HEADERS_MAX} headers", HEAD_CAP >> 10);
                failure(Why::Malformed, format!("{place}: the head of the answer is longer than {most}"))
            }
            (_, Some(Speaks::Tls)) => failure(Why::Malformed, format!("{place}: the answer is not HTTP but TLS")),
            (_, Some(Speaks::Http2)) if !self.http2 => {
                let text = format!(
                    "{place}: the answer is not HTTP/1.1 but HTTP/2 without TLS, as gRPC servers speak it (--http2, or \
                     the server's port for HTTP)"
                );
                failure(Why::Malformed, text)
            }
            (_, Some(Speaks::Http1)) if self.http2 => failure(
                Why::Malformed,
                format!("{place}: the server speaks HTTP/1.1 and not HTTP/2: leave out --http2"),
            ),
            (_, Some(Speaks::Other(words))) => {
                failure(Why::Malformed, format!("{place}: the answer is not HTTP: {words}"))
            }
            (Broken::NotHttp(words), _) => {
                failure(Why::Malformed, format!("{place}: the answer is not HTTP ({words})"))
            }
            (Broken::Closed(words), _) => {
                let asked = self.connector.tls().and_then(|tls| tls.asked());
                let never = self.seen().protocol.is_none();
                if let (Some(sent), true, true) = (asked, never, heard.is_some_and(<[u8]>::is_empty)) {
                    // TLS 1.3 refuses a certificate, or its lack, after the handshake, and some just close then.
                    let fault = wanted(sent);
                    let text = format!("{place}: TLS: {}", fault.text);
                    self.seen().fault = Some(fault);
                    return failure(Why::Denied, text);
                }
                let two = if self.http2 { "; HTTP/2 was spoken, as --http2 says" } else { "" };
                failure(Why::Malformed, format!("{place}: {words}{two}"))
            }
            (Broken::Other(words), _) => failure(Why::Absent, format!("{place}: {words}")),
        }
    }
}

/// Whether the connection was lost before an answer.
pub fn lost(error: &hyper::Error) -> bool {
    error.is_closed() || error.is_incomplete_message() || matches!(broken_by(error, None), Broken::Closed(_))
}

fn tls_port(place: &str) -> Fault {
    Fault::new("tls_port", format!("{place} speaks TLS, plain HTTP was sent: name it https://"))
}
