//! Values that are known to be secret, wherever they are met again.

use super::MASK;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Most values that are kept: what stands under a secret's name in a document is seldom more.
const MOST: usize = 20_000;
/// Values from which on a text of the doctor or of a server would be torn apart by chance.
const SHORTEST: usize = 8;

/// Length from which on a value is masked inside of longer words too.
const LONG: usize = 32;

/// A value as it is, as a form, as a URL and as JSON would write it.
pub fn writings(value: &str) -> [String; 4] {
    let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let json = serde_json::Value::from(value).to_string();
    let json = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
    [value.to_owned(), form.replace('+', "%20"), form, json]
}

/// Values that were learnt.
#[derive(Debug, Default)]
pub struct Known {
    values: BTreeSet<String>,
    finder: Option<AhoCorasick>,
}

impl Known {
    /// Learns a value, if it is one that no other text would hold by chance: a word such as `required` may stand under a
    /// secret's name, and is none.
    pub fn learn(&mut self, value: &str) {
        let value = value.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'' || c == '\\');
        let digit = value.bytes().any(|b| b.is_ascii_digit());
        let letter = value.bytes().any(|b| b.is_ascii_alphabetic());
        let made = letter && (digit && value.len() >= SHORTEST || value.len() >= 24 && !value.contains(' '));
        // A file that holds the secret, and an address, are named elsewhere too.
        let place = value.starts_with('/') || value.contains("://") || value.contains(MASK);
        if made && !place && value.len() <= 16 << 10 && self.values.len() < MOST {
            self.values.extend(writings(value));
        }
    }

    /// Builds what [`Self::masked`] needs.
    pub fn learnt(&mut self) {
        let finder = AhoCorasickBuilder::new().match_kind(MatchKind::LeftmostLongest).build(&self.values);
        self.finder = finder.ok().filter(|_| !self.values.is_empty());
    }

    /// The text without the values.
    pub fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.finder {
            Some(finder) => {
                let (mut out, mut done) = (String::new(), 0);
                for found in finder.find_iter(text) {
                    if stands_alone(text.as_bytes(), found.start(), found.end()) {
                        out.push_str(&text[done..found.start()]);
                        out.push_str(MASK);
                        done = found.end();
                    }
                }
                if done == 0 {
                    return text.into();
                }
                out.push_str(&text[done..]);
                out.into()
            }
            None => text.into(),
        }
    }
}

/// Whether what was found is no part of a longer word, such as of a digest. What is long is met nowhere by chance.
fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    let word = |at: usize| text.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b >= 0x80);
    if end - start >= LONG {
        return true;
    }
    let before = &text[start.saturating_sub(3)..start];
    // `%3Dvalue`, `\nvalue`, `-pvalue`.
    let sign = matches!(before, [b'%', _, _] | [.., b'\\', _] | [b' ', b'-', _]);
    let begins = !word(start) || start == 0 || !word(start - 1) || sign;
    begins && (!word(end) || !word(end - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_goes_where_it_stands_alone() {
        let mut known = Known::default();
        known.learn("9f86d081884c");
        known.learnt();
        let digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 x9f86d081884c";
        assert_eq!(known.masked(digest), digest);
        for (text, masked) in [
            ("it is 9f86d081884c, again", "it is ***, again"),
            ("q%3D9f86d081884c", "q%3D***"),
            (r"a\n9f86d081884c", r"a\n***"),
            ("mysql -p9f86d081884c", "mysql -p***"),
        ] {
            assert_eq!(known.masked(text), masked);
        }
    }
}
