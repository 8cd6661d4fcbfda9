//! Names of machines that show themselves: in URLs, in the domains of a network's inside, in lines of syslog.

use super::addresses;
use super::public::is_public;
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// Schemes behind which a host stands. `containerd://1.7.22` and `unix:///run/x` are no addresses of machines.
static URL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)\b(?:https?|wss?|grpcs?|tcp|tls|udp|rediss?|postgres(?:ql)?|mysql|mongodb(?:\+srv)?|amqps?|kafka|nats|mqtt",
        r"|s?ftp|ssh|git\+https?|git\+ssh|socks5h?|zmq|nfs|smb|otlp|sb|registry|oci)://(?:[^\s/?#\x22'<>@]*@)?",
        r"(\[[0-9a-fA-F:.%]+\]|[\w.-]+)"
    ))
    .expect("a valid pattern")
});
static OTHERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        // Names that a network gives out inside of itself.
        r"(?i)\b((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:svc\.cluster\.local|svc|ec2\.internal|compute\.internal|c\.[a-z0-9-]+\.internal|home\.arpa|intranet|corp|lan))\b",
        r"|\b((?:[a-z0-9-]*[0-9-][a-z0-9-]*\.)(?:[a-z0-9-]+\.)*(?:internal|local))\b",
        r"|\b(ip-[0-9]{1,3}-[0-9]{1,3}-[0-9]{1,3}-[0-9]{1,3}(?:\.[a-z0-9.-]*[a-z0-9])?)\b",
    ))
    .expect("a valid pattern")
});
/// A line of syslog: its time, the machine, the program.
static SYSLOG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?m)^(?:<[0-9]+>)?(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.,]+(?:Z|[+-][0-9:]{4,6})) ([A-Za-z0-9][\w.-]*) (?:kernel|systemd|dockerd|containerd|kubelet|nv-fabricmanager|[\w.-]+\[[0-9]+\]):",
    )
    .expect("a valid pattern")
});

/// Hosts of URLs.
pub fn in_urls(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    URL.captures_iter(text).filter_map(|found| found.get(1)).filter_map(|host| {
        let written = host.as_str().trim_end_matches('.');
        let bare = written.trim_start_matches('[').trim_end_matches(']');
        let public = match (addresses::v4(bare), bare.parse()) {
            (Some(address), _) => addresses::is_public_v4(address),
            (None, Ok(address)) => addresses::is_public_v6(address),
            (None, Err(_)) => is_public(bare) || !bare.bytes().any(|b| b.is_ascii_alphanumeric()),
        };
        (!public).then(|| host.start()..host.start() + written.len())
    })
}

/// Names elsewhere that can be nothing else.
pub fn elsewhere(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let others = OTHERS.captures_iter(text).filter_map(|found| found.iter().skip(1).flatten().next());
    let syslog = SYSLOG.captures_iter(text).filter_map(|found| found.get(1));
    others.chain(syslog).filter(|name| !is_public(name.as_str())).map(|name| name.range())
}
