//! Whether what stands behind a secret's name is one, and not a word about it.

use super::MASK;
use super::names::is_weak;
use super::stand_in::is_stand_in;
use regex::Regex;
use std::sync::LazyLock;

/// What is said of secrets, and no secret.
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
    "incorrect",
    "wrong",
    "expired",
    "rejected",
    "or",
    "and",
    "with",
    "to",
    "in",
    "for",
    "if",
];

/// A variable of a shell that holds it: `$HF_TOKEN`, `${HF_TOKEN}`, `$(cat file)`; `$ecr3t` is none.
static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\$(?:[A-Z_][A-Z0-9_]*$|[a-z_]+$|[0-9*@#?]$|\{|\()").expect("a valid pattern"));

/// Whether the word says something of a secret.
pub fn is_said(word: &str) -> bool {
    WORDS.contains(&word.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_ascii_lowercase().as_str())
}

/// Whether it is no secret but the variable of a shell that holds one.
pub fn is_variable(value: &str) -> bool {
    VARIABLE.is_match(value)
}

/// `encoder.layer.0.attention`
pub fn is_path_of_names(value: &str) -> bool {
    let name = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    value.matches('.').count() >= 2 && value.split('.').all(|part| !part.is_empty() && name(part))
}

/// Whether no person speaks like that: digits and letters, of this length at least.
pub fn is_made(value: &str, shortest: usize) -> bool {
    let digit = value.bytes().any(|b| b.is_ascii_digit());
    let letter = value.bytes().any(|b| b.is_ascii_alphabetic());
    value.len() >= shortest && digit && letter
}

/// Whether a value may be looked for elsewhere whatever it is called: one word such as only machines make.
pub fn is_random(value: &str) -> bool {
    is_made(value, 12) && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'='))
}

/// Whether what stands behind a secret's name is one, and not a word about it, a variable that holds it, or a number.
pub fn is_secret(name: &str, value: &str, by_sign: bool, quoted_name: bool) -> bool {
    let value = value.trim();
    let plain = value.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_ascii_lowercase();
    let begins = |with: &[&str]| with.iter().any(|text| value.starts_with(text));
    if value.contains(MASK) && value.len() < 24
        || WORDS.contains(&plain.as_str())
        || begins(&["{", "[", "<", "%s", "os.environ", "os.getenv", "process.env", "Optional[", "Union["])
        || is_variable(value)
        || is_stand_in(value)
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
    let strong = is_made(value, 8) || value.len() >= 20;
    let is_key = name.trim_matches(|c: char| !c.is_ascii_alphanumeric()).eq_ignore_ascii_case("key");
    strong || by_sign && !is_key && value.len() >= 6 || quoted_name && !is_key && !is_token
}
