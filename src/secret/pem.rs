//! Private keys as PEM writes them (RFC 7468), in one text and over several.

use super::MASK;
use regex::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Texts that may stand between the lines of a key: other threads write too.
const OTHERS_MAX: usize = 3;

static BEGIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"-----BEGIN(?:[A-Z0-9 +]|%20){0,60}PRIVATE(?: |%20|\+)KEY(?:(?: |%20|\+)BLOCK)?-----").expect("valid")
});
/// A line of a key (RFC 7468 has 64 characters), whatever who wrote the log put before it.
static LONG: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[A-Za-z0-9+/]{32,}={0,2}").expect("valid"));
/// The last line of a key, at the end of what holds it.
static LAST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?:^|[^A-Za-z0-9+/=])([A-Za-z0-9+/]{2,}={0,2})[\s"',\\]*$"#).expect("valid"));
/// What encrypted keys begin with (RFC 1421), and OpenPGP's.
const HEADERS: &[&str] = &["Proc-Type:", "DEK-Info:", "Version:", "Comment:"];
/// Where lines end, in a text and in a text in a text.
static LINE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\r?\n|\\r\\n|\\n|%0A|%0a").expect("valid"));

/// Masks private keys in texts that follow one another, such as the lines of a log.
#[derive(Debug, Default)]
pub struct Pem {
    open: Option<Open>,
}

/// A key that has begun and not ended.
#[derive(Debug, Default)]
struct Open {
    /// Whether the last line was a whole one of the key: the one behind it may be short.
    within: bool,
    /// Texts since then that are none of its lines.
    others: usize,
}

impl Pem {
    /// Whether a key has begun and not ended.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The text without its part of a key.
    pub fn masked<'a>(&mut self, text: &'a str) -> Cow<'a, str> {
        if self.open.is_none() && !BEGIN.is_match(text) {
            return text.into();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        loop {
            if self.open.is_some() {
                rest = self.inside(rest, &mut out);
            }
            let Some(begin) = BEGIN.find(rest).filter(|_| self.open.is_none()) else { break };
            out.push_str(&rest[..begin.start()]);
            out.push_str(MASK);
            rest = &rest[begin.end()..];
            let end = rest.find("-----END");
            match end.and_then(|end| Some(end + 8 + rest[end + 8..].find("-----")? + 5)) {
                Some(last) => rest = &rest[last..],
                // Cut off, or each of its lines in a text of its own.
                None => self.open = Some(Open { within: true, others: 0 }),
            }
        }
        out.push_str(rest);
        out.into()
    }

    /// Masks the lines of a key that is open, up to its end; tells what is left behind it.
    fn inside<'a>(&mut self, text: &'a str, out: &mut String) -> &'a str {
        let mut done = 0;
        let ends = LINE.find_iter(text).map(|end| (end.start(), end.end())).chain([(text.len(), text.len())]);
        for (end, next) in ends {
            let Some(open) = &mut self.open else { break };
            let line = &text[done..end];
            if line.contains("-----END") {
                self.open = None;
                break;
            }
            let header = line.trim().is_empty() || HEADERS.iter().any(|header| line.contains(header));
            if header {
                out.push_str(line);
            } else if let Some(masked) = body(line, open) {
                out.push_str(&masked);
                open.others = 0;
            } else {
                (open.within, open.others) = (false, open.others + 1);
                if open.others > OTHERS_MAX {
                    self.open = None;
                    break;
                }
                out.push_str(line);
            }
            out.push_str(&text[end..next]);
            done = next;
        }
        &text[done..]
    }
}

/// The line without what it holds of a key; none if that is nothing.
fn body(line: &str, open: &mut Open) -> Option<String> {
    let made = |text: &str| {
        text.bytes().any(|b| b.is_ascii_digit() || matches!(b, b'+' | b'/' | b'='))
            || text.bytes().skip(1).any(|b| b.is_ascii_uppercase())
    };
    if LONG.find_iter(line).any(|found| made(found.as_str())) {
        open.within = true;
        return Some(LONG.replace_all(line, MASK).into_owned());
    }
    let last = LAST
        .captures(line)
        .and_then(|found| found.get(1))
        .filter(|last| open.within && last.len() >= 4 && made(last.as_str()))?;
    open.within = false;
    Some(format!("{}{MASK}{}", &line[..last.start()], &line[last.end()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_whether_it_stands_in_one_text_or_in_many() {
        let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC";
        let one = format!("x -----BEGIN RSA PRIVATE KEY-----\\n{body}\\n-----END RSA PRIVATE KEY-----\\n y");
        assert_eq!(Pem::default().masked(&one), "x ***\\n y");
        let mut pem = Pem::default();
        let lines =
            ["INFO -----BEGIN PRIVATE KEY-----", &format!("INFO {body}"), "INFO -----END PRIVATE KEY-----", body];
        let masked: Vec<_> = lines.iter().map(|line| pem.masked(line).into_owned()).collect();
        assert_eq!(masked, ["INFO ***", "INFO ***", "INFO -----END PRIVATE KEY-----", body]);
        let public = format!("-----BEGIN PUBLIC KEY-----\n{body}");
        assert_eq!(Pem::default().masked(&public), public);
    }

    #[test]
    fn a_key_that_is_cut_takes_nothing_else_with_it() {
        let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKB";
        let path = "failed to open /opt/models/whisper/large/v3/onnx/encoderModel";
        let masked = |texts: &[&str]| -> Vec<String> {
            let mut pem = Pem::default();
            texts.iter().map(|text| pem.masked(text).into_owned()).collect()
        };
        let begin = "-----BEGIN RSA PRIVATE KEY-----";
        assert_eq!(
            masked(&[begin, "Proc-Type: 4,ENCRYPTED", "", line, "Ab9=", path, path])[1..5],
            ["Proc-Type: 4,ENCRYPTED", "", "***", "***"]
        );
        let mut others = vec![begin, line];
        others.extend(["started", "listening on 8000", "GET / 200", "CUDA error", path]);
        let told = masked(&others);
        assert_eq!(told[2..], others[2..]);
        let one = format!("{begin}\\n{line}\\nAb9dE=\", \"lang\": \"en\"}}");
        assert_eq!(Pem::default().masked(&one), "***\\n***\\nAb9dE=\", \"lang\": \"en\"}");
        let spaced = format!("{begin} {line} {line} and cut");
        assert_eq!(Pem::default().masked(&spaced), "*** *** *** and cut");
    }
}
