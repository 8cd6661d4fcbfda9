//! Failures that servers tell of themselves: tracebacks in answers, lines in logs.

use super::{Complaint, words};
use crate::probe::server_log::text::told;
use regex::Regex;
use std::sync::LazyLock;

/// Failures told of one request, at most.
const FAILURES_MAX: usize = 5;
/// Python's words above a traceback (traceback.py).
const TRACEBACK: &str = "Traceback (most recent call last)";

/// The last line of a Python traceback, behind what a logger or Ray writes in front: `KeyError: 'lang'`.
static EXCEPTION: LazyLock<Regex> = LazyLock::new(|| {
    words::pattern(
        r"^(?:\([^)\n]*\) )?(?:[0-9T:.-]+Z )?((?:[A-Za-z_][A-Za-z0-9_]*\.)*[A-Z][A-Za-z0-9_]*(?:Error|Exception|Iteration|Exit|Interrupt)(?:: ?\S.*|))$",
    )
});
/// What frameworks write on one line in place of a traceback. LitServe (loops/base.py), aiohttp, Flask's logger.
static ONE_LINE: LazyLock<Regex> = LazyLock::new(|| {
    words::pattern(
        r"(?:Error while handling request|Error handling request|Exception on \S+ \[[A-Z]+\]|LitAPI ran into an error while processing the request[^:\n]*): ?(\S.*)$",
    )
});

/// The last line of the traceback that a text holds, if it holds one.
pub fn of_traceback(text: &str) -> Option<String> {
    let (_, behind) = text.rsplit_once(TRACEBACK)?;
    let mut exceptions = behind.lines().rev().filter_map(|line| EXCEPTION.captures(line.trim_end())?.get(1));
    exceptions.next().map(|line| line.as_str().to_owned())
}

/// The failures that lines of a log tell, each by its last line, without secrets.
pub fn of_log(lines: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in lines {
        let line = line.trim_end();
        let exception = EXCEPTION.captures(line).or_else(|| ONE_LINE.captures(line));
        let Some(whole) = exception.and_then(|found| found.get(0)) else { continue };
        let one = told(whole.as_str(), 0);
        if !found.contains(&one) {
            found.push(one);
        }
    }
    let extra = found.len().saturating_sub(FAILURES_MAX);
    found.drain(..extra);
    found
}

/// What the failures of a log say that the request lacks.
pub fn complaint(failures: &[String], known: &[&str]) -> Complaint {
    let mut complaint = Complaint::default();
    for failure in failures.iter().rev() {
        // LitServe writes a KeyError's text alone: the name in quotes.
        let key = ONE_LINE.captures(failure).and_then(|found| found.get(1)).map(|rest| rest.as_str().trim());
        let key = key.and_then(|key| key.strip_prefix('\'')?.strip_suffix('\''));
        match key.filter(|key| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))) {
            Some(name) => complaint.missing(name, None),
            None => words::missing(failure, known, &mut complaint),
        }
        if !complaint.missing.is_empty() {
            break;
        }
    }
    complaint
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_last_line_of_a_failure_is_told_and_its_key_is_a_field() {
        for (text, failure, field) in [
            (
                "INFO: 127.0.0.1 - \"POST /predict HTTP/1.1\" 500\nERROR: Exception in ASGI application\n\
                 Traceback (most recent call last):\n  File \"/app/s.py\", line 3, in f\n    return data[\"lang\"]\n\
                 \x20          ~~~~^^^^^^^^\nKeyError: 'lang'",
                "KeyError: 'lang'",
                Some("lang"),
            ),
            (
                "werkzeug.exceptions.BadRequestKeyError: 400 Bad Request: The browser (or proxy) sent a request that this server could not understand.\nKeyError: 'lang'",
                "KeyError: 'lang'",
                Some("lang"),
            ),
            (
                "2026-11-22 ERROR litserve.loops.base - Error while handling request: 'audio_b64'",
                "Error while handling request: 'audio_b64'",
                Some("audio_b64"),
            ),
            (
                "(ServeReplica:default:A pid=7) KeyError: 'lang'",
                "(ServeReplica:default:A pid=7) KeyError: 'lang'",
                Some("lang"),
            ),
            ("2026-11-22T10:00:00.1Z KeyError: 'lang'", "2026-11-22T10:00:00.1Z KeyError: 'lang'", Some("lang")),
            (
                "TypeError: infer() missing 1 required positional argument: 'lang'",
                "TypeError: infer() missing 1 required positional argument: 'lang'",
                Some("lang"),
            ),
            ("RuntimeError: CUDA out of memory", "RuntimeError: CUDA out of memory", None),
        ] {
            let failures = log(text);
            let failures = of_log(&failures);
            assert_eq!(failures.last().map(String::as_str), Some(failure), "{text}");
            let found = complaint(&failures, &["lang"]).missing.first().map(|(name, _)| name.clone());
            assert_eq!(found.as_deref(), field, "{text}");
        }
        for text in ["INFO KeyError handling is on", "KeyErrors: 3", "no error", "{\"error\": \"KeyError: 'x'\"}"] {
            assert_eq!(of_log(&log(text)), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn secrets_of_a_log_are_masked() {
        let failures = of_log(&log("ValueError: bad header Authorization: Bearer abcdefgh1234"));
        assert!(failures.len() == 1 && !failures[0].contains("abcdefgh"), "{failures:?}");
    }

    #[test]
    fn of_chained_failures_the_last_is_told() {
        let text = "Traceback (most recent call last):\n  File \"a\"\nKeyError: 'x'\n\nDuring handling of the above \
            exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"b\"\n    raise\n\
            mlserver.errors.InferenceError: lang is required\n";
        assert_eq!(of_traceback(text).as_deref(), Some("mlserver.errors.InferenceError: lang is required"));
        assert_eq!(of_traceback("KeyError: 'x'"), None);
    }

    proptest! {
        #[test]
        fn any_lines_are_read_in_bounds(lines in proptest::collection::vec("(KeyError|: |'|lang|Traceback \\(most recent call last\\)|[A-Z]|\\PC{0,6}){0,12}", 0..40)) {
            let failures = of_log(&lines);
            prop_assert!(failures.len() <= FAILURES_MAX);
            complaint(&failures, &["lang"]);
            of_traceback(&lines.join("\n"));
        }
    }
}
