//! A text without its secrets: the values behind the names of secrets, and what its form gives away.

use super::names::{is_in_field, is_in_flag, is_second_word, is_weak};
use super::{MASK, Pem, forms};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Parts of the names of secrets.
const NAMES: &[&str] = &[
    "key",
    "token",
    "secret",
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "_pass",
    "auth",
    "credential",
    "cookie",
    "sig",
    "session",
    "sessid",
    "dsn",
    "webhook",
    "connection_string",
    "connectionstring",
    "conn_str",
];
/// Longest name that is read, to either side of such a part, bytes.
const NAME_MAX: usize = 64;
/// Longest text in quotes that is taken for one value, bytes.
const QUOTED_MAX: usize = 16 << 10;

/// Finds, in one pass, what the patterns begin with.
static TRIGGERS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let others = ["-----begin", "://", "bearer", "basic", "negotiate", "ntlm", "curl", "sshpass", "login"];
    AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(NAMES.iter().chain(&others).chain(forms::TRIGGERS))
        .expect("few texts")
});

/// The text without secrets.
pub fn masked(text: &str) -> Cow<'_, str> {
    masked_learning(text, &mut |_| {})
}

/// The same, telling each secret that was found.
pub fn masked_learning<'a>(text: &'a str, learn: &mut dyn FnMut(&str)) -> Cow<'a, str> {
    let (mut seen, mut names) = triggers(text);
    let mut text = Cow::Borrowed(text);
    if seen.pem
        && let Cow::Owned(without) = Pem::default().masked(&text)
    {
        // What is left is looked at anew: its places have moved.
        (seen, names) = triggers(&without);
        text = Cow::Owned(without);
    }
    if !names.is_empty()
        && let Some(changed) = named(&text, &names, learn)
    {
        text = Cow::Owned(changed);
    }
    if seen.url && text.contains('@') {
        text = forms::users(text, learn);
    }
    if seen.scheme {
        text = forms::schemes(text, learn);
    }
    if seen.given {
        text = forms::given(text, learn);
    }
    if seen.form {
        text = forms::tokens(text, learn);
    }
    text
}

/// Which patterns can fit.
#[derive(Default)]
struct Seen {
    pem: bool,
    url: bool,
    scheme: bool,
    given: bool,
    form: bool,
}

/// What a text holds of them, and where parts of the names of secrets stand.
fn triggers(text: &str) -> (Seen, Vec<usize>) {
    let (mut seen, mut names) = (Seen::default(), Vec::new());
    for found in TRIGGERS.find_overlapping_iter(text) {
        match found.pattern().as_usize().checked_sub(NAMES.len()) {
            None => names.push(found.start()),
            Some(0) => seen.pem = true,
            Some(1) => seen.url = true,
            Some(2..=5) => seen.scheme = true,
            Some(6..=8) => seen.given = true,
            Some(_) => seen.form = true,
        }
    }
    (seen, names)
}

/// Masks the values behind names of secrets, which stand around these places.
fn named(text: &str, places: &[usize], learn: &mut dyn FnMut(&str)) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut out, mut done) = (String::new(), 0);
    for &place in places {
        if place < done {
            continue;
        }
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let before = bytes[done..place].iter().rev().take(NAME_MAX).take_while(|b| is_name(b)).count();
        let after = bytes[place..].iter().take(NAME_MAX).take_while(|b| is_name(b)).count();
        let (mut start, end) = (place - before, place + after);
        // `%22api_key`: the digits are the quote's.
        if start > 0 && bytes[start - 1] == b'%' && start + 2 <= place {
            start += 2;
        }
        let Some(name) = text.get(start..end) else { continue };
        let before = text.get(start.saturating_sub(NAME_MAX)..start).unwrap_or_default();
        if is_second_word(before, name) {
            continue;
        }
        let Some(value) = value(text, name, end) else { continue };
        out.push_str(&text[done..value.start]);
        out.push_str(MASK);
        let secret = &text[value.start..value.end];
        if is_learnt(name, secret) {
            learn(secret);
        }
        done = value.end;
    }
    if done == 0 {
        return None;
    }
    out.push_str(&text[done..]);
    Some(out)
}

