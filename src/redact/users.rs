//! Names of users: in the paths of their folders, where a word beside them says so, in mail addresses.

use super::public::{is_public, is_word};
use super::qualified::begins_as_code;
use super::token::Kind;
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// What begins such a place, small.
pub const TRIGGERS: &[&str] =
    &["user", "logname", "login", "uid=", "sudo", "/home", "publickey for", "password for", "@"];

/// Users that every machine has, and those that images come with.
const SYSTEM: &[&str] = &[
    "nobody",
    "daemon",
    "bin",
    "sys",
    "www-data",
    "ec2-user",
    "triton-server",
    "systemd",
    "dbus",
    "messagebus",
    "sshd",
    "git",
    "noreply",
    "no-reply",
    "info",
    "support",
    "admin",
    "administrator",
    "guest",
    "default",
    "postgres",
    "mysql",
    "redis",
    "nginx",
    "mambauser",
    "jovyan",
    "appuser",
    "somebody",
    "anonymous",
    "unset",
    "system",
    "uid",
    "gid",
    "name",
    "nonroot",
    "foo",
    "bar",
    "me",
    "you",
    "the",
    "and",
    "defined",
    "input",
    "agent",
    "request",
    "requests",
    "space",
    "code",
    "data",
    "error",
    "mode",
    "interface",
    "id",
    "account",
    "namespace",
    "limit",
    "settings",
    "session",
    "string",
    "str",
    "int",
    "any",
    "not",
    "invalid",
    "required",
    "missing",
    "assistant",
    "message",
    "messages",
    "content",
    "prompt",
    "password",
];

static FOLDER: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"(/home|/Users|\\(?i:users))[/\\]+([^/\\\s:"'<>|;,()\[\]{}$*`=&?#]+)"#));
static SAID: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        // `USER=anna`, `"username": "anna"`, `auid=anna`
        r"(?i)(?:((?:user(?:[_-]?name)?|logname|login|[ae]?uid))(?:=|[\x22'\\]+\s?[:=]\s?|[:=]\s?[\x22'\\]+)[\x22'\\]*",
        // `uid=1000(anna) gid=1000(anna)`
        r"|\b[ug]id=[0-9]+\(",
        // What ssh, sudo and PAM write.
        r"|\b(?:session (?:opened|closed) for user|(?:password|publickey) for(?: invalid user| user)?|user name|username:|login:) [\x22']?",
        r"|\b((?:for|of|by|as|invalid|unknown) user) [\x22']?",
        r"|\bsudo(?:\[[0-9]+\])?: +)",
        r"([A-Za-z_][A-Za-z0-9._-]*)"
    ))
});
static MAIL: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)([a-z0-9._%+-]*[a-z0-9_%+])@((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,10})\b"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

/// Whether this user tells of nobody.
pub fn is_nobody(name: &str) -> bool {
    name.len() < 2 || is_word(name) || is_public(name) || SYSTEM.contains(&name.to_ascii_lowercase().as_str())
}

/// Where words beside it say that a user's name stands.
pub fn said(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for one in SAID.captures_iter(text) {
        let (Some(whole), Some(value)) = (one.get(0), one.get(3)) else { continue };
        let range = value.start()..value.start() + value.as_str().trim_end_matches(['.', '-']).len();
        let (name, rest) = (&text[range.clone()], &text[range.end..]);
        let before = text[..whole.start()].bytes().next_back();
        let beginning = &text[whole.start()..value.start()];
        let key = one.get(1).is_some();
        // `superuser=x`; `DB_USER=x` is one.
        let inside = before.is_some_and(|b| b.is_ascii_alphanumeric() || b >= 0x80 || matches!(b, b'.' | b'$' | b'{'));
        let joined =
            rest.starts_with(['(', '[', '{', '%', '$', '=', '*', '/', '@', '+', ':']) && !rest.starts_with("(uid");
        let wide = rest.starts_with(|c: char| !c.is_ascii());
        let ends = rest.is_empty()
            || rest.starts_with(['"', '\'', '\n', ',', ';', '.', ')', ':'])
            || [" from ", " on ", " by ", "(uid"].iter().any(|next| rest.starts_with(next));
        let plain = match (key, one.get(2).is_some(), beginning.to_ascii_lowercase().starts_with("sudo")) {
            (true, ..) => !joined || rest.starts_with('/') && beginning.starts_with("USER"),
            (_, true, _) => ends,
            (_, _, true) => rest.starts_with(" : "),
            _ if beginning.contains("name") || beginning.starts_with("login") => ends,
            _ => !rest.starts_with(['[', '{', '%', '$', '=', '*', '/']),
        };
        if !inside && !wide && plain && !is_nobody(name) && !begins_as_code(name) {
            found.push(range);
        }
    }
    found
}

