//! Which names stand for secrets.

use std::borrow::Cow;

/// Last words of the names of secrets.
const WORDS: &[&str] = &[
    "key",
    "token",
    "secret",
    "secrets",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "pass",
    "auth",
    "authorization",
    "credential",
    "credentials",
    "cookie",
    "sig",
    "signature",
    "dsn",
    "webhook",
    "jwt",
    "otp",
    "pw",
];
/// Names that hold one although they end otherwise.
const WHOLE: &[&str] = &[
    "private_key_id",
    "access_key_id",
    "connection_string",
    "conn_str",
    "webhook_url",
    "session_id",
    "sessionid",
    "jsessionid",
    "phpsessid",
    "csrftoken",
    "api_keys",
    "auth_tokens",
    "access_tokens",
];
/// Ends of names that are written as one word.
const ENDS: &[&str] = &[
    "apikey",
    "secretkey",
    "accesskey",
    "authkey",
    "authtoken",
    "accesstoken",
    "password",
    "sessionid",
    "requirepass",
    "masterauth",
    "sshpass",
    "passwort",
    "kennwort",
];
/// Words before `token`, `key` and `pass` that make another thing of it: a piece of text, an entry of a table.
const OF_TEXTS: &[&str] = &[
    "eos",
    "bos",
    "pad",
    "unk",
    "sep",
    "cls",
    "mask",
    "stop",
    "start",
    "end",
    "special",
    "image",
    "audio",
    "video",
    "first",
    "next",
    "last",
    "per",
    "input",
    "output",
    "prompt",
    "completion",
    "unexpected",
    "unknown",
    "invalid",
    "missing",
    "new",
    "blank",
    "decoder",
    "language",
    "primary",
    "foreign",
    "sort",
    "cache",
    "public",
    "partition",
    "dict",
    "hot",
    "state",
    "weight",
    "map",
    "json",
    "field",
    "group",
    "index",
    "object",
    "metadata",
    "attention",
    "query",
    "forward",
    "backward",
    "second",
    "single",
    "multi",
    "warmup",
];
/// Words that only end like one.
const NO_PASS: &[&str] = &["bypass", "compass", "multipass"];

/// Words before a `key` or `token` that stands by itself, as in `cache key: 9f86d081884c`. `invalid token:` is not among
/// them: a secret may follow.
const BEFORE_KEY: &[&str] = &[
    "missing",
    "unexpected",
    "cache",
    "primary",
    "foreign",
    "sort",
    "partition",
    "dict",
    "state",
    "map",
    "json",
    "group",
    "index",
    "object",
    "metadata",
    "query",
    "public",
    "weight",
    "field",
    "hash",
    "lookup",
    "attention",
    "decoder",
    "encoder",
    "eos",
    "bos",
    "pad",
    "unk",
    "sep",
    "cls",
    "mask",
    "special",
    "blank",
];

/// Whether a word before it makes another thing of this name.
pub fn is_second_word(before: &str, name: &str) -> bool {
    let Some(before) = before.strip_suffix(' ') else { return false };
    let word = before.trim_end_matches(' ').rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    matches!(name.to_ascii_lowercase().as_str(), "key" | "keys" | "token")
        && BEFORE_KEY.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Words that say of the `key` or `token` behind them that it is secret.
const OF_SECRETS: &[&str] = &[
    "api",
    "access",
    "secret",
    "auth",
    "bearer",
    "private",
    "session",
    "refresh",
    "license",
    "subscription",
    "account",
    "personal",
];

/// What a `key` or `token` is called with the word before it: `api_key`; otherwise the name as it is.
pub fn called<'a>(before: &str, name: &'a str) -> Cow<'a, str> {
    let word = before.strip_suffix(' ').and_then(|before| before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next());
    let small = name.to_ascii_lowercase();
    match word.map(str::to_ascii_lowercase) {
        Some(word) if matches!(small.as_str(), "key" | "token") && OF_SECRETS.contains(&word.as_str()) => {
            format!("{word}_{small}").into()
        }
        _ => name.into(),
    }
}

