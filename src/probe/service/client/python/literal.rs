//! What a Python expression is, as far as the text itself tells: literals, and names that are assigned one.

use crate::probe::service::client::shell::HOLE;
use crate::probe::service::message::base64;
use crate::probe::source::syntax::{Call, Source};
use crate::probe::source::token::Kind;
use serde_json::Value as Json;
use std::cell::Cell;
use std::iter::Peekable;
use std::ops::Range;
use std::str::Chars;

/// Expressions inside expressions, and expressions in all, at most.
const DEPTH: usize = 24;
const STEPS: usize = 4000;
/// Members of one list or dictionary, at most.
const MEMBERS: usize = 5000;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// None, a bool, a number, a text; a text may have a [`HOLE`], told by `Open` only.
    Plain(Json),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Dict(Vec<(String, Value)>),
    /// An open file.
    File(String),
    /// A file's bytes.
    Content(String),
    /// A file's bytes as base64 text.
    Base64(String),
    /// Not written out in the file: the expression, and the text around it with a hole in its place.
    Open {
        what: String,
        around: String,
    },
}

impl Value {
    /// As JSON, if everything in it is written out.
    pub fn json(&self) -> Option<Json> {
        Some(match self {
            Value::Plain(json) => json.clone(),
            Value::Bytes(bytes) => Json::String(String::from_utf8(bytes.clone()).ok()?),
            Value::List(list) => Json::Array(list.iter().map(Value::json).collect::<Option<_>>()?),
            Value::Dict(members) => Json::Object(
                members.iter().map(|(name, value)| Some((name.clone(), value.json()?))).collect::<Option<_>>()?,
            ),
            Value::File(_) | Value::Content(_) | Value::Base64(_) | Value::Open { .. } => return None,
        })
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Plain(Json::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The first expression in it that is not written out.
    pub fn open(&self) -> Option<&str> {
        match self {
            Value::Open { what, .. } => Some(what),
            Value::List(list) => list.iter().find_map(Value::open),
            Value::Dict(members) => members.iter().find_map(|(_, value)| value.open()),
            _ => None,
        }
    }
}

fn text(value: impl Into<String>) -> Value {
    Value::Plain(Json::String(value.into()))
}

/// Reads expressions that stand before a place in the source.
pub struct Reader<'a> {
    pub source: &'a Source<'a>,
    calls: &'a [Call],
    /// The token of the call for which it reads: what is set behind it does not count.
    pub before: usize,
    steps: Cell<usize>,
}

impl<'a> Reader<'a> {
    /// A reader for a call that begins at a token.
    pub fn new(source: &'a Source<'a>, calls: &'a [Call], before: usize) -> Self {
        Self { source, calls, before, steps: Cell::new(STEPS) }
    }

    /// The value of an expression.
    pub fn value(&self, range: Range<usize>) -> Value {
        self.within(range, DEPTH)
    }

    fn unread(&self, range: Range<usize>) -> Value {
        Value::Open { what: without_texts(&self.source.written(range)), around: HOLE.to_string() }
    }

    fn within(&self, range: Range<usize>, depth: usize) -> Value {
        self.steps.set(self.steps.get().saturating_sub(1));
        if depth == 0 || self.steps.get() == 0 || range.is_empty() {
            return self.unread(range);
        }
        let source = self.source;
        let (first, last) = (range.start, range.end - 1);
        let range = if source.word(first) == "await" { first + 1..range.end } else { range };
        let (first, word) = (range.start, source.word(range.start));
        let whole = source.partner(first) == Some(last);
        if range.clone().all(|at| source.tokens.get(at).is_some_and(|token| token.kind == Kind::Text)) {
            return self.strings(range, depth);
        }
        match word {
            "(" if whole => {
                let inside = first + 1..last;
                let parts = source.parts(inside.clone());
                let comma = parts.len() > 1 || inside.end > inside.start && source.word(inside.end - 1) == ",";
                return if comma || inside.is_empty() {
                    self.list(inside, depth)
                } else {
                    self.within(inside, depth - 1)
                };
            }
            "[" if whole && !self.comprehends(first + 1..last) => return self.list(first + 1..last, depth),
            "{" if whole && !self.comprehends(first + 1..last) => return self.dict(first + 1..last, depth),
            _ => {}
        }
        if range.len() <= 2 {
            let written: String = range.clone().map(|at| source.word(at)).collect();
            match written.as_str() {
                "None" => return Value::Plain(Json::Null),
                "True" => return Value::Plain(Json::Bool(true)),
                "False" => return Value::Plain(Json::Bool(false)),
                number if number.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit()) => {
                    let digits = number.replace('_', "");
                    return serde_json::from_str::<serde_json::Number>(&digits)
                        .map_or_else(|_| self.unread(range), |number| Value::Plain(Json::Number(number)));
                }
                _ => {}
            }
        }
        if let Some(plus) = self.top_level(range.clone(), "+") {
            let sides = [self.within(range.start..plus, depth - 1), self.within(plus + 1..range.end, depth - 1)];
            return self.joined(&sides, range);
        }
        if source.word(last) == ")"
            && let Some(open) = source.partner(last).filter(|open| *open > first)
            && let Some(value) = self.call(first, open, last, depth)
        {
            return value;
        }
        self.named(range, depth)
    }

