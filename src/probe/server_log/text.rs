//! A log's lines: without colour codes, within limits, with secrets masked.

use crate::secret;
use crate::words::unprintable;
use regex::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Longest part of a line that is looked at, bytes.
pub const LINE_MAX: usize = 16 << 10;
/// Longest line that is told, characters.
const TOLD_MAX: usize = 300;

/// The line without the codes that colour terminals, and of a line written over by itself the last state.
pub fn plain(line: &str) -> Cow<'_, str> {
    static CODE: LazyLock<Regex> =
        LazyLock::new(|| regex(r"\x1b(?:\[[0-?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)|[@-Z\\^_])"));
    let mut end = line.len().min(LINE_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    CODE.replace_all(line[..end].trim_end_matches('\r'), "")
}

/// Text in UTF-16, which PowerShell's `>` writes, as UTF-8; none if it is not. `first` are the first bytes of the file,
/// by whose mark it is told.
pub fn from_utf16(first: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let unit = match first {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return None,
    };
    let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(unit));
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Some(text.trim_start_matches('\u{feff}').as_bytes().to_vec())
}

/// The server's own line out of one that Docker's json-file driver wrote around it, its time in front.
pub fn unwrapped(line: &str) -> Cow<'_, str> {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        log: String,
        time: String,
    }
    match line.starts_with("{\"log\":").then(|| serde_json::from_str::<Wrapped>(line)) {
        Some(Ok(wrapped)) => format!("{} {}", wrapped.time, wrapped.log.trim_end()).into(),
        _ => line.into(),
    }
}

/// The line as it is told: around byte `at`, without what steers terminals, with secrets masked.
pub fn told(line: &str, at: usize) -> String {
    let line: String = line.chars().map(|c| if unprintable(c) { ' ' } else { c }).collect();
    let masked = masked(&line);
    if masked.chars().count() <= TOLD_MAX {
        return masked.trim().to_string();
    }
    // Masking moves what stands behind it; the beginning of the saying need not be met exactly.
    let before = line.get(..at).map_or(0, |before| before.chars().count()).saturating_sub(60);
    let start = before.min(masked.chars().count().saturating_sub(TOLD_MAX));
    masked.chars().skip(start).take(TOLD_MAX).collect::<String>().trim().to_string()
}

/// The text with the values of names that stand for secrets, bearer tokens, tokens of known make and passwords in URLs
/// masked.
pub fn masked(text: &str) -> String {
    secret::masked(text).into_owned()
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_codes_go() {
        let line = "\u{1b}[0;93m2026-11-23 [W:onnxruntime:Default] Failed\u{1b}[m\r";
        assert_eq!(plain(line), "2026-11-23 [W:onnxruntime:Default] Failed");
        assert_eq!(plain("\u{1b}]0;title\u{7}x\u{1b}"), "x\u{1b}");
        assert_eq!(told("a\u{202e}b\u{1b}c", 0), "a b c");
        assert!(plain(&"é".repeat(LINE_MAX)).len() <= LINE_MAX);
    }

    #[test]
    fn what_docker_wraps_is_unwrapped() {
        let line = r#"{"log":"level=INFO msg=\"inference compute\" id=0\n","stream":"stderr","time":"2026-11-23T06:31:00.1Z"}"#;
        assert_eq!(unwrapped(line), r#"2026-11-23T06:31:00.1Z level=INFO msg="inference compute" id=0"#);
        for plain in ["{\"log\": 3}", "{\"log\":", "Using device: cpu"] {
            assert_eq!(unwrapped(plain), plain);
        }
    }

    #[test]
    fn secrets_are_masked() {
        for (line, hidden) in [
            ("loading with api_key=abcd1234 done", "abcd1234"),
            ("HF_TOKEN: hf_abcdefghijkl", "hf_abcdefghijkl"),
            ("{'Authorization': 'Bearer abc.def-ghi'}", "abc.def-ghi"),
            ("using key sk-proj-0123456789abcdef", "0123456789abcdef"),
            ("pulling https://user:hunter2@registry.example/v2", "hunter2"),
            ("cookie=session-17; path=/", "session-17"),
            ("GET https://hub.example/model?revision=main&api_key=abcd1234", "abcd1234"),
            ("GET https://user:hunter2@hub.example/model?api_key=abcd1234", "abcd1234"),
            ("args: serve --api-key abcd1234 --port 80", "abcd1234"),
            ("request: {\"user\": \"a\", \"api_key\": \"abcd1234\"}", "abcd1234"),
            ("--password \"two words\" password=\"two words\"", "password=\"two words\""),
        ] {
            let told = told(line, 0);
            assert!(!told.contains(hidden) && told.contains("***"), "{told}");
        }
        for line in [
            "max_tokens=256 tokenizer=bert",
            "KeyError: 'lang'",
            "Using device: cuda:0",
            "serve --no-auth --port 80",
            "see https://example.org/a?b=c#d",
        ] {
            assert_eq!(told(line, 0), line);
        }
    }

    #[test]
    fn a_long_line_is_told_around_what_it_says() {
        let line = format!("{}CUDA out of memory{}", "x".repeat(5000), "y".repeat(5000));
        let told = told(&line, 5000);
        assert!(told.chars().count() == 300 && told.contains("CUDA out of memory"), "{told}");
    }
}
