//! A request ready for the wire, and its form as HTTP.

use super::failure::{Failure, broken};
use crate::probe::service::websocket;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::{Method, Request, Uri, Version};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use url::Url;

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

/// How the request's first line names its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Path and query: HTTP/1.1 to the server itself.
    Origin,
    /// The whole URL: HTTP/1.1 to a proxy.
    Absolute,
    /// HTTP/2, which sends scheme and host beside the path.
    Two,
}

/// The request as HTTP. `proxy_authorization` goes with the absolute form alone.
pub fn build(
    outgoing: &Outgoing,
    url: &Url,
    form: Form,
    proxy_authorization: Option<&str>,
) -> Result<Request<Full<Bytes>>, Failure> {
    built(outgoing, url, form, proxy_authorization, None)
}

/// Requests of HTTP/1.1 that differ in their bodies alone.
pub struct Alike {
    /// The first one.
    pub head: Request<Full<Bytes>>,
    line: Option<String>,
}

impl Alike {
    /// The body of another one, under the same head.
    pub fn body(&self, outgoing: &Outgoing) -> Bytes {
        body(&outgoing.payload, self.line.as_deref()).0
    }
}

/// A request as HTTP/1.1, under whose head others can be sent.
pub fn alike(first: &Outgoing, form: Form, proxy_authorization: Option<&str>) -> Result<Alike, Failure> {
    let line = match &first.payload {
        Payload::Multipart(parts) => Some(boundary(parts)),
        _ => None,
    };
    let head = built(first, &first.url, form, proxy_authorization, line.as_deref())?;
    Ok(Alike { head, line })
}

/// `line` is the boundary of a multipart body, if it is not to be a new one.
fn built(
    outgoing: &Outgoing,
    url: &Url,
    form: Form,
    proxy_authorization: Option<&str>,
    line: Option<&str>,
) -> Result<Request<Full<Bytes>>, Failure> {
    let upgrades = outgoing.method == websocket::METHOD;
    let method = if upgrades { "GET" } else { &outgoing.method };
    let method = Method::from_bytes(method.as_bytes()).map_err(|error| broken(&error))?;
    let own_host = outgoing.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, value)| value);
    let authority = own_host.cloned().unwrap_or_else(|| authority(url));
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let target = match form {
        Form::Origin => path.to_owned(),
        // A proxy must reach the server's address, whatever the Host header says.
        Form::Absolute => format!("{}://{}{path}", url.scheme(), self::authority(url)),
        Form::Two => format!("{}://{authority}{path}", url.scheme()),
    };
    let uri: Uri = target.parse().map_err(|error: hyper::http::uri::InvalidUri| broken(&error))?;
    let version = if form == Form::Two { Version::HTTP_2 } else { Version::HTTP_11 };
    // What a session says is sent after the upgrade.
    let (body, content_type) = if upgrades { (Bytes::new(), String::new()) } else { body(&outgoing.payload, line) };
    let mut request = Request::new(Full::new(body));
    (*request.method_mut(), *request.uri_mut(), *request.version_mut()) = (method, uri, version);
    let headers = request.headers_mut();
    let value = |text: &str| HeaderValue::from_str(text).map_err(|error| broken(&error));
    if form != Form::Two {
        headers.insert(HOST, value(&authority)?);
    }
    for (name, text) in outgoing.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| broken(&error))?;
        headers.append(name, value(text)?);
    }
    for (name, text) in websocket::UPGRADE.into_iter().filter(|_| upgrades) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(text));
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    headers.entry(USER_AGENT).or_insert(value(&crate::TOOL.replace(' ', "/"))?);
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, value(&content_type)?);
    }
    if let (Form::Absolute, Some(authorization)) = (form, proxy_authorization) {
        headers.insert(PROXY_AUTHORIZATION, value(authorization)?);
    }
    Ok(request)
}

