//! The client's own request, as the user has it: read, never executed.

mod body;
mod choice;
mod curl;
#[cfg(test)]
mod curl_tests;
pub mod differences;
mod fetch;
mod files;
#[cfg(test)]
mod forms_tests;
mod har;
mod inline;
pub mod mend;
mod multipart;
mod patch;
mod postman;
mod python;
mod request;
mod shell;

use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

pub use request::ClientRequest;
use request::Setting;

/// Longest text of a command or a program that is read, bytes. A HAR may be longer.
const TEXT_CAP: usize = 1 << 20;

/// A file that the user names for a field.
///
/// # Errors
/// The file and the obstacle.
pub fn given_file(path: &str) -> Result<super::message::File, String> {
    files::Files::beside(Path::new("")).part(path)
}

/// Reads the request from the text of a file: a curl command line, a HAR, a Postman collection, Python or JavaScript, by
/// what it is. `origin` is that file, if any: files that the request names are looked for beside it. `given` are the
/// user's values for fields that the text does not tell.
///
/// # Errors
/// What is wrong with it: the option, the line or the file, by name.
pub fn client_request(origin: &str, text: &str, given: &BTreeMap<String, String>) -> Result<ClientRequest, String> {
    let file = Path::new(origin);
    let folder = if file.is_file() { file.parent().unwrap_or(Path::new("")) } else { Path::new("") };
    read(text, &Setting { origin, folder, given })
}

fn read(text: &str, setting: &Setting) -> Result<ClientRequest, String> {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with('{')
        && let Ok(document) = serde_json::from_str::<Value>(start)
    {
        return match inline::section(&document) {
            Some(client) => inline::parse(client, setting),
            None if har::is_har(&document) => har::parse(&document, setting),
            None if postman::is_collection(&document) => postman::parse(&document, setting),
            None => Err("it is JSON, but neither a HAR (log.entries) nor a Postman collection (item)".into()),
        };
    }
    if text.len() > TEXT_CAP {
        return Err(format!("it is longer than {TEXT_CAP} bytes"));
    }
    if start.starts_with('{')
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(start)
        && !start.contains("curl ")
    {
        return Err(format!("it begins like JSON (a HAR, a Postman collection) and is none: {error}"));
    }
    static CURL: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?m)^[ \t]*(?:[$%>#]\s+|\S+>\s*)?(?:\S*/)?curl(?:\.exe)?\s"));
    static PYTHON: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?m)^\s*(?:from\s+[\w.]+\s+import\s|import\s+\w)|\b(?:requests|httpx|session|client)\.(?:post|put|patch|get|request)\(",
        )
    });
    static FETCH: LazyLock<Regex> = LazyLock::new(|| pattern("(?:^|[^\\w.])fetch\\(\\s*[\"'`]"));
    match (CURL.is_match(text), FETCH.is_match(text), PYTHON.is_match(text)) {
        (false, true, false) => fetch::parse(text, setting),
        (false, _, true) => python::parse(text, setting),
        (false, false, false) if !text.contains("curl") => Err(
            "no request was found in it (expected: a curl command line, a HAR, a Postman collection, Python, or JavaScript \
             with fetch)"
                .into(),
        ),
        _ => curl::parse(text, setting),
    }
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns are constants, and tests use them")
}
