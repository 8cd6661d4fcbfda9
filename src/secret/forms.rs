//! Secrets that their form gives away, whatever stands around them.

use super::{MASK, header_is_plain};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::{Captures, Regex, Replacer};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Texts without which no form fits, in any case.
pub const TRIGGERS: &[&str] = &[
    "hf_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "sk-",
    "sk_live_",
    "rk_live_",
    "sk_test_",
    "xox",
    "xapp-",
    "aiza",
    "glpat-",
    "gldt-",
    "npm_",
    "pypi-",
    "nvapi-",
    "akia",
    "asia",
    "eyj",
    "ya29.",
    "gsk_",
    "r8_",
    "dckr_pat_",
    "dop_v1_",
    "sg.",
    "hvs.",
    "gocspx-",
    "tskey-",
    "age-secret",
    "hooks.slack",
    "discord",
    "webhook.office",
    "bot",
];

/// What the makers of tokens put in front of them, so that they are found.
static FORM: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"\b(?:hf_[A-Za-z0-9]{10,}|gh[pousr]_[A-Za-z0-9]{10,}|github_pat_[A-Za-z0-9_]{16,}|sk-[A-Za-z0-9_-]{10,}",
        r"|[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|xox[abeoprs]-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{30,}",
        r"|gl(?:pat|dt)-[A-Za-z0-9_-]{10,}|npm_[A-Za-z0-9]{16,}|pypi-[A-Za-z0-9_-]{24,}|nvapi-[A-Za-z0-9_-]{10,}",
        r"|(?:AKIA|ASIA)[A-Z0-9]{10,}|eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){1,4}\.?|ya29\.[A-Za-z0-9_-]{16,}",
        r"|gsk_[A-Za-z0-9]{16,}|r8_[A-Za-z0-9]{20,}|dckr_pat_[A-Za-z0-9_-]{10,}|dop_v1_[a-f0-9]{16,}",
        r"|SG\.[A-Za-z0-9_-]{12,}\.[A-Za-z0-9_-]{12,}|hvs\.[A-Za-z0-9_-]{16,}|GOCSPX-[A-Za-z0-9_-]{16,}|tskey-[A-Za-z0-9-]{12,}",
        r"|AGE-SECRET-KEY-1[A-Za-z0-9]{20,}",
        r"|[0-9]{8,10}:AA[A-Za-z0-9_-]{30,})",
    ))
});
/// Addresses that are themselves the secret.
static WEBHOOK: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?i)(hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/",
        r"|webhook\.office\.com/webhookb2/|api\.telegram\.org/bot)([A-Za-z0-9_:%@./-]{8,})",
    ))
});
static SCHEME: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)\b((bearer|basic|negotiate|ntlm)(?:\s{1,3}|%20|\+))([A-Za-z0-9_.~+/=-]{4,})"));
/// A ticket of Kerberos or NTLM is longer than any word, characters.
const TICKET_MIN: usize = 40;
static USER: LazyLock<Regex> = LazyLock::new(|| regex(r#"([A-Za-z][A-Za-z0-9+.-]*://)([^\s/?#"'<>]+)@"#));
/// A user and a password that holds what ends a URL's other parts, where nothing is escaped.
static ODD_USER: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"(([A-Za-z][A-Za-z0-9+.-]*)://)([^\s/?#:@"'<>]*:([^\s"'<>@]*[/?#][^\s"'<>@]*))@"#));
/// What is written where a URL may have its port.
static PORT: LazyLock<Regex> = LazyLock::new(|| regex(r"^[0-9]{0,5}[/?#]"));
/// Headers and cookies on a command line, in quotes or as a word.
static HEADER: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r#"((?:^|\s)(?:-H|--header)[ =]?)(?:('|")([A-Za-z0-9_-]{1,64})(:\s*)([^'"\n\\]+)|([A-Za-z0-9_-]{1,64})(:)([^\s'"]+))"#,
        r#"|((?:^|\s)(?:-b|--cookie)[ =]?['"]?)([^\s'"=]+=[^'"\n]+['"]|[^\s'"=]+=\S+)"#,
    ))
});
/// The user and password that curl is given, and the password of sshpass and of a netrc line.
static GIVEN: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r#"(curl\b[^\n]*?\s(?:-u|--user|-U|--proxy-user)[ =]?['"]?)([A-Za-z0-9_.@-]{1,64}:[^\s'"]{1,200})"#,
        r"|(\bsshpass\s+-p\s*)(\S+)|(\blogin\s+\S{1,80}\s+password\s+)(\S+)",
        r"|((?:mysql|mariadb)\w*\b[^\n]*?\s-p)(\S+)|(\b(?:redis-cli|docker login)\b[^\n]*?\s-[ap]\s*)(\S+)",
        r"|(--from-literal[ =]['\x22]?[\w.-]{1,64}=)([^\s'\x22]+)|(\bwandb login\s+(?:--\S+\s+)*)([A-Za-z0-9]{20,})",
    ))
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