    fn comprehends(&self, range: Range<usize>) -> bool {
        self.top_level(range, "for").is_some()
    }

    /// Where a word stands outside of brackets, but not in front.
    fn top_level(&self, range: Range<usize>, wanted: &str) -> Option<usize> {
        let mut at = range.start;
        while at < range.end {
            if at > range.start && self.source.word(at) == wanted {
                return Some(at);
            }
            at = self.source.partner(at).filter(|close| *close > at).map_or(at + 1, |close| close + 1);
        }
        None
    }

    fn list(&self, inside: Range<usize>, depth: usize) -> Value {
        Value::List(
            self.source.parts(inside).into_iter().take(MEMBERS).map(|part| self.within(part, depth - 1)).collect(),
        )
    }

    fn dict(&self, inside: Range<usize>, depth: usize) -> Value {
        let mut members: Vec<(String, Value)> = Vec::new();
        for part in self.source.parts(inside).into_iter().take(MEMBERS) {
            let colon = self.top_level(part.clone(), ":");
            let key = colon.map(|colon| self.within(part.start..colon, depth - 1));
            match (key.as_ref().and_then(Value::text), colon) {
                (Some(key), Some(colon)) => set(&mut members, key, self.within(colon + 1..part.end, depth - 1)),
                // `**more`, a key that is computed, or a set.
                _ => members.push((without_texts(&self.source.written(part.clone())), self.unread(part))),
            }
        }
        Value::Dict(members)
    }

    /// A name, with what is set in it later: `payload["lang"] = "en"`, `payload.update({...})`.
    fn named(&self, range: Range<usize>, depth: usize) -> Value {
        let source = self.source;
        let name = source.written(range.clone());
        if name.is_empty() || name.contains(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')) {
            return self.unread(range);
        }
        let value = match source.assigned_once(&name) {
            Some(value) if value.start < self.before => self.within(value, depth - 1),
            _ => return self.opened_as(&name, depth).unwrap_or_else(|| self.unread(range)),
        };
        match value {
            Value::Dict(mut members) => {
                self.later(&name, &mut members, depth);
                Value::Dict(members)
            }
            other => other,
        }
    }

    fn later(&self, name: &str, members: &mut Vec<(String, Value)>, depth: usize) {
        let source = self.source;
        let long = name.split('.').count() * 2 - 1;
        for open in (long..self.before.min(source.tokens.len())).filter(|at| source.word(*at) == "[") {
            let Some(close) = source.partner(open).filter(|close| source.word(close + 1) == "=") else { continue };
            let dotted = open.checked_sub(long + 1).is_some_and(|before| source.word(before) == ".");
            if dotted || source.written(open - long..open) != name {
                continue;
            }
            let end = (close + 2..source.tokens.len())
                .find(|at| source.tokens.get(*at).is_some_and(|token| token.kind == Kind::LineEnd))
                .unwrap_or(source.tokens.len());
            match self.within(open + 1..close, depth - 1).text() {
                Some(key) => set(members, key, self.within(close + 2..end, depth - 1)),
                None => members.push((without_texts(&source.written(open..close + 1)), self.unread(open + 1..close))),
            }
        }
        let update = format!("{name}.update");
        for call in self.calls.iter().filter(|call| call.callee == update && call.tokens.start < self.before) {
            for argument in &call.arguments {
                match (&argument.name, self.within(argument.value.clone(), depth - 1)) {
                    (Some(key), value) => set(members, key, value),
                    (None, Value::Dict(more)) => more.into_iter().for_each(|(key, value)| set(members, &key, value)),
                    (None, _) => members.push((
                        without_texts(&source.written(call.tokens.clone())),
                        self.unread(argument.value.clone()),
                    )),
                }
            }
        }
    }

