//! An answer of HTTP/1.1, read as its bytes come in (RFC 9112, sections 4 to 7).
//!
//! hyper reads answers for every other request of the doctor. Here its channels between connection and caller, and the
//! headers that are made for each answer, would cost more than the answer itself.

mod chunks;
mod head;
#[cfg(test)]
mod tests;

use super::fault::Fault;
use chunks::Chunks;
use head::{Framing, Head};
use hyper::HeaderMap;

/// Bytes of a body that are kept to be judged, at most. The rest is read and passed over.
const KEPT_MAX: usize = 256 << 10;
/// Bytes that are held between two answers, at most.
const HELD_MAX: usize = 16 << 10;
/// Longest head.
const HEAD_MAX: usize = 256 << 10;

/// Reads one answer after the other.
#[derive(Debug)]
pub struct Answer {
    /// Whether the request is one of HEAD, whose answer has no body.
    without_body: bool,
    with_headers: bool,
    /// A head that did not come at once.
    begun: Vec<u8>,
    rest: Rest,
    status: Option<u16>,
    headers: HeaderMap,
    body: Vec<u8>,
    may_be_kept: bool,
}

/// What is still to come.
#[derive(Debug)]
enum Rest {
    Head,
    Bytes(u64),
    Chunks(Chunks),
    UntilClosed,
    Nothing,
}

impl Answer {
    /// Nothing was read yet. Headers are only made where they are wanted.
    pub fn new(without_body: bool, with_headers: bool) -> Self {
        Self {
            without_body,
            with_headers,
            begun: Vec::new(),
            rest: Rest::Head,
            status: None,
            headers: HeaderMap::new(),
            body: Vec::new(),
            may_be_kept: false,
        }
    }

    /// Forgets what was read: the next answer begins.
    pub fn clear(&mut self) {
        self.begun.clear();
        self.begun.shrink_to(HELD_MAX);
        self.body.clear();
        self.body.shrink_to(HELD_MAX);
        (self.rest, self.status, self.may_be_kept) = (Rest::Head, None, false);
        self.headers.clear();
    }

    /// Its status, as soon as its head is there.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Its headers, where they are wanted.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The beginning of its body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether it is there to its end.
    pub fn is_whole(&self) -> bool {
        matches!(self.rest, Rest::Nothing)
    }

    /// Whether another request may follow on its connection.
    pub fn may_be_kept(&self) -> bool {
        self.may_be_kept && self.is_whole()
    }

    /// Reads what came in.
    ///
    /// # Errors
    /// It is no HTTP.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while matches!(self.rest, Rest::Head) {
            // It comes at once, as a rule.
            let before = self.begun.len();
            let parsed = if before == 0 {
                head::parse(bytes, self.without_body, self.with_headers)?
            } else {
                self.begun.extend_from_slice(bytes);
                head::parse(&self.begun, self.without_body, self.with_headers)?
            };
            let Some((length, head)) = parsed else {
                if before == 0 {
                    self.begun.extend_from_slice(bytes);
                }
                return if self.begun.len() > HEAD_MAX { Err(Fault::NotHttp) } else { Ok(()) };
            };
            bytes = bytes.get(length.saturating_sub(before)..).unwrap_or_default();
            self.begun.clear();
            if !head.is_interim {
                self.take(head);
            }
        }
        self.read_body(bytes)
    }

    /// The connection was closed.
    ///
    /// # Errors
    /// The answer was not whole.
    pub fn close(&mut self) -> Result<(), Fault> {
        match self.rest {
            Rest::Nothing => Ok(()),
            Rest::UntilClosed => {
                self.rest = Rest::Nothing;
                Ok(())
            }
            Rest::Head | Rest::Bytes(_) | Rest::Chunks(_) => Err(Fault::ClosedEarly),
        }
    }

    fn take(&mut self, head: Head) {
        self.status = Some(head.status);
        self.headers = head.headers;
        self.may_be_kept = head.may_be_kept;
        self.rest = match head.framing {
            Framing::Length(0) => Rest::Nothing,
            Framing::Length(length) => Rest::Bytes(length),
            Framing::Chunked => Rest::Chunks(Chunks::default()),
            Framing::UntilClosed => Rest::UntilClosed,
        };
    }

    fn read_body(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut keep = |data: &[u8]| {
            let room = KEPT_MAX.saturating_sub(self.body.len()).min(data.len());
            self.body.extend_from_slice(data.get(..room).unwrap_or_default());
        };
        let behind = match &mut self.rest {
            Rest::Head => return Ok(()),
            Rest::Nothing => bytes,
            Rest::UntilClosed => {
                keep(bytes);
                return Ok(());
            }
            Rest::Bytes(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                let (data, behind) = bytes.split_at(count);
                keep(data);
                *left -= count as u64;
                if *left > 0 {
                    return Ok(());
                }
                behind
            }
            Rest::Chunks(chunks) => {
                let Some(used) = chunks.read(bytes, &mut keep)? else { return Ok(()) };
                bytes.get(used..).unwrap_or_default()
            }
        };
        self.rest = Rest::Nothing;
        // Nothing was asked that this could answer.
        self.may_be_kept &= behind.is_empty();
        Ok(())
    }
}
