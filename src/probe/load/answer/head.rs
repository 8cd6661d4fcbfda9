//! The head of an answer: its status, and how its body ends (RFC 9112, section 6.3).

use super::super::fault::Fault;
use httparse::{EMPTY_HEADER, Header, ParserConfig, Response, Status};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use std::mem::MaybeUninit;

/// Headers, at most.
const HEADERS_MAX: usize = 100;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With an empty chunk.
    Chunked,
    /// With the connection.
    UntilClosed,
}

/// A head.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    pub framing: Framing,
    /// Whether the server keeps the connection open.
    pub may_be_kept: bool,
    /// Another head follows, the answer's own.
    pub is_interim: bool,
    /// Empty where they are not wanted.
    pub headers: HeaderMap,
}

/// Reads a head and tells its length; nothing where it is not whole.
///
/// # Errors
/// It is no HTTP.
pub fn parse(bytes: &[u8], without_body: bool, with_headers: bool) -> Result<Option<(usize, Head)>, Fault> {
    let mut found: [MaybeUninit<Header>; HEADERS_MAX] = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut found);
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Fault::NotHttp),
    };
    let status = response.code.ok_or(Fault::NotHttp)?;
    let mut lines = Lines::default();
    for header in response.headers.iter().filter(|header| **header != EMPTY_HEADER) {
        lines.read(header)?;
    }
    let framing = match (lines.coding, lines.length) {
        _ if without_body || matches!(status, 100..=199 | 204 | 304) => Framing::Length(0),
        (Some(true), _) => Framing::Chunked,
        (Some(false), _) | (None, None) => Framing::UntilClosed,
        (None, Some(length)) => Framing::Length(length),
    };
    // After 101 the connection speaks something else.
    let is_kept = !lines.closes && (lines.keeps || response.version == Some(1));
    let may_be_kept = is_kept && framing != Framing::UntilClosed && status != 101;
    let is_interim = (100..200).contains(&status) && status != 101;
    let headers = if with_headers { map(response.headers) } else { HeaderMap::new() };
    Ok(Some((length, Head { status, framing, may_be_kept, is_interim, headers })))
}

/// What the lines that frame a message say.
#[derive(Default)]
struct Lines {
    length: Option<u64>,
    /// Whether the last coding is "chunked".
    coding: Option<bool>,
    keeps: bool,
    closes: bool,
}

impl Lines {
    fn read(&mut self, header: &Header) -> Result<(), Fault> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let entries = || header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        // By their lengths most names need no comparison.
        match header.name.len() {
            14 if is("content-length") => {
                for entry in entries() {
                    let length = digits(entry).ok_or(Fault::NotHttp)?;
                    if self.length.replace(length).is_some_and(|before| before != length) {
                        return Err(Fault::NotHttp);
                    }
                }
            }
            17 if is("transfer-encoding") => {
                self.coding = Some(entries().next_back().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")));
            }
            10 if is("connection") => {
                for entry in entries() {
                    self.closes |= entry.eq_ignore_ascii_case(b"close");
                    self.keeps |= entry.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A number of digits alone.
fn digits(text: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let first = digit(text.first()?)?;
    text.iter().skip(1).try_fold(first, |sum, byte| sum.checked_mul(10)?.checked_add(digit(byte)?))
}

fn map(found: &[Header]) -> HeaderMap {
    let pair = |header: &Header| {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(header.value).ok()?))
    };
    let mut all = HeaderMap::with_capacity(found.len());
    found.iter().filter_map(pair).for_each(|(name, value)| {
        all.append(name, value);
    });
    all
}
