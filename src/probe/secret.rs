//! Which names stand for secrets, and what is shown in place of one.

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// Last words of the names of secrets.
const WORDS: &[&str] = &[
    "key",
    "token",
    "secret",
    "secrets",
    "password",
    "passwd",
    "passphrase",
    "auth",
    "authorization",
    "credential",
    "credentials",
    "cookie",
    "sig",
    "signature",
];

/// Whether a flag or variable of this name holds a secret: `--api-key`, `HF_TOKEN`, but neither `--tokenizer` nor
/// `--max-tokens`.
pub fn is_in_flag(name: &str) -> bool {
    let name = name.trim_start_matches('-');
    // Variables are judged more strictly than flags: their names are free.
    let variable = name.chars().any(|c| c.is_ascii_uppercase()) && !name.chars().any(|c| c.is_ascii_lowercase());
    if variable && ["KEY", "TOKEN", "SECRET", "PASSWORD"].iter().any(|part| name.contains(part)) {
        return true;
    }
    let lower = name.to_ascii_lowercase();
    let plural = ["api-keys", "api_keys", "auth-tokens", "auth_tokens", "access-tokens", "access_tokens"];
    plural.contains(&lower.as_str())
        || lower.split(|c: char| !c.is_alphanumeric()).any(|part| WORDS.iter().any(|end| part.ends_with(end)))
}

/// Whether a field or header of this name holds a secret: `api_key`, `accessToken`, but not `token_count`.
pub fn is_in_field(name: &str) -> bool {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && words.ends_with(|c: char| c.is_ascii_lowercase()) {
            words.push('_');
        }
        words.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    let last = words.rsplit('_').next().unwrap_or_default();
    WORDS.contains(&last) || last.ends_with("apikey")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_are_read_in_any_case() {
        for name in ["key", "api_key", "X-Api-Key", "accessToken", "clientSecret", "APIKey", "myapikey", "Set-Cookie"] {
            assert!(is_in_field(name), "{name}");
        }
        for name in ["tokenizer", "token_count", "max_tokens", "maxTokens", "keyboard", "text", ""] {
            assert!(!is_in_field(name), "{name}");
        }
    }

    #[test]
    fn names_of_flags_are_judged_by_their_parts() {
        for name in ["--api-key", "HF_TOKEN", "--authToken", "--authorization", "--session-cookie", "--key-file-secret"]
        {
            assert!(is_in_flag(name), "{name}");
        }
        for name in ["--tokenizer", "--max-tokens", "--config", "--port"] {
            assert!(!is_in_flag(name), "{name}");
        }
    }
}
