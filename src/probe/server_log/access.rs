//! Access logs: one line an answered request, with its status.

use std::collections::BTreeMap;

/// Texts of which a line of an access log holds one.
pub const TEXTS: &[&str] = &[" http/", "\"websocket /", "[gin] ", "log_server_r: request: "];
/// Different paths that are kept apart.
const PATHS_MAX: usize = 64;
/// Longest path that is told, characters.
const PATH_MAX: usize = 100;
/// Longest name of an HTTP method, bytes.
const METHOD_MAX: usize = 7;

/// An answered request.
#[derive(Debug, PartialEq)]
pub struct Answered<'a> {
    /// `POST`, `GET`, ..., `WebSocket`.
    pub method: &'a str,
    /// Without its query, which may hold secrets.
    pub path: &'a str,
    /// HTTP status.
    pub status: u16,
}

impl Answered<'_> {
    /// Whether it can have been a request for inference. What is fetched by GET is health, metrics, documents.
    pub fn is_work(&self) -> bool {
        matches!(self.method, "POST" | "PUT" | "PATCH" | "WebSocket")
    }
}

/// What a line of an access log tells: of uvicorn, gunicorn, hypercorn, nginx, Apache, Werkzeug, TorchServe, vLLM and all
/// that write the request line in quotation marks and the status behind it; of gin (ollama); of llama.cpp.
pub fn read(line: &str) -> Option<Answered<'_>> {
    quoted(line).or_else(|| websocket(line)).or_else(|| gin(line)).or_else(|| llama(line))
}

/// `"POST /asr HTTP/1.1" 400`.
fn quoted(line: &str) -> Option<Answered<'_>> {
    let (before, after) = line.split_once(" HTTP/")?;
    let request = before.rsplit('"').next().filter(|request| request.len() < before.len())?;
    let (method, path) = request.split_once(' ')?;
    let (version, rest) = after.split_once('"')?;
    (version.len() <= 3).then_some(())?;
    answered(method, path, status(rest)?)
}

/// uvicorn's `"WebSocket /asr" [accepted]` or `"WebSocket /asr" 403`.
fn websocket(line: &str) -> Option<Answered<'_>> {
    let (path, rest) = line.split_once("\"WebSocket ")?.1.split_once('"')?;
    let status = if rest.trim_start().starts_with("[accepted]") { 101 } else { status(rest)? };
    Some(Answered { method: "WebSocket", path: told(path), status })
}

/// `[GIN] 2026/04/14 - 07:08:45 | 200 |  1.2s | 127.0.0.1 | POST     "/api/generate"`.
fn gin(line: &str) -> Option<Answered<'_>> {
    let mut parts = line.split_once("[GIN] ")?.1.split('|').skip(1);
    let status = status(parts.next()?)?;
    let (method, path) = parts.nth(2)?.trim().split_once(' ')?;
    answered(method, path.trim().trim_matches('"'), status)
}

/// `request: POST /completion 127.0.0.1 200`.
fn llama(line: &str) -> Option<Answered<'_>> {
    let mut words = line.split_once("log_server_r: request: ")?.1.split_whitespace();
    let (method, path) = (words.next()?, words.next()?);
    answered(method, path, status(words.nth(1)?)?)
}

fn answered<'a>(method: &'a str, path: &'a str, status: u16) -> Option<Answered<'a>> {
    let is_method = !method.is_empty() && method.len() <= METHOD_MAX && method.bytes().all(|b| b.is_ascii_uppercase());
    is_method.then(|| Answered { method, path: told(path), status })
}

fn told(path: &str) -> &str {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.char_indices().nth(PATH_MAX).and_then(|(end, _)| path.get(..end)).unwrap_or(path)
}

/// Three digits at the beginning.
fn status(text: &str) -> Option<u16> {
    let text = text.trim_start();
    let digits = text.get(..3)?;
    let ends = text.as_bytes().get(3).is_none_or(|next| !next.is_ascii_alphanumeric());
    digits.parse().ok().filter(|status| ends && (100..600).contains(status))
}

/// Answers of an access log, counted.
#[derive(Debug, Default)]
pub struct Answers {
    /// Requests that can have been for inference.
    pub work: u64,
    /// Those by status.
    pub by_status: BTreeMap<u16, u64>,
    /// By method and path: all, and those with a status of 400 or more.
    pub by_path: BTreeMap<String, (u64, u64)>,
    /// Others: health, metrics, documents.
    pub aside: u64,
}

impl Answers {
    /// Counts one.
    pub fn note(&mut self, answered: &Answered) {
        if !answered.is_work() {
            self.aside += 1;
            return;
        }
        self.work += 1;
        *self.by_status.entry(answered.status).or_default() += 1;
        let place = format!("{} {}", answered.method, answered.path);
        if self.by_path.len() < PATHS_MAX || self.by_path.contains_key(&place) {
            let (all, refused) = self.by_path.entry(place).or_default();
            *all += 1;
            *refused += u64::from(answered.status >= 400);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_servers_are_read() {
        for (line, method, path, status) in [
            (r#"INFO:     127.0.0.1:52814 - "POST /asr?key=x HTTP/1.1" 400 Bad Request"#, "POST", "/asr", 400),
            (r#"(APIServer pid=1) INFO:     127.0.0.1:1 - "POST /v1/chat HTTP/1.1" 200 OK"#, "POST", "/v1/chat", 200),
            (
                r#"10.0.0.9 - - [23/Nov/2026:06:31:00 +0000] "GET /health HTTP/2" 200 5 "-" "curl"#,
                "GET",
                "/health",
                200,
            ),
            (r#"127.0.0.1 - - [23/Nov/2026 06:31:00] "POST /asr HTTP/1.1" 422 -"#, "POST", "/asr", 422),
            (r#"x ACCESS_LOG - /127.0.0.1:4 "POST /predictions/vad HTTP/1.1" 503 12"#, "POST", "/predictions/vad", 503),
            (r#"INFO:     ('127.0.0.1', 5) - "WebSocket /asr?token=x" [accepted]"#, "WebSocket", "/asr", 101),
            (r#"INFO:     127.0.0.1:5 - "WebSocket /asr" 403"#, "WebSocket", "/asr", 403),
            (
                r#"[GIN] 2026/04/14 - 07:08:45 | 200 |  1.2s |  127.0.0.1 | POST     "/api/generate""#,
                "POST",
                "/api/generate",
                200,
            ),
            ("srv  log_server_r: request: POST /completion 127.0.0.1 200", "POST", "/completion", 200),
        ] {
            assert_eq!(read(line), Some(Answered { method, path, status }), "{line}");
        }
        for none in [
            r#"POST /asr HTTP/1.1 400"#,
            r#""POST /asr HTTP/1.1" 4000"#,
            r#""post /asr HTTP/1.1" 400"#,
            r#"he said "HTTP/1.1" 400"#,
            "[GIN-debug] GET /",
            "[GIN] x | 200",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(line in "(\\PC|\"| HTTP/|\\[GIN\\] |\\||\"WebSocket ){0,60}") {
            if let Some(answered) = read(&line) {
                proptest::prop_assert!((100..600).contains(&answered.status));
            }
        }
    }
}
