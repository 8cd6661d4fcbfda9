//! Answers that come piece by piece: events, lines, chunks; and when the first one came that says something.

use crate::snapshot::{Fact, Stream, Why};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use std::time::Duration;

/// Longest line that is looked into, bytes; a longer one counts as a piece with content.
const LINE_CAP: usize = 256 << 10;
/// Frames that came within this time of the first are one answer, cut by the wire.
const APART: Duration = Duration::from_millis(10);
/// Media types of JSON by the line.
const JSON_LINES: &[&str] = &[
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/json-lines",
];

/// In what form the pieces come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Events,
    Lines,
    Frames,
}

/// The pieces of one answer so far.
#[derive(Debug)]
pub struct Pieces {
    form: Form,
    count: u64,
    first: Option<Duration>,
    /// When the first frame came, and the last.
    span: Option<(Duration, Duration)>,
    line: Vec<u8>,
    /// The event that is being read holds data.
    event: bool,
    done: bool,
}

impl Pieces {
    /// For an answer with these headers; `None` if its length is known beforehand, so that it is one piece.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let form = match media.as_str() {
            "text/event-stream" => Form::Events,
            media if JSON_LINES.contains(&media) => Form::Lines,
            _ if headers.contains_key(CONTENT_LENGTH) => return None,
            _ => Form::Frames,
        };
        Some(Self { form, count: 0, first: None, span: None, line: Vec::new(), event: false, done: false })
    }

    /// Takes a frame that came `at` this time after the request.
    pub fn take(&mut self, bytes: &[u8], at: Duration) {
        if bytes.is_empty() {
            return;
        }
        self.span = Some((self.span.map_or(at, |(first, _)| first), at));
        if self.form == Form::Frames {
            self.count += 1;
            self.first.get_or_insert(at);
            return;
        }
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    self.line_ended(line.strip_suffix(b"\r").unwrap_or(&line), at);
                }
                _ if self.line.len() < LINE_CAP => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn line_ended(&mut self, line: &[u8], at: Duration) {
        match self.form {
            Form::Events if line.is_empty() => {
                self.count += u64::from(std::mem::take(&mut self.event));
            }
            Form::Events => {
                // Comments (": ping") keep the connection open and say nothing.
                let Some(data) = line.strip_prefix(b"data:") else { return };
                match data.trim_ascii() {
                    b"[DONE]" => self.done = true,
                    data => {
                        self.event = true;
                        self.said(data, at);
                    }
                }
            }
            Form::Lines if line.trim_ascii().is_empty() => {}
            Form::Lines => {
                self.count += 1;
                self.said(line, at);
            }
            Form::Frames => {}
        }
    }

    fn said(&mut self, data: &[u8], at: Duration) {
        if self.first.is_none() && holds_content(data) {
            self.first = Some(at);
        }
    }

    /// Whether the server said that nothing more comes.
    pub fn done(&self) -> bool {
        self.done
    }

    /// Whether it is a stream in which something was said: it may go on for as long as it likes.
    pub fn speaks(&self) -> bool {
        self.form != Form::Frames && self.first.is_some()
    }

    /// What came. `whole` is whether the answer's own end did. `None` where the frames are one answer.
    pub fn told(&self, whole: bool) -> Option<Stream> {
        let apart = self.span.is_some_and(|(first, last)| last.saturating_sub(first) >= APART);
        if self.form == Form::Frames && !(self.count > 1 && apart) {
            return None;
        }
        // A last line without its end.
        let rest = self.form == Form::Lines && !self.line.trim_ascii().is_empty();
        let kind = match self.form {
            Form::Events => "server-sent events",
            Form::Lines => "JSON lines",
            Form::Frames => "chunks",
        };
        let first = self.first.map(|first| (first.as_secs_f64() * 1e6).round() / 1e3);
        Some(Stream {
            kind: kind.into(),
            pieces: self.count + u64::from(rest || self.event),
            first_piece_ms: first.map_or_else(|| Fact::unknown(Why::Absent, "no piece held content"), Fact::Known),
            ended: whole || self.done,
        })
    }
}

/// Whether a piece says something: in the form of OpenAI's API the first ones name a role and have no text.
fn holds_content(data: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return !data.is_empty() };
    let Some(choices) = value.get("choices").and_then(Value::as_array) else {
        return !matches!(value, Value::Null);
    };
    let says = |value: Option<&Value>| match value {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        _ => false,
    };
    choices.iter().any(|choice| {
        let delta = choice.get("delta").or_else(|| choice.get("message"));
        let parts = ["content", "reasoning_content", "reasoning", "tool_calls"];
        says(choice.get("text")) || delta.is_some_and(|delta| parts.iter().any(|part| says(delta.get(*part))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(media: &str) -> Pieces {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, media.parse().unwrap());
        Pieces::of(&headers).unwrap()
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_first_token_is_the_first_piece_with_text() {
        let mut events = pieces("text/event-stream; charset=utf-8");
        events
            .take(b": ping\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n", at(10));
        events.take(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hel", at(50));
        events.take(b"lo\"}}]}\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\" you\"}}]}\n\n", at(70));
        assert!(!events.done() && events.speaks());
        events.take(b"data: [DONE]\n\n", at(90));
        let told = events.told(false).unwrap();
        assert_eq!((told.kind.as_str(), told.pieces, told.ended), ("server-sent events", 3, true));
        assert_eq!(told.first_piece_ms, Fact::Known(70.0));
    }

    #[test]
    fn lines_count_and_an_endless_stream_has_not_ended() {
        let mut lines = pieces("application/x-ndjson");
        lines.take(b"{\"response\":\"a\"}\n{\"response\":\"b\"}\n{\"resp", at(5));
        let told = lines.told(false).unwrap();
        assert_eq!((told.kind.as_str(), told.pieces, told.ended), ("JSON lines", 3, false));
        assert_eq!(told.first_piece_ms, Fact::Known(5.0));
    }

    #[test]
    fn an_answer_that_the_wire_cut_is_one() {
        let mut frames = pieces("application/json");
        frames.take(b"{\"a\":", at(5));
        frames.take(b"1}", at(6));
        assert_eq!(frames.told(true), None);
        frames.take(b"\n", at(60));
        assert_eq!(frames.told(true).unwrap().kind, "chunks");
        let mut known = HeaderMap::new();
        known.insert(CONTENT_LENGTH, "7".parse().unwrap());
        assert!(Pieces::of(&known).is_none());
    }

    proptest! {
        /// However the wire cuts a stream, it holds the same pieces.
        #[test]
        fn cuts_change_nothing(bytes in any::<Vec<u8>>(), texts in proptest::collection::vec("(data: )?[a-z]{0,3}\r?\n", 0..9), cut in 0usize..99) {
            for media in ["text/event-stream", "application/x-ndjson"] {
                let all = [texts.concat().into_bytes(), bytes.clone()].concat();
                let (mut whole, mut torn) = (pieces(media), pieces(media));
                whole.take(&all, at(1));
                let (start, end) = all.split_at(cut.min(all.len()));
                torn.take(start, at(1));
                torn.take(end, at(1));
                prop_assert_eq!(whole.told(true), torn.told(true));
            }
        }
    }
}