    /// `with open(...) as NAME:`, the nearest one before.
    fn opened_as(&self, name: &str, depth: usize) -> Option<Value> {
        let source = self.source;
        let found = (2..self.before.min(source.tokens.len()))
            .rev()
            .find(|at| source.word(*at) == name && source.word(at - 1) == "as" && source.word(at - 2) == ")")?;
        let close = found - 2;
        let open = source.partner(close)?;
        let mut first = open.checked_sub(1)?;
        while first >= 2 && source.word(first - 1) == "." {
            first = match source.word(first - 2) {
                ")" => source.partner(first - 2)?.checked_sub(1)?,
                _ => first - 2,
            };
        }
        match self.call(first, open, close, depth)? {
            value @ Value::File(_) => Some(value),
            _ => None,
        }
    }

    /// The calls whose results the text tells: of files, of encodings, of JSON.
    fn call(&self, first: usize, open: usize, close: usize, depth: usize) -> Option<Value> {
        let source = self.source;
        let method = open.checked_sub(1).map(|at| source.word(at))?;
        let arguments = source.parts(open + 1..close);
        let argument = |index: usize| arguments.get(index).map(|part| self.within(part.clone(), depth - 1));
        let on = open.checked_sub(2).filter(|dot| *dot > first && source.word(*dot) == ".");
        let receiver = || on.map(|dot| self.within(first..dot, depth - 1));
        let module = on.map(|dot| source.written(first..dot)).unwrap_or_default();
        let path = |value: Value| match value {
            Value::Plain(Json::String(path)) => Some(path),
            _ => None,
        };
        match (method, module.as_str()) {
            ("open", "" | "io" | "aiofiles" | "builtins") | ("FileIO", _) => {
                argument(0).and_then(path).map(Value::File)
            }
            ("open", _) => receiver().and_then(path).map(Value::File),
            ("Path" | "PurePath" | "str" | "fspath", _) => argument(0).and_then(path).map(text),
            ("join", "os.path" | "path") => {
                let parts: Option<Vec<String>> =
                    (0..arguments.len()).map(|index| argument(index).and_then(path)).collect();
                parts.map(|parts| text(parts.join("/")))
            }
            ("read" | "read_bytes" | "getvalue", _) => match receiver()? {
                Value::File(path) | Value::Content(path) => Some(Value::Content(path)),
                Value::Plain(Json::String(path)) if method == "read_bytes" => Some(Value::Content(path)),
                _ => None,
            },
            ("read_text", _) => receiver().and_then(path).map(Value::Content),
            ("BytesIO", _) => argument(0).filter(|value| matches!(value, Value::Content(_) | Value::Bytes(_))),
            ("b64encode" | "standard_b64encode" | "encodebytes", _) => match argument(0)? {
                Value::Content(path) => Some(Value::Base64(path)),
                Value::Bytes(bytes) => Some(text(base64(&bytes))),
                _ => None,
            },
            ("decode", _) => match receiver()? {
                Value::Bytes(bytes) => String::from_utf8(bytes).ok().map(text),
                value @ (Value::Base64(_) | Value::Plain(Json::String(_))) => Some(value),
                _ => None,
            },
            ("encode", _) => match receiver()? {
                Value::Plain(Json::String(text)) => Some(Value::Bytes(text.into_bytes())),
                _ => None,
            },
            ("dumps", "json" | "orjson" | "ujson" | "simplejson") => Some(text(argument(0)?.json()?.to_string())),
            ("rstrip", _) if arguments.len() == 1 => {
                let (whole, end) = (receiver().and_then(path)?, argument(0).and_then(path)?);
                Some(text(whole.trim_end_matches(|c| end.contains(c))))
            }
            _ => None,
        }
    }

    /// Adjacent strings, formatted ones with names that are known.
    fn strings(&self, range: Range<usize>, depth: usize) -> Value {
        let mut pieces = Vec::new();
        for at in range.clone() {
            let word = self.source.word(at);
            let quote = word.find(['"', '\'']).unwrap_or(0);
            let (prefix, quoted) = word.split_at(quote);
            let prefix = prefix.to_ascii_lowercase();
            let inner = unquoted(quoted);
            if prefix.contains('b') {
                pieces.push(Value::Bytes(unescaped(inner, prefix.contains('r'), true)));
            } else if prefix.contains(['f', 't']) {
                pieces.extend(self.formatted(inner, prefix.contains('r'), depth));
            } else {
                pieces.push(text(string(inner, prefix.contains('r'))));
            }
        }
        self.joined(&pieces, range)
    }