/// Mail addresses, and logins on machines: the user, and the domain.
pub fn mails(text: &str) -> Vec<(Kind, Range<usize>)> {
    let mut found = Vec::new();
    for one in MAIL.captures_iter(if text.contains('@') { text } else { "" }) {
        let (Some(user), Some(domain)) = (one.get(1), one.get(2)) else { continue };
        // `user@1000.service` is a unit of systemd.
        let end = domain.as_str().rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        if matches!(end.as_str(), "service" | "slice" | "socket" | "mount" | "scope" | "timer" | "target") {
            continue;
        }
        let lead = user.as_str().len() - user.as_str().trim_start_matches(['.', '-', '%', '+']).len();
        if !is_nobody(user.as_str()) {
            found.push((Kind::User, user.start() + lead..user.end()));
        }
        if !is_public(domain.as_str()) {
            found.push((Kind::Host, domain.range()));
        }
    }
    found
}

/// Where names of users stand in paths of their folders; with each whether it is known as a folder only.
pub fn folders(text: &str, found: &mut dyn FnMut(Range<usize>, bool)) {
    let bytes = text.as_bytes();
    // `https://h/home/page` is a page: whether the word up to here is a URL, and up to where it was looked at.
    let (mut url, mut seen) = (false, 0);
    for user in FOLDER.captures_iter(text) {
        let (Some(folder), Some(name)) = (user.get(1), user.get(2)) else { continue };
        let start = folder.start();
        for at in seen..start {
            match bytes[at] {
                b' ' | b'\t'..=b'\r' | b'"' | b'\'' => url = false,
                b':' if bytes[at..].starts_with(b"://") => url = true,
                _ => {}
            }
        }
        seen = start;
        let before = &bytes[..start];
        let page = url && !before.ends_with(b"file://");
        let request = [&b"GET "[..], b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"HEAD ", b"OPTIONS "]
            .iter()
            .any(|method| before.ends_with(method));
        let of_mac = folder.as_str().starts_with("/U");
        let inside = of_mac
            && before
                .last()
                .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'}' | b'>'));
        if !page && !request && !inside && name.as_str().trim_matches('.').len() > 1 {
            found(name.range(), folder.as_str() != "/home");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_beside_a_user_say_so_and_others_are_words() {
        for (text, name) in [
            ("USER=anna LANG=C", "anna"),
            ("LOGNAME=anna", "anna"),
            ("SUDO_USER=anna", "anna"),
            ("USERNAME=anna", "anna"),
            ("{\"username\": \"anna\"}", "anna"),
            ("type=USER_LOGIN auid=anna ses=3", "anna"),
            ("uid=1000(anna) gid=1000(anna) groups=1000(anna),27(sudo)", "anna"),
            ("pam_unix(sshd:session): session opened for user anna(uid=1000) by (uid=0)", "anna"),
            ("password authentication failed for user \"anna\"", "anna"),
            ("permission denied for user anna", "anna"),
            ("Accepted publickey for anna from 10.2.3.4 port 22", "anna"),
            ("sudo:     anna : TTY=pts/0 ; PWD=/", "anna"),
        ] {
            let found: Vec<&str> = said(text).into_iter().map(|range| &text[range]).collect();
            assert!(!found.is_empty() && found.iter().all(|one| *one == name), "{found:?} in {text}");
        }
        for text in [
            "USER=root uid=0(root) user=None user=request.user USER=$USER user=1000 auid=4294967295",
            "waiting for user input; by user request; out of user space; for user defined ops; \"role\": \"user\"",
            "User: hello there; superuser=anna; user=get_user() for user messages",
        ] {
            let found: Vec<&str> = said(text).into_iter().map(|range| &text[range]).collect();
            assert!(found.is_empty(), "{found:?} in {text}");
        }
        assert_eq!(mails("mail anna.schmidt@acme.de, git@github.com, user@1000.service").len(), 2);
    }
}