/// The name in small letters, its words set apart by `_`.
fn in_words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && words.ends_with(|c: char| c.is_ascii_lowercase()) {
            words.push('_');
        }
        words.push(if c == '-' || c == '.' { '_' } else { c.to_ascii_lowercase() });
    }
    words
}

/// Whether a flag or variable of this name holds a secret: `--api-key`, `HF_TOKEN`, but neither `--tokenizer` nor
/// `--max-tokens`.
pub fn is_in_flag(name: &str) -> bool {
    let name = name.trim_start_matches('-');
    // Variables are judged more strictly than flags: their names are free.
    let variable = name.chars().any(|c| c.is_ascii_uppercase()) && !name.chars().any(|c| c.is_ascii_lowercase());
    if variable {
        let ends = ["KEY", "TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASS", "CREDENTIALS", "AUTH", "KEYS"];
        let begins = ["SECRET", "PASSWORD", "APIKEY"];
        return is_in_field(name)
            || name.split('_').any(|part| {
                // What is said of tokens of text (`MAX_TOKENS`, `TOKENIZERS_PARALLELISM`) is no secret.
                ends.iter().any(|end| part.ends_with(end)) || begins.iter().any(|begin| part.starts_with(begin))
            });
    }
    let lower = in_words(name);
    let words = lower.split(|c: char| !c.is_alphanumeric());
    WHOLE.contains(&lower.as_str())
        || !is_of_texts(&lower)
            && words.clone().any(|part| !NO_PASS.contains(&part) && WORDS.iter().any(|end| part.ends_with(end)))
}

/// Whether a field or header of this name holds a secret: `api_key`, `accessToken`, but neither `token_count` nor
/// `eos_token`.
pub fn is_in_field(name: &str) -> bool {
    if !(2..=80).contains(&name.len()) {
        return false;
    }
    let words = in_words(name);
    let words = words.trim_matches('_');
    let last = words.rsplit('_').next().unwrap_or_default();
    // The folder that a shell is in.
    let folder = words == "pwd" || words == "oldpwd";
    !folder
        && !is_of_texts(words)
        && (WORDS.contains(&last)
            || WHOLE.iter().any(|whole| words.ends_with(whole))
            || ENDS.iter().any(|end| last.ends_with(end)))
}

fn is_of_texts(words: &str) -> bool {
    let mut from_last = words.rsplit('_');
    matches!(from_last.next(), Some("token" | "key" | "pass"))
        && from_last.next().is_some_and(|before| OF_TEXTS.contains(&before))
}

/// Whether the name says of itself no more than `key` or `token`, which stand for other things as often.
pub fn is_weak(name: &str) -> bool {
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    [
        "key",
        "token",
        "pass",
        "pw",
        "otp",
        "auth",
        "sig",
        "signature",
        "cookie",
        "credential",
        "credentials",
        "webhook",
        "dsn",
    ]
    .iter()
    .any(|weak| name.eq_ignore_ascii_case(weak))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_are_read_in_any_case() {
        for name in ["key", "api_key", "X-Api-Key", "accessToken", "clientSecret", "APIKey", "myapikey", "Set-Cookie"] {
            assert!(is_in_field(name), "{name}");
        }
        for name in [
            "tokenizer",
            "token_count",
            "max_tokens",
            "maxTokens",
            "keyboard",
            "text",
            "",
            "eos_token",
            "pwd",
            "sort_key",
        ] {
            assert!(!is_in_field(name), "{name}");
        }
    }

    #[test]
    fn names_of_flags_are_judged_by_their_parts() {
        for name in ["--api-key", "HF_TOKEN", "--authToken", "--authorization", "--session-cookie", "--key-file-secret"]
        {
            assert!(is_in_flag(name), "{name}");
        }
        for name in ["--tokenizer", "--max-tokens", "--config", "--port", "TOKENIZERS_PARALLELISM", "MAX_TOKENS", "PWD"]
        {
            assert!(!is_in_flag(name), "{name}");
        }
    }
}
