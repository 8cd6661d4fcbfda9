//! What `redact` writes in the place of names and addresses: no secret, and explained to readers.

use regex::Regex;
use std::sync::LazyLock;

/// What a UUID ends with that stands for another.
pub const NO_MORE: &str = "-0000-0000-0000-000000000000";
const TOKEN: &str = r"(?:(?:host|user|ip|mac|pod|serial|machine)-[0-9a-f]{6}|ctr-[0-9a-f]{8})";

/// Whether the whole text stands for a name or an address.
pub fn is_stand_in(text: &str) -> bool {
    static WHOLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(&format!("^{TOKEN}$")).expect("a fixed pattern"));
    WHOLE.is_match(text) || text.ends_with(NO_MORE)
}

/// Whether something in the text does.
pub fn has_stand_in(text: &str) -> bool {
    static ANY: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(&format!(r"\b{TOKEN}\b|{NO_MORE}")).expect("a fixed pattern"));
    ANY.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_from_names() {
        for text in ["host-3f2a9c", "ctr-0ea7d9cd", "GPU-0c1d2e3f-0000-0000-0000-000000000000"] {
            assert!(is_stand_in(text) && has_stand_in(&format!("on {text}: 1")), "{text}");
        }
        for text in ["host-3f2a9", "host-3f2a9cd", "my-host", "ctr-0ea7d9", "localhost-3f2a9c0"] {
            assert!(!is_stand_in(text) && !has_stand_in(&format!("on {text}: 1")), "{text}");
        }
    }
}
