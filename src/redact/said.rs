//! Names of machines that the words beside them say: `hostname=gpu17`, `Connected to gpu17 (10.2.3.4)`, `gpu17: Name or
//! service not known`.

use super::addresses;
use super::public::{is_device, is_public, is_telling, is_word};
use super::qualified::{begins_as_code, is_qualified};
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// What begins or stands in every such sentence, small: texts without one of these are not looked into.
pub const TRIGGERS: &[&str] = &[
    "host",
    "node",
    "master",
    "connect",
    "resolv",
    "lookup",
    "enotfound",
    "eai_again",
    "not known",
    "resolution",
    "assigned",
    "machine",
    "fqdn",
    "computer",
    "ssh ",
    "ping ",
];

/// Words that stand behind `host` and are no names.
const COMMON: &[&str] = &[
    "the",
    "and",
    "not",
    "must",
    "should",
    "may",
    "was",
    "has",
    "are",
    "for",
    "any",
    "all",
    "both",
    "same",
    "other",
    "yes",
    "off",
    "auto",
    "memory",
    "pinned",
    "header",
    "headers",
    "error",
    "errors",
    "failed",
    "invalid",
    "missing",
    "unreachable",
    "unavailable",
    "down",
    "ready",
    "refused",
    "allocated",
    "disabled",
    "enabled",
    "required",
    "optional",
    "string",
    "str",
    "int",
    "bool",
    "float",
    "bytes",
    "field",
    "empty",
    "any",
    "value",
    "name",
    "address",
    "addr",
    "port",
    "gaierror",
    "failure",
    "warning",
    "info",
    "debug",
    "localhost4",
    "localhost6",
    "ingress",
    "bridge",
    "overlay",
    "driver",
    "network",
];

static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?i)(host(?:[_-]?name)?|node(?:[_-]?name)?|master[_-]addr(?:ess)?|machine[_-]?name|computer[_-]?name|fqdn)",
        r"(?:[\x22'\]\\]*\s?([:=])\s?[\x22'\\\[]*|([ \x22'\\,]+))([A-Za-z0-9][A-Za-z0-9.-]*)"
    ))
});
static SENTENCE: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?i)(?:\b(?:connect(?:ed|ing|ions?)?|route|reconnect(?:ed|ing)?|ssh|ping) to (?:host |server )?",
        r"|\b(resolve|resolving|translate|unknown|lookup|find|reach|contact)(?: the)?(?: address for)? (?:(?:host|node)(?:[ _-]?name)?:? ?)?",
        r"|\b(?:to|on|from|at|remote|unknown|unreachable) (?:host|node|machine)(?: ?name)?:? ",
        r"|\bhost ?name |UnknownHostException: |\bENOTFOUND |\bEAI_AGAIN ",
        r"|\bassigned [!-~]{1,200} to |\b(?:ssh|ping|nslookup|dig): (?:connect to host )?)",
        r"[\x22'(\\]*([A-Za-z0-9][A-Za-z0-9.-]*)"
    ))
});
static UNRESOLVED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)([A-Za-z0-9][A-Za-z0-9.-]*)(?::[0-9]{1,5})?[\x22')\\]*:? ?:? ?(?:\[Errno -?[0-9]+\] )?(?:Name or service not known|Temporary failure in name resolution|nodename nor servname|no such host|Name does not resolve)",
    )
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

/// Where such names stand. In texts about a model a node is one of its graph.
pub fn each(text: &str, of_model: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(one) = ASSIGNED.captures_at(text, from) {
        let (Some(key), Some(value)) = (one.get(1), one.get(4)) else { break };
        let end = value.start() + trimmed(value.as_str());
        let range = value.start()..end;
        let accepted = assigned(text, key.range(), one.get(2).map(|sign| sign.as_str()), range.clone(), of_model);
        from = if accepted { value.end() } else { value.start() };
        if accepted {
            found.push(range);
        }
    }
    for one in SENTENCE.captures_iter(text) {
        let (Some(whole), Some(value)) = (one.get(0), one.get(2)) else { continue };
        let range = value.start()..value.start() + trimmed(value.as_str());
        let said = &text[whole.start()..value.start()];
        let lower = said.to_ascii_lowercase();
        let quoted = said.ends_with(['"', '\'']);
        let of_host = lower.contains("host") || lower.contains("enotfound") || lower.contains("eai_again");
        // `find module-2` is no search for a machine.
        let vague = one.get(1).is_some() && !of_host && !(quoted && lower.starts_with("resolve"));
        let rest = &text[range.end..];
        let telling =
            rest.starts_with(" port ") || rest.starts_with(" (") && rest[2..].starts_with(|c: char| c.is_ascii_digit());
        let ends = rest.is_empty() || rest.starts_with(['"', '\'', ':', '\n', ',', ')', '.', ';']);
        let letters = telling || of_host && (quoted || ends);
        if is_name_in(text, &range, letters, false)
            && (!vague
                || text[range.clone()].contains('.')
                || lower.starts_with("lookup") && rest.starts_with([' ', ':']))
        {
            found.push(range);
        }
    }
    for one in UNRESOLVED.captures_iter(text) {
        if let Some(value) = one.get(1).filter(|value| is_name_in(text, &value.range(), false, false)) {
            found.push(value.range());
        }
    }
    found
}