/// Host and port as the Host header has them: without the port where it is the scheme's own.
pub fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The body's bytes and its media type.
fn body(payload: &Payload, line: Option<&str>) -> (Bytes, String) {
    match payload {
        Payload::Empty => (Bytes::new(), String::new()),
        Payload::Bytes { bytes, content_type } => (Bytes::from_owner(bytes.clone()), content_type.clone()),
        Payload::Multipart(parts) => {
            let boundary = line.map_or_else(|| boundary(parts), str::to_owned);
            (Bytes::from(multipart(parts, &boundary)), format!("multipart/form-data; boundary={boundary}"))
        }
    }
}

/// A line that no part holds.
fn boundary(parts: &[Part]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let free = |boundary: &String| {
        let line = boundary.as_bytes();
        parts.iter().all(|part| !part.bytes.windows(line.len()).any(|window| window == line))
    };
    (0..u128::MAX).map(|turn| format!("gpu-doctor-{:032x}", now.wrapping_add(turn))).find(free).unwrap_or_default()
}

/// The body of `multipart/form-data`; names are escaped as browsers do (HTML, multipart/form-data encoding algorithm).
fn multipart(parts: &[Part], boundary: &str) -> Vec<u8> {
    let escaped = |name: &str| name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let mut body = Vec::with_capacity(parts.iter().map(|part| part.bytes.len() + 256).sum());
    for part in parts {
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", escaped(&part.name));
        if let Some((name, media_type)) = &part.file {
            let media_type = media_type.replace(['\r', '\n'], " ");
            head += &format!("; filename=\"{}\"\r\nContent-Type: {media_type}", escaped(name));
        }
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(&part.bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outgoing(url: &str, headers: &[(&str, &str)]) -> Outgoing {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Outgoing { method: "GET".into(), url: url.parse().unwrap(), headers, payload: Payload::Empty, follow: false }
    }

    #[test]
    fn the_target_is_written_as_its_receiver_wants_it() {
        let one = outgoing("http://h:81/a%20b?q=1#f", &[("HOST", "name.example")]);
        let target = |form| build(&one, &one.url, form, Some("Basic eDp5")).unwrap();
        assert_eq!(target(Form::Origin).uri(), "/a%20b?q=1");
        assert_eq!(target(Form::Origin).headers()["host"], "name.example");
        assert!(target(Form::Origin).headers().get("proxy-authorization").is_none());
        assert_eq!(target(Form::Absolute).uri(), "http://h:81/a%20b?q=1");
        assert_eq!(target(Form::Absolute).headers()["proxy-authorization"], "Basic eDp5");
        assert_eq!(target(Form::Two).uri(), "http://name.example/a%20b?q=1");
        assert_eq!(authority(&"https://[::1]:443/".parse().unwrap()), "[::1]");
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_this_sides_fault() {
        let one = outgoing("http://h/", &[("x-token", "two\nlines")]);
        let failure = build(&one, &one.url, Form::Origin, None).unwrap_err();
        assert!(failure.own && failure.text.contains("no request could be formed"), "{}", failure.text);
    }

    proptest! {
        /// What is written as a form is read as the same form by another reader.
        #[test]
        fn a_form_is_read_back(parts in proptest::collection::vec(("[a-z\"\r\né]{1,8}", any::<Vec<u8>>()), 1..5)) {
            let written: Vec<Part> = parts
                .iter()
                .map(|(name, bytes)| Part {
                    name: name.clone(),
                    file: bytes.first().is_some_and(|byte| byte % 2 == 0).then(|| (name.clone(), "audio/wav".into())),
                    bytes: bytes.as_slice().into(),
                })
                .collect();
            let boundary = boundary(&written);
            let body = Bytes::from(multipart(&written, &boundary));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(async {
                let stream = http_body_util::BodyExt::into_data_stream(Full::new(body));
                let mut form = multer::Multipart::new(stream, boundary.clone());
                let mut read = Vec::new();
                while let Some(field) = form.next_field().await.unwrap() {
                    let file = field.file_name().is_some();
                    read.push((file, field.bytes().await.unwrap().to_vec()));
                }
                read
            });
            let expected: Vec<(bool, Vec<u8>)> =
                written.iter().map(|part| (part.file.is_some(), part.bytes.to_vec())).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
