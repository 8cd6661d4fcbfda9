//! A text without its secrets: the values behind the names of secrets, and what its form gives away.

use super::names::{called, is_second_word, is_weak};
use super::words::is_path_of_names;
use super::{MASK, Pem, forms, value};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Parts of the names of secrets.
const NAMES: &[&str] = &[
    "key",
    "token",
    "secret",
    "pass",
    "pw",
    "jwt",
    "otp",
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

/// Finds, in one pass, what the patterns begin with.
static TRIGGERS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let others = [
        "-----begin",
        "://",
        "bearer",
        "basic",
        "negotiate",
        "ntlm",
        "curl",
        "sshpass",
        "login",
        "--header",
        "mysql",
        "mariadb",
        "redis-cli",
        "from-literal",
    ];
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
            Some(6..=13) => seen.given = true,
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
        // `docker run -ePASSWORD=x`
        if bytes[start..].starts_with(b"-e") && bytes.get(start + 2).is_some_and(u8::is_ascii_uppercase) {
            start += 2;
        }
        let Some(name) = text.get(start..end) else { continue };
        // `password->x`
        let name = if bytes.get(end) == Some(&b'>') { name.trim_end_matches('-') } else { name };
        let before = text.get(start.saturating_sub(NAME_MAX)..start).unwrap_or_default();
        if is_second_word(before, name) {
            continue;
        }
        let called = called(before, name);
        let learnt = |value: &str| is_learnt(&called, value);
        for span in value::behind(text, start..start + name.len(), &called) {
            out.push_str(&text[done..span.start]);
            out.push_str(MASK);
            let secret = &text[span.clone()];
            if learnt(secret) {
                learn(secret);
            }
            done = span.end;
        }
    }
    if done == 0 {
        return None;
    }
    out.push_str(&text[done..]);
    Some(out)
}

/// Whether the value is one to look for elsewhere: a name of a layer, a protocol or a digest is not, and behind a bare
/// `key` nothing is.
pub fn is_learnt(name: &str, value: &str) -> bool {
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.eq_ignore_ascii_case("key") || is_path_of_names(value) {
        return false;
    }
    !is_weak(name) || !value.contains(['.', '/']) && !value.bytes().all(|b| b.is_ascii_hexdigit())
}