fn trimmed(name: &str) -> usize {
    name.trim_end_matches(['.', '-']).len()
}

/// Whether what is said to be under this key is a machine's name.
fn assigned(text: &str, key: Range<usize>, sign: Option<&str>, value: Range<usize>, of_model: bool) -> bool {
    let bytes = text.as_bytes();
    let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let prefix = bytes[..key.start].iter().rev().take(40).take_while(|b| word(b)).count();
    let prefix = &text[key.start - prefix..key.start];
    // `localhost: x`, `ghost=y`.
    if !prefix.is_empty() && !prefix.ends_with(['-', '_']) {
        return false;
    }
    let flag = prefix.starts_with("--") || prefix == "-";
    let between = &text[key.end..value.start];
    let quoted = between.ends_with(['"', '\'']);
    let (of_node, named) = (text[key.clone()].to_ascii_lowercase().starts_with("node"), key.len() > 4);
    match sign {
        None if !flag => return quoted && named && between.starts_with(' ') && is_name_in(text, &value, true, true),
        // What a graph calls its nodes.
        Some(":") if of_node && !named => return false,
        _ if of_node && (of_model || !is_even(&text[value.clone()])) => return false,
        _ => {}
    }
    let rest = &text[value.end..];
    let ends = rest.is_empty() || rest.starts_with(['"', '\'', '\n', ',', ';', '}', ')', ']', '\\']);
    let port = rest.starts_with(':') && rest[1..].starts_with(|c: char| c.is_ascii_digit());
    let letters = !of_node && (ends || port || (flag || sign == Some("=")) && rest.starts_with([' ', '\t', '&', '|']));
    let sure = !of_node && (named || flag || sign == Some("="));
    is_name_in(text, &value, letters, sure)
}

/// All letters small, or all large.
fn is_even(name: &str) -> bool {
    !(name.bytes().any(|b| b.is_ascii_uppercase()) && name.bytes().any(|b| b.is_ascii_lowercase()))
}

/// Whether a word that can be nothing else is a machine's name.
pub fn is_name(word: &str) -> bool {
    let written = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    !word.is_empty() && word.bytes().all(written) && is_name_in(word, &(0..word.len()), true, true)
}

/// Whether the text there is a machine's name; one of letters alone only if `letters` says so, and one that GPUs have only
/// where nothing but a machine can be meant.
fn is_name_in(text: &str, range: &Range<usize>, letters: bool, sure: bool) -> bool {
    let name = &text[range.clone()];
    let bytes = text.as_bytes();
    let before = range.start.checked_sub(1).map(|at| bytes[at]);
    let after = bytes.get(range.end).copied();
    let joined = |b: u8| b >= 0x80 || matches!(b, b'_' | b'(' | b'[' | b'{' | b'%' | b'$' | b'=' | b'*' | b'@' | b'+');
    let apart = !after.is_some_and(joined)
        && !before.is_some_and(|b| b >= 0x80 || matches!(b, b'_' | b'.' | b'/' | b'$' | b'@'));
    let lower = name.to_ascii_lowercase();
    let has = |letters: fn(&u8) -> bool| name.bytes().any(|b| letters(&b));
    if !apart
        || !has(u8::is_ascii_alphabetic)
        || is_public(name)
        || is_word(name)
        || !sure && is_device(name)
        || COMMON.contains(&lower.as_str())
        || addresses::v4(name).is_some()
    {
        return false;
    }
    // `512MB`, `v2.1`, `0x7f`, `12.4a0`.
    let measure = name.bytes().take_while(u8::is_ascii_digit).count();
    let number = name.trim_start_matches(['v', 'V']).starts_with(|c: char| c.is_ascii_digit());
    if measure > 0 && name.len() - measure < 4 && !name.contains(['-', '.'])
        || number && name.contains('.') && !is_qualified(name)
    {
        return false;
    }
    if name.contains('.') {
        return is_qualified(name) && !begins_as_code(name)
            || has(u8::is_ascii_digit) && !begins_as_code(name) && after != Some(b'/') && !is_file(&lower);
    }
    if after == Some(b'/') {
        return false;
    }
    match has(u8::is_ascii_digit) || name.contains('-') && letters {
        true => is_telling(name),
        false => letters && name.len() >= 3 && is_even(&name[1..]),
    }
}

