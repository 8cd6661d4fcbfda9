//! Lines of a log that tell of failures, counted by their text.

use super::text;
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Texts of which a line that tells of a failure holds one, in any case.
pub const TEXTS: &[&str] = &["error", "critical", "fatal", "exception"];
/// Different failures that are kept apart.
const KINDS_MAX: usize = 512;
/// How far into a line its level is looked for, bytes.
const REACH: usize = 160;

/// Failures of a log.
#[derive(Debug, Default)]
pub struct Errors {
    /// By the text without its numbers: the text as it stood first, and how often.
    kinds: BTreeMap<String, (String, u64)>,
    /// Those of which there was no room to keep the text.
    pub others: u64,
}

impl Errors {
    /// Takes the line, if it tells of a failure.
    pub fn note(&mut self, line: &str) {
        let Some(message) = message(line) else { return };
        let told = text::told(message, 0);
        let key: String = told.chars().filter(|c| !c.is_ascii_digit()).collect();
        let is_full = self.kinds.len() >= KINDS_MAX;
        match self.kinds.get_mut(&key) {
            Some((_, count)) => *count += 1,
            None if is_full => self.others += 1,
            None => drop(self.kinds.insert(key, (told, 1))),
        }
    }

    /// The most frequent ones.
    pub fn most(&self, count: usize) -> Vec<&(String, u64)> {
        let mut all: Vec<_> = self.kinds.values().collect();
        all.sort_by_key(|(text, count)| (std::cmp::Reverse(*count), text.clone()));
        all.truncate(count);
        all
    }
}

/// What the failure is: behind the level, or the name of the exception and what follows.
fn message(line: &str) -> Option<&str> {
    static LEVEL: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\b(?:ERROR|CRITICAL|FATAL)\b[\])}>:|\-\s]*|\blevel=(?:error|fatal)\s+").expect("a valid pattern")
    });
    let mut end = line.len().min(REACH);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    if let Some(level) = line.get(..end).and_then(|head| LEVEL.find(head)) {
        return line.get(level.end()..).map(str::trim).filter(|message| !message.is_empty());
    }
    is_exception(line).then(|| line.trim())
}

/// Whether the line is what Python prints at the end of a traceback: `module.NameError: text`.
fn is_exception(line: &str) -> bool {
    let (name, rest) = line.trim_end().split_once(": ").unwrap_or((line.trim_end(), ""));
    let own = name.rsplit('.').next().unwrap_or_default();
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    let is_error = own.strip_suffix("Error").or(own.strip_suffix("Exception")).is_some_and(|kind| !kind.is_empty());
    is_name
        && own.starts_with(|c: char| c.is_ascii_uppercase())
        && (is_error || own == "Exception")
        && rest.len() < 4000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_by_level_or_exception() {
        for (line, said) in [
            ("ERROR:app:Missing required parameter: 'lang'", "app:Missing required parameter: 'lang'"),
            ("2026-11-23 06:31:00,123 - app - ERROR - no lang", "no lang"),
            ("[2026-11-23 06:31:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:812)", "WORKER TIMEOUT (pid:812)"),
            ("time=2026-08-04T20:51:03Z level=error msg=\"x\"", "msg=\"x\""),
            ("torch.OutOfMemoryError: CUDA out of memory.", "torch.OutOfMemoryError: CUDA out of memory."),
            ("KeyError: 'lang'", "KeyError: 'lang'"),
        ] {
            assert_eq!(message(line), Some(said), "{line}");
        }
        for none in ["INFO: no error", "  raise ValueError(x)", "0 errors", "Error rate: 0 %", "ERROR: "] {
            assert_eq!(message(none), None, "{none}");
        }
    }

    #[test]
    fn they_are_counted_without_their_numbers_and_their_secrets() {
        let mut errors = Errors::default();
        (0..20_000).for_each(|n| errors.note(&format!("ERROR: request {n} failed, api_key=abcd{n}")));
        errors.note("KeyError: 'lang'");
        let most = errors.most(5);
        assert_eq!(most[0], &("request 0 failed, api_key=***".to_owned(), 20_000));
        assert_eq!((most.len(), errors.others), (2, 0));
        (0..2000).for_each(|n| errors.note(&format!("ERROR: {}", "x".repeat(n % 290 + 1) + &"y".repeat(n / 290))));
        assert!(errors.kinds.len() <= KINDS_MAX && errors.others > 0);
    }
}
