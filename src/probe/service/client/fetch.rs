//! Reads the client's own request from JavaScript: `fetch("...", {...})`, as browsers copy it and people write it.

use super::body::Body;
use super::choice;
use super::python::literal::without_texts;
use super::request::{ClientRequest, Draft, Setting};
use crate::probe::service::secrets::shown_url;
use serde_json::{Map, Value};

/// Values inside values, and values in all, at most.
const DEPTH: usize = 32;
const VALUES: usize = 20_000;
/// Calls that are looked at.
const CALLS: usize = 100;

/// A value; `Err` is an expression that is not written out.
type Read = Result<Value, String>;

struct Call {
    line: usize,
    url: Read,
    options: Read,
}

/// Reads `text`: of several requests the first that looks like an inference.
pub fn parse(text: &str, setting: &Setting) -> Result<ClientRequest, String> {
    let calls: Vec<Call> = calls(text);
    let likeness = |call: &Call| {
        let (method, has_body) = method_and_body(call);
        choice::likeness(&method, call.url.as_ref().ok().and_then(Value::as_str).unwrap_or_default(), has_body)
    };
    let shown: Vec<String> = calls
        .iter()
        .map(|call| {
            let url = call.url.as_ref().ok().and_then(Value::as_str).map_or_else(|| "...".into(), shown_url);
            format!("line {}: {} {url}", call.line, method_and_body(call).0)
        })
        .collect();
    let (chosen, call) = choice::first_of_likeliest(calls, likeness).ok_or("no fetch(...) was found in it")?;
    let others: Vec<String> =
        shown.into_iter().enumerate().filter(|(index, _)| *index != chosen).map(|(_, one)| one).collect();
    let place = format!("{}:{}", setting.file(), call.line);
    let open = |what: &str, expression: &str| {
        format!("{place}: {what} is {expression}, which the file does not tell; write it out")
    };
    let mut draft = Draft::following(true);
    draft.notes.extend(choice::others(others.len(), &others));
    draft.method = Some(method_and_body(&call).0);
    let url = call.url.map_err(|expression| open("the URL", &expression))?;
    draft.url(url.as_str().ok_or(format!("{place}: the URL is no text"))?)?;
    let options = call.options.map_err(|expression| open("the second argument", &expression))?;
    for (name, value) in options.get("headers").and_then(Value::as_object).into_iter().flatten() {
        match (value.as_str(), open_expression(value)) {
            (Some(text), _) => draft.header(name, text).map_err(|error| format!("{place}: {error}"))?,
            (None, Some(expression)) => {
                draft.note(format!(
                    "{place}: the value of the header {name} ({expression}) is not written out; it was left out"
                ));
            }
            _ => {}
        }
    }
    let body = match options.get("body") {
        None | Some(Value::Null) => Body::none(),
        Some(body) => match (body.as_str(), open_expression(body)) {
            (Some(text), _) => {
                let usual = || "text/plain;charset=UTF-8".to_owned();
                Body::of_bytes(text.as_bytes().to_vec(), draft.content_type.take().unwrap_or_else(usual))
            }
            (None, expression) => return Err(open("the body", expression.unwrap_or("no text"))),
        },
    };
    draft.finish("fetch", place, Vec::new(), body)
}

fn method_and_body(call: &Call) -> (String, bool) {
    let options = call.options.as_ref().ok();
    let method = options.and_then(|options| options.get("method")?.as_str()).unwrap_or("GET").to_uppercase();
    (method, options.is_some_and(|options| options.get("body").is_some_and(|body| !body.is_null())))
}

/// An expression stands in the read value as `{"\0": "the expression"}`.
const OPEN: &str = "\0";

fn open_expression(value: &Value) -> Option<&str> {
    value.get(OPEN)?.as_str()
}

/// Every call of `fetch`.
fn calls(text: &str) -> Vec<Call> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("fetch").take(CALLS * 10) {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let rest = text.get(at + 5..).unwrap_or_default();
        if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '/'))
            || !rest.trim_start().starts_with('(')
        {
            continue;
        }
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let mut reader = Reader { text: rest, at: 0, left: VALUES };
        reader.skip();
        reader.at += 1;
        let url = reader.expression(DEPTH);
        reader.skip();
        let options = match reader.peek() {
            Some(',') => {
                reader.at += 1;
                reader.skip();
                if reader.peek() == Some(')') { Ok(Value::Null) } else { reader.expression(DEPTH) }
            }
            _ => Ok(Value::Null),
        };
        if found.len() < CALLS {
            found.push(Call { line, url, options });
        }
    }
    found
}