/// Whether the value is one to look for elsewhere: a name of a layer, a protocol or a digest is not, and behind a bare
/// `key` nothing is.
fn is_learnt(name: &str, value: &str) -> bool {
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.eq_ignore_ascii_case("key") || is_path_of_names(value) {
        return false;
    }
    !is_weak(name) || !value.contains(['.', '/']) && !value.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `encoder.layer.0.attention`
fn is_path_of_names(value: &str) -> bool {
    let name = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    value.matches('.').count() >= 2 && value.split('.').all(|part| !part.is_empty() && name(part))
}

struct Span {
    start: usize,
    end: usize,
}

/// Where the secret behind this name stands; none if there is none.
fn value(text: &str, name: &str, mut at: usize) -> Option<Span> {
    let flag = name.starts_with('-');
    let variable = name.bytes().any(|b| b.is_ascii_uppercase()) && !name.bytes().any(|b| b.is_ascii_lowercase());
    let plain = name.trim_matches(|c: char| matches!(c, '-' | '.'));
    if !(is_in_field(plain) || (flag || variable) && is_in_flag(plain)) {
        return None;
    }
    let bytes = text.as_bytes();
    let skip = |at: &mut usize, wanted: &[&str], most: usize| {
        let begin = *at;
        for _ in 0..most {
            let Some(found) = wanted.iter().find(|text| bytes[*at..].starts_with(text.as_bytes())) else { break };
            *at += found.len();
        }
        *at > begin
    };
    let quoted_name = skip(&mut at, &["\\", "\"", "'", "%22", "%27", "]"], 6);
    let spaced = skip(&mut at, &[" ", "\t", "%20"], 3);
    let by_sign = skip(&mut at, &["=", "%3D", "%3d"], 2);
    let by_colon = !by_sign && skip(&mut at, &[":=", ":", "%3A", "%3a"], 1);
    let by_space = flag && spaced && !quoted_name;
    if !(by_sign || by_colon || by_space) {
        return None;
    }
    if by_sign && bytes.get(at) == Some(&b'>') {
        at += 1;
    }
    skip(&mut at, &[" ", "\t", "%20", "+"], 3);
    let span = span(text, plain, at)?;
    let value = text.get(span.start..span.end)?;
    // The next flag, where this one stands without a value.
    if flag && !by_sign && value.starts_with("--") {
        return None;
    }
    is_secret(plain, value, by_sign || flag, quoted_name).then_some(span)
}

/// The value that begins here: in quotes, to the end of its line for headers that hold several words, or one word.
fn span(text: &str, name: &str, at: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    let rest = bytes.get(at..)?;
    let slashes = rest.iter().take(4).take_while(|b| **b == b'\\').count();
    let opens = |quote: &[u8]| rest[slashes..].starts_with(quote);
    let quote: Option<&[u8]> = [&b"\""[..], b"'", b"%22", b"%27"].into_iter().find(|quote| opens(quote));
    if let Some(quote) = quote {
        let start = at + slashes + quote.len();
        let inside = &bytes[start..bytes.len().min(start + QUOTED_MAX)];
        let mut place = 0;
        while place < inside.len() {
            let escapes = inside[place..].iter().take_while(|b| **b == b'\\').count();
            let behind = place + escapes;
            if inside[behind.min(inside.len())..].starts_with(quote) && escapes <= slashes {
                return some(start, start + place);
            }
            // What is escaped is skipped with its sign.
            place = behind + 1;
        }
    }
    let start = at + if quote.is_some() { slashes + quote.map_or(0, <[u8]>::len) } else { 0 };
    let lower = name.to_ascii_lowercase();
    let line = ["cookie", "authorization"].iter().any(|end| lower.ends_with(end));
    let ends = |b: &u8| match line {
        true => matches!(b, b'"' | b'\'' | b'\n' | b'\r' | b'\\' | b'}' | b']'),
        false => {
            b.is_ascii_whitespace()
                || matches!(b, b'"' | b'\'' | b';' | b'&' | b')' | b'}' | b']' | b',' | b'<' | b'>' | b'`')
        }
    };
    let length = bytes[start..].iter().take_while(|b| !ends(b)).count();
    // A lone backslash before the quote that ends a text in a text.
    let end = start + length;
    let end = if end > start && bytes[end - 1] == b'\\' { end - 1 } else { end };
    some(start, end)
}

fn some(start: usize, end: usize) -> Option<Span> {
    (end > start).then_some(Span { start, end })
}

/// Whether what stands behind a secret's name is one, and not a word about it, a variable that holds it, or a number.
fn is_secret(name: &str, value: &str, by_sign: bool, quoted_name: bool) -> bool {
    let value = value.trim();
    let plain = value.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_ascii_lowercase();
    const WORDS: &[&str] = &[
        "",
        "null",
        "none",
        "nil",
        "true",
        "false",
        "required",
        "missing",
        "invalid",
        "undefined",
        "optional",
        "str",
        "string",
        "int",
        "bool",
        "bytes",
        "not",
        "is",
        "empty",
        "set",
        "unset",
        "yes",
        "no",
        "no-auth",
        "field",
        "header",
        "expected",
        "the",
        "a",
        "an",
        "are",
        "was",
        "must",
        "should",
    ];
    let begins = |with: &[&str]| with.iter().any(|text| value.starts_with(text));
    if value.contains(MASK) && value.len() < 24
        || WORDS.contains(&plain.as_str())
        || begins(&["$", "{", "[", "<", "%s", "os.environ", "("])
    {
        return false;
    }
    let number =
        plain.len() < 12 && plain.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'm' | b's' | b'e' | b'-'));
    let is_token = name.to_ascii_lowercase().ends_with("token");
    if number && (is_token || is_weak(name)) {
        return false;
    }
    if !is_weak(name) {
        return true;
    }
    if is_path_of_names(value) {
        return false;
    }
    let digit = value.bytes().any(|b| b.is_ascii_digit());
    let letter = value.bytes().any(|b| b.is_ascii_alphabetic());
    let strong = value.len() >= 8 && digit && letter || value.len() >= 20;
    let is_key = name.trim_matches(|c: char| !c.is_ascii_alphanumeric()).eq_ignore_ascii_case("key");
    strong || by_sign && !is_key && value.len() >= 6 || quoted_name && !is_key && !is_token
}
