//! Private keys as PEM writes them (RFC 7468), in one text and over several.

use super::MASK;
use regex::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Texts after the beginning of a key to which it may go on where its end is not met.
const TEXTS_MAX: usize = 200;

static BEGIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"-----BEGIN(?:[A-Z0-9 +]|%20){0,60}PRIVATE(?: |%20|\+)KEY(?:(?: |%20|\+)BLOCK)?-----").expect("valid")
});
static BODY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[A-Za-z0-9+/]{16,}={0,2}").expect("valid"));

/// Masks private keys in texts that follow one another, such as the lines of a log.
#[derive(Debug, Default)]
pub struct Pem {
    /// How many more texts may belong to a key that has begun.
    left: usize,
}

impl Pem {
    /// Whether a key has begun and not ended.
    pub fn is_open(&self) -> bool {
        self.left > 0
    }

    /// The text without its part of a key.
    pub fn masked<'a>(&mut self, text: &'a str) -> Cow<'a, str> {
        let mut out = String::new();
        let mut rest = text;
        if self.left > 0 {
            self.left -= 1;
            let end = rest.find("-----END");
            let inside = &rest[..end.unwrap_or(rest.len())];
            out.push_str(&BODY.replace_all(inside, MASK));
            rest = end.map_or("", |end| &rest[end..]);
            if end.is_some() {
                self.left = 0;
            }
        }
        while let Some(begin) = BEGIN.find(rest) {
            out.push_str(&rest[..begin.start()]);
            out.push_str(MASK);
            let body = &rest[begin.end()..];
            let end = body.find("-----END");
            let last = end.and_then(|end| Some(end + 8 + body[end + 8..].find("-----")? + 5));
            rest = match (end, last) {
                (_, Some(last)) => &body[last..],
                (Some(_), None) => "",
                // Cut off, or each of its lines in a text of its own.
                (None, _) => {
                    self.left = TEXTS_MAX;
                    out.push_str(&BEGIN.replace_all(&BODY.replace_all(body, MASK), MASK));
                    ""
                }
            };
        }
        if out.is_empty() && rest.len() == text.len() {
            return text.into();
        }
        out.push_str(rest);
        out.into()
    }
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
}