/// Reads literals of JavaScript.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    left: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// White space and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            let skipped = rest.len() - trimmed.len();
            let comment = match (trimmed.starts_with("//"), trimmed.starts_with("/*")) {
                (true, _) => trimmed.find('\n').unwrap_or(trimmed.len()),
                (_, true) => trimmed.find("*/").map_or(trimmed.len(), |end| end + 2),
                _ => 0,
            };
            self.at += skipped + comment;
            if comment == 0 {
                return;
            }
        }
    }

    /// One expression: a literal, or its text where it is none.
    fn expression(&mut self, depth: usize) -> Read {
        self.skip();
        let start = self.at;
        let value = self.literal(depth);
        self.skip();
        match (value, self.peek()) {
            (Some(value), Some(',' | ')' | '}' | ']' | ';') | None) => Ok(value),
            _ => {
                self.at = start;
                Err(self.other(depth))
            }
        }
    }

    fn literal(&mut self, depth: usize) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        if depth == 0 {
            return None;
        }
        match self.peek()? {
            quote @ ('"' | '\'' | '`') => self.string(quote).map(Value::String),
            '{' => self.object(depth),
            '[' => {
                self.at += 1;
                let mut list = Vec::new();
                loop {
                    self.skip();
                    if self.peek()? == ']' {
                        self.at += 1;
                        return Some(Value::Array(list));
                    }
                    list.push(held(self.expression(depth - 1)));
                    self.comma(']')?;
                }
            }
            _ => {
                for (word, value) in [
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                    ("null", Value::Null),
                    ("undefined", Value::Null),
                ] {
                    if self.rest().starts_with(word) {
                        self.at += word.len();
                        return Some(value);
                    }
                }
                if self.rest().starts_with("JSON.stringify(") {
                    self.at += "JSON.stringify(".len();
                    let value = self.expression(depth - 1).ok()?;
                    if holds_open(&value) || self.peek() != Some(')') {
                        return None;
                    }
                    self.at += 1;
                    return Some(Value::String(value.to_string()));
                }
                let length = self.rest().find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+')));
                let number: serde_json::Number =
                    serde_json::from_str(self.rest().get(..length.unwrap_or(self.rest().len()))?).ok()?;
                self.at += length.unwrap_or(self.rest().len());
                Some(Value::Number(number))
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut object = Map::new();
        loop {
            self.skip();
            let name = match self.peek()? {
                '}' => {
                    self.at += 1;
                    return Some(Value::Object(object));
                }
                quote @ ('"' | '\'') => self.string(quote)?,
                _ => {
                    let length = self.rest().find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$')))?;
                    let name = self.rest().get(..length)?.to_owned();
                    self.at += length;
                    name
                }
            };
            self.skip();
            match self.peek()? {
                ':' => {
                    self.at += 1;
                    let value = held(self.expression(depth - 1));
                    object.insert(name, value);
                }
                // `{ body }`: a name of the program's own.
                ',' | '}' if !name.is_empty() => drop(object.insert(name.clone(), held(Err(name)))),
                _ => return None,
            }
            self.comma('}')?;
        }
    }

    fn comma(&mut self, end: char) -> Option<()> {
        self.skip();
        match self.peek()? {
            ',' => self.at += 1,
            c if c == end => {}
            _ => return None,
        }
        Some(())
    }

    fn string(&mut self, quote: char) -> Option<String> {
        self.at += 1;
        let mut text = String::new();
        let mut characters = self.text.get(self.at..)?.char_indices().peekable();
        while let Some((index, c)) = characters.next() {
            match c {
                c if c == quote => {
                    self.at += index + 1;
                    return Some(text);
                }
                '$' if quote == '`' && characters.peek().is_some_and(|(_, c)| *c == '{') => return None,
                '\n' if quote != '`' => return None,
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'v' => text.push('\u{b}'),
                    '0' => text.push('\0'),
                    '\n' => {}
                    kind @ ('u' | 'x') => {
                        let most = if kind == 'u' { 4 } else { 2 };
                        let mut code = 0;
                        for _ in 0..most {
                            code = code * 16 + characters.next()?.1.to_digit(16)?;
                        }
                        text.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                    }
                    other => text.push(other),
                },
                c => text.push(c),
            }
        }
        None
    }

    /// Skips an expression that is no literal, and gives its start.
    fn other(&mut self, depth: usize) -> String {
        let start = self.at;
        let mut open = 0_usize;
        while let Some(c) = self.peek() {
            match c {
                '(' | '[' | '{' => open += 1,
                ')' | ']' | '}' if open == 0 => break,
                ')' | ']' | '}' => open -= 1,
                ',' | ';' if open == 0 => break,
                '"' | '\'' | '`' if depth > 0 => {
                    let before = self.at;
                    if self.string(c).is_none() {
                        self.at = before + 1;
                    }
                    continue;
                }
                _ => {}
            }
            self.at += c.len_utf8();
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        without_texts(&text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn held(read: Read) -> Value {
    read.unwrap_or_else(|expression| Value::Object(Map::from_iter([(OPEN.to_owned(), Value::String(expression))])))
}

fn holds_open(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().any(holds_open),
        Value::Object(members) => members.contains_key(OPEN) || members.values().any(holds_open),
        _ => false,
    }
}