    fn formatted(&self, inner: &str, raw: bool, depth: usize) -> Vec<Value> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = inner;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            literal.push_str(before);
            if let Some(doubled) = after.strip_prefix("{{").or(after.strip_prefix("}}")) {
                literal.push_str(after.get(..1).unwrap_or_default());
                rest = doubled;
                continue;
            }
            let end = after.find('}').unwrap_or(after.len());
            let expression = after.get(1..end).unwrap_or_default().trim();
            pieces.push(text(string(&literal, raw)));
            literal.clear();
            let plain = expression.split(['!', ':']).next().unwrap_or_default().trim_end_matches('=');
            let known =
                self.source.assigned_once(plain).filter(|value| plain == expression && value.start < self.before);
            pieces.push(match known.map(|value| self.within(value, depth - 1)) {
                Some(Value::Plain(Json::Number(number))) => text(number.to_string()),
                Some(value @ (Value::Plain(Json::String(_)) | Value::Open { .. })) => value,
                _ => Value::Open { what: without_texts(expression), around: HOLE.to_string() },
            });
            rest = after.get(end + 1..).unwrap_or_default();
        }
        literal.push_str(rest);
        pieces.push(text(string(&literal, raw)));
        pieces
    }

    /// Texts or bytes, one after the other.
    fn joined(&self, pieces: &[Value], range: Range<usize>) -> Value {
        if let Some(bytes) = pieces
            .iter()
            .map(|piece| if let Value::Bytes(bytes) = piece { Some(bytes.clone()) } else { None })
            .collect::<Option<Vec<_>>>()
        {
            return Value::Bytes(bytes.concat());
        }
        let (mut whole, mut open) = (String::new(), None);
        for piece in pieces {
            match piece {
                Value::Plain(Json::String(text)) => whole.push_str(text),
                Value::Open { what, around } => {
                    whole.push_str(around);
                    open.get_or_insert(what.clone());
                }
                _ => return self.unread(range),
            }
        }
        match open {
            Some(what) => Value::Open { what, around: whole },
            None => text(whole),
        }
    }
}

/// An expression as it may be told: its texts may be secrets.
pub fn without_texts(expression: &str) -> String {
    let mut told = String::new();
    let mut quote = None;
    for c in expression.chars() {
        match (quote, c) {
            (None, '"' | '\'' | '`') => {
                quote = Some(c);
                told.push_str("\"...\"");
            }
            (None, c) => told.push(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    told.chars().take(80).collect()
}

/// Sets a member; the last one wins, in the first one's place.
fn set(members: &mut Vec<(String, Value)>, key: &str, value: Value) {
    match members.iter_mut().find(|(own, _)| own == key) {
        Some((_, old)) => *old = value,
        None => members.push((key.to_owned(), value)),
    }
}

fn unquoted(quoted: &str) -> &str {
    for quote in ["\"\"\"", "'''", "\"", "'"] {
        if let Some(inner) = quoted.strip_prefix(quote) {
            return inner.strip_suffix(quote).unwrap_or(inner);
        }
    }
    quoted
}

fn string(inner: &str, raw: bool) -> String {
    // A HOLE of the program's own would be taken for ours.
    String::from_utf8_lossy(&unescaped(inner, raw, false)).replace(HOLE, "")
}

/// The escapes of the language reference, "String and Bytes literals".
fn unescaped(inner: &str, raw: bool, bytes: bool) -> Vec<u8> {
    if raw || !inner.contains('\\') {
        return inner.as_bytes().to_vec();
    }
    let mut plain = Vec::new();
    let mut characters: Peekable<Chars> = inner.chars().peekable();
    let mut buffer = [0; 4];
    while let Some(c) = characters.next() {
        if c != '\\' {
            plain.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            continue;
        }
        let code = match characters.next() {
            Some('n') => 10,
            Some('r') => 13,
            Some('t') => 9,
            Some('a') => 7,
            Some('b') => 8,
            Some('f') => 12,
            Some('v') => 11,
            Some('\n') | None => continue,
            Some(c @ ('\\' | '\'' | '"')) => c as u32,
            Some('x') => digits(&mut characters, 0, 16, 2),
            Some('u') if !bytes => digits(&mut characters, 0, 16, 4),
            Some('U') if !bytes => digits(&mut characters, 0, 16, 8),
            Some(c @ '0'..='7') => digits(&mut characters, c.to_digit(8).unwrap_or(0), 8, 2),
            Some(other) => {
                plain.push(b'\\');
                plain.extend_from_slice(other.encode_utf8(&mut buffer).as_bytes());
                continue;
            }
        };
        match (bytes, char::from_u32(code)) {
            (true, _) => plain.push(code as u8),
            (false, Some(c)) => plain.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
            (false, None) => plain.extend_from_slice("\u{fffd}".as_bytes()),
        }
    }
    plain
}

fn digits(characters: &mut Peekable<Chars>, first: u32, base: u32, most: usize) -> u32 {
    let mut value = first;
    for _ in 0..most {
        let Some(digit) = characters.peek().and_then(|c| c.to_digit(base)) else { break };
        value = value.saturating_mul(base).saturating_add(digit);
        characters.next();
    }
    value
}