fn is_file(name: &str) -> bool {
    let end = name.rsplit('.').next().unwrap_or_default();
    matches!(
        end,
        "py" | "so"
            | "txt"
            | "json"
            | "yaml"
            | "yml"
            | "onnx"
            | "pt"
            | "bin"
            | "log"
            | "cc"
            | "cpp"
            | "h"
            | "rs"
            | "go"
            | "js"
            | "sh"
            | "md"
            | "conf"
            | "sock"
            | "gguf"
            | "safetensors"
            | "host"
            | "hostname"
            | "name"
    ) || end.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&str> {
        each(text, false).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn words_beside_a_name_say_that_it_is_one() {
        for (text, name) in [
            ("hostname=gpu17 up", "gpu17"),
            ("hostname: gpu17", "gpu17"),
            ("hostname=athena", "athena"),
            ("hostname: GPU17-NODE", "GPU17-NODE"),
            ("computer name DESKTOP-AB12CD3: host=DESKTOP-AB12CD3", "DESKTOP-AB12CD3"),
            ("host=gpu17.acme.de", "gpu17.acme.de"),
            ("serve --host gpu17.acme.de --port 80", "gpu17.acme.de"),
            ("serve --host=athena --port 80", "athena"),
            ("{\"host\": \"gpu17\"}", "gpu17"),
            ("{\\\"db_host\\\": \\\"gpu17\\\"}", "gpu17"),
            ("HTTPConnectionPool(host='gpu17', port=8000)", "gpu17"),
            ("node=gpu-17", "gpu-17"),
            ("nodename=gpu-17", "gpu-17"),
            ("MASTER_ADDR=gpu17 RANK=0", "gpu17"),
            ("Connected to gpu17 (10.2.3.4) port 8000", "gpu17"),
            ("Failed to connect to athena port 8000", "athena"),
            ("curl: (6) Could not resolve host: athena", "athena"),
            ("ssh: Could not resolve hostname gpu17: Name or service not known", "gpu17"),
            ("could not translate host name \"athena\" to address", "athena"),
            ("Failed to resolve 'gpu17' ([Errno -2] Name or service not known)", "gpu17"),
            ("dial tcp: lookup gpu17 on 10.0.0.2:53: no such host", "gpu17"),
            ("getaddrinfo ENOTFOUND gpu17", "gpu17"),
            ("ping: gpu17.rack3: Name or service not known", "gpu17.rack3"),
            ("Successfully assigned default/asr to gpu-17", "gpu-17"),
        ] {
            let found = names(text);
            assert!(!found.is_empty() && found.iter().all(|one| *one == name), "{found:?} in {text}");
        }
        for text in [
            "--host 0.0.0.0 --host localhost host: docker Host: 127.0.0.1:8000 host=127.0.0.1",
            "uvicorn.run(app, host=args.host, port=8000) host=settings.HOST host=host host=None host=os.environ[\"H\"]",
            "host: memory exhausted, pinned host: 512MB, host: the GPU, localhost: gpu17x, host: cuda12",
            "Node: /encoder/MatMul node: Conv_12 node=node0 node: conv-12 Node:Conv-3 NUMA node=0 nodename nor servname",
            "cannot find module-2 nor libcudart.so.12; failed to resolve torch2; unknown gpu17x",
            "socket.gaierror: [Errno -2] Name or service not known",
            "Host to device copy; host YOUR-HOST; http://HOST:80; --host YOUR-HOST; --host $HOST; host=%s",
            "hostname: must be a string; the host name is missing; connected to server; connect to cuda:0",
        ] {
            assert!(names(text).is_empty(), "{:?} in {text}", names(text));
        }
        assert!(each("node=gpu-17 node_name=conv-12", true).is_empty());
    }
}