/// Masks tokens of known makes and webhooks.
pub fn tokens<'a>(text: Cow<'a, str>, learn: &mut dyn FnMut(&str)) -> Cow<'a, str> {
    let text = replaced(text, &FORM, |found: &Captures, out: &mut String| {
        let token = &found[0];
        // `sk-learn-contrib-...` is a name; makers' tokens hold digits or both cases.
        let made =
            token.bytes().any(|b| b.is_ascii_digit()) || !token.starts_with("sk-") && !token.starts_with("pypi-");
        out.push_str(if made { MASK } else { token });
        if made {
            learn(token);
        }
    });
    replaced(text, &WEBHOOK, |found: &Captures, out: &mut String| {
        learn(&found[2]);
        out.push_str(&found[1]);
        out.push_str(MASK);
    })
}

/// Masks what stands behind the name of a scheme of authorization.
pub fn schemes<'a>(text: Cow<'a, str>, learn: &mut dyn FnMut(&str)) -> Cow<'a, str> {
    replaced(text, &SCHEME, |found: &Captures, out: &mut String| {
        let value = &found[3];
        let secret = match found[2].to_ascii_lowercase().as_str() {
            "basic" => is_user_and_password(value),
            // "negotiate HTTP/1.1"; behind `authorization` the name of the header masks what is shorter.
            "negotiate" | "ntlm" => value.len() >= TICKET_MIN,
            // "Bearer authentication is required" names the scheme.
            _ => {
                let prose = value.trim_end_matches('.').bytes().all(|b| b.is_ascii_lowercase()) && value.len() < 16;
                !prose && value != "realm=" && !value.starts_with("HTTP/")
            }
        };
        out.push_str(&found[1]);
        out.push_str(if secret { MASK } else { value });
        if secret {
            learn(value);
        }
    })
}

/// Whether it is base64 (of either alphabet) of a text with a colon, as RFC 7617 asks.
fn is_user_and_password(value: &str) -> bool {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let value = value.trim_end_matches('.').replace('-', "+").replace('_', "/");
    GeneralPurpose::new(&STANDARD, config)
        .decode(value)
        .is_ok_and(|text| text.contains(&b':') && text.iter().all(|b| *b >= b' '))
}

/// Masks users and passwords in URLs.
pub fn users<'a>(text: Cow<'a, str>, learn: &mut dyn FnMut(&str)) -> Cow<'a, str> {
    let text = replaced(text, &ODD_USER, |found: &Captures, out: &mut String| {
        let web = ["http", "https", "ws", "wss"].iter().any(|scheme| found[2].eq_ignore_ascii_case(scheme));
        out.push_str(&found[1]);
        if web && PORT.is_match(&found[4]) {
            out.push_str(&found[3]);
        } else {
            learn(&found[4]);
            out.push_str(MASK);
        }
        out.push('@');
    });
    replaced(text, &USER, |found: &Captures, out: &mut String| {
        if let Some((_, password)) = found[2].split_once(':') {
            learn(password);
        }
        out.push_str(&found[1]);
        out.push_str(MASK);
        out.push('@');
    })
}

/// Masks what programs are given as user and password.
pub fn given<'a>(text: Cow<'a, str>, learn: &mut dyn FnMut(&str)) -> Cow<'a, str> {
    let text = replaced(text, &HEADER, |found: &Captures, out: &mut String| {
        let part = |number: usize| found.get(number).map_or("", |part| part.as_str());
        let (name, value) = (format!("{}{}", part(3), part(6)), [part(5), part(8), part(10)].concat());
        let closing = &value[value.trim_end_matches(['"', '\'']).len()..];
        out.extend([part(1), part(2), part(3), part(4), part(6), part(7), part(9)]);
        if header_is_plain(&name) {
            out.push_str(&value);
        } else {
            learn(value.split_once('=').map_or(value.as_str(), |(_, value)| value));
            out.extend([MASK, closing]);
        }
    });
    replaced(text, &GIVEN, |found: &Captures, out: &mut String| {
        for (before, value) in [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14)] {
            if let (Some(before), Some(value)) = (found.get(before), found.get(value)) {
                learn(value.as_str().split_once(':').map_or(value.as_str(), |(_, password)| password));
                out.push_str(before.as_str());
                out.push_str(MASK);
            }
        }
    })
}

fn replaced<'a>(text: Cow<'a, str>, pattern: &Regex, with: impl FnMut(&Captures, &mut String)) -> Cow<'a, str> {
    struct With<F>(F);
    impl<F: FnMut(&Captures, &mut String)> Replacer for With<F> {
        fn replace_append(&mut self, found: &Captures<'_>, out: &mut String) {
            (self.0)(found, out);
        }
    }
    let changed = match pattern.replace_all(&text, With(with)) {
        Cow::Borrowed(_) => None,
        Cow::Owned(changed) => Some(changed),
    };
    changed.map_or(text, Cow::Owned)
}
