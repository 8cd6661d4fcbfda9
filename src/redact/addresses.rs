//! What is an address, and what only looks like one.
//!
//! Versions have four parts too: cuDNN 9.1.0.70, TensorRT 10.0.1.6, cuBLAS 12.4.5.8. Four numbers are an address
//! - as the host of a URL, or the whole of a field that holds addresses;
//! - with a port or the length of a network behind them: `10.1.2.3:51234`, `10.1.0.0/16`, `('10.1.2.3', 51234)`;
//! - at the beginning of an access log's line: `10.1.2.3 - - [`;
//! - after a word that says so: `host=`, `peer`, `client:`, `connect to`, `inet`;
//! - in the private networks of which no version has the numbers: 192.168.0.0/16, 172.16.0.0/12, 100.64.0.0/10,
//!   169.254.0.0/16;
//! - in 10.0.0.0/8, in which TensorRT's versions are, unless the words around it speak of software;
//! - anywhere, if one of these places of the same document has the same, and no field of a version has.

use regex::Regex;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::LazyLock;

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

static V4: LazyLock<Regex> = LazyLock::new(|| regex(r"(?-u)[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}"));
static BEFORE: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?i)(?:\b(?:host|hostname|addr|address|ip_address|peer|client|remote|remote_addr|ip|ipv4|inet|nameserver|gateway",
        r"|bind|upstream|src|dst|x-forwarded-for|x-real-ip|(?:connect(?:ed|ing|ion)?|route) to",
        r"|(?:connections?|requests?|received|accepted|login|closed|reset|refused) (?:from|by)|master_addr",
        r"|(?:listening|listen|running) on|bound to|to host)(?:\\?[\x22'\]])?\s*[=:]?\s*(?:\\?[\x22'(\[])?)$",
    ))
});
static AFTER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"^(?::[0-9]{1,5}(?:[^0-9A-Za-z.]|$)|/[0-9]{1,2}(?:[^0-9A-Za-z./-]|$)|\\?['"],\s?[0-9]{2,5}\)| - - | - \S+ \[| - "|\)? port [0-9])"#,
    )
});

/// Whether it names no machine: loopback, any, broadcast, or the clouds' address of metadata.
pub fn is_public_v4(address: Ipv4Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_broadcast()
        || address == Ipv4Addr::new(169, 254, 169, 254)
}

/// The same of IPv6.
pub fn is_public_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.is_unspecified() || address.to_ipv4_mapped().is_some_and(is_public_v4)
}

/// Four numbers with nothing around them.
pub fn v4(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok()
}

/// Where addresses of IPv4 stand; with each whether its place says so.
pub fn each_v4(text: &str) -> impl Iterator<Item = (Range<usize>, bool)> + '_ {
    let bytes = text.as_bytes();
    V4.find_iter(text).filter_map(move |found| {
        let (start, end) = (found.start(), found.end());
        let before = start.checked_sub(1).map(|at| bytes[at]);
        let joined = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'+' | b'~');
        let after = bytes.get(end).copied();
        // A sentence may end behind it.
        let dot = after == Some(b'.') && !bytes.get(end + 1).is_some_and(|b| b.is_ascii_alphanumeric());
        if before.is_some_and(joined) || after.is_some_and(joined) && !dot {
            return None;
        }
        let address = v4(found.as_str()).filter(|address| !is_public_v4(*address))?;
        let [a, b, ..] = address.octets();
        let private = (a, b) == (192, 168)
            || a == 172 && (16..32).contains(&b)
            || a == 100 && (64..128).contains(&b)
            || (a, b) == (169, 254);
        Some((start..end, private || before_says(text, start) || AFTER.is_match(&text[end..])))
    })
}

fn before_says(text: &str, start: usize) -> bool {
    BEFORE.is_match(before(text, start))
}

/// The little that stands before it.
fn before(text: &str, start: usize) -> &str {
    let mut from = start.saturating_sub(40);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..start]
}

/// Addresses of 10.0.0.0/8 of which nothing around them says that they are versions.
pub fn likely(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    static SOFTWARE: LazyLock<Regex> = LazyLock::new(|| {
        regex(concat!(
            r"(?i)(?:[=<>~!^]=?\s?|\b(?:versions?|ver|v|release|build|needs?|requires?d?|expect(?:s|ed)|at least|installed|found",
            r"|older than|newer than|compiled (?:with|against)|built (?:with|against)|upgraded? (?:from|to)|downgraded? (?:from|to))",
            r"[\s:('\x22]{0,4}|(?:tensorrt|trt|cu(?:dnn|blas|rand|fft|sparse|solver|da|file|tensor)\w*|nvidia|nccl|npp\w*|nvjpeg|driver|toolkit",
            r"|runtime|library|sdk|libs?|lib\w+|package|wheel|onnxruntime|[a-z]+-cu1[0-9])[\w.-]*[\s|:,('\x22]{1,12})$",
        ))
    });
    static MORE: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"(?i)^['\x22)]{0,2},? (?:or (?:newer|later|above|older)|is (?:installed|required|needed|tensorrt)|installed|and (?:newer|later))",
        )
    });
    let bytes = text.as_bytes();
    // Most texts hold no such number.
    let any = text.contains("10.");
    each_v4(if any { text } else { "" }).map(|(range, _)| range).filter(move |range| {
        bytes[range.start..].starts_with(b"10.")
            && !SOFTWARE.is_match(before(text, range.start))
            && !MORE.is_match(&text[range.end..])
    })
}

/// Where addresses of IPv6 stand: in brackets, or beginning with a group of three or four digits of which one is decimal,
/// as all that are given out do. `std::vec` and 12:30:45 are none.
pub fn each_v6(text: &str) -> Vec<Range<usize>> {
    static V6: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"(?-u)[0-9a-fA-F]{1,4}:(?:[0-9a-fA-F]{0,4}:)+(?:[0-9a-fA-F]{1,4}|[0-9]{1,3}(?:\.[0-9]{1,3}){3})?|::ffff:[0-9.]{7,15}",
        )
    });
    if !text.contains("::") && text.bytes().filter(|b| *b == b':').count() < 7 {
        return Vec::new();
    }
    let bytes = text.as_bytes();
    let joined = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'.');
    let mut found: Vec<Range<usize>> = Vec::new();
    for one in V6.find_iter(text) {
        let (start, mut end) = (one.start(), one.end());
        // "fe80::1: refused": a colon of the sentence.
        if one.as_str().ends_with(':') && !one.as_str().ends_with("::") {
            end -= 1;
        }
        let written = &text[start..end];
        let first = written.split(':').next().unwrap_or_default();
        let given_out =
            first.len() >= 3 && written.bytes().any(|b| b.is_ascii_digit()) || written.starts_with("::ffff:");
        let alone = !start.checked_sub(1).is_some_and(|at| joined(&bytes[at]))
            && !bytes.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        if given_out && alone && written.parse().is_ok_and(|address| !is_public_v6(address)) {
            found.push(start..end);
        }
    }
    found
}

/// Where addresses of network cards stand: six pairs of digits, not more, as a certificate's fingerprint has.
pub fn each_mac(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    static MAC: LazyLock<Regex> = LazyLock::new(|| regex(r"(?-u)[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5,}"));
    let bytes = text.as_bytes();
    let colons = text.bytes().filter(|b| matches!(b, b':' | b'-')).take(5).count() == 5;
    MAC.find_iter(if colons { text } else { "" }).filter_map(move |found| {
        let written = found.as_str();
        let sign = written.as_bytes()[2];
        let even = written.len() == 17 && written.bytes().skip(2).step_by(3).all(|b| b == sign);
        let joined = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_');
        let alone = !found.start().checked_sub(1).is_some_and(|at| joined(&bytes[at]))
            && !bytes.get(found.end()).is_some_and(joined);
        let digits: Vec<u8> = written.bytes().filter(u8::is_ascii_hexdigit).collect();
        // 2026-11-23-06-... is a time. All alike is no card.
        let time = sign == b'-' && digits.iter().all(u8::is_ascii_digit);
        let alike = digits.windows(2).all(|two| two[0] == two[1]);
        (even && alone && !time && !alike).then(|| found.range())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_private_network_is_one_unless_software_is_spoken_of() {
        for text in ["from 10.20.30.40", "10.9.8.7 was slow", "refused by (10.2.3.4)", "peers: 10.0.0.7, up"] {
            assert_eq!(likely(text).count(), 1, "{text}");
        }
        for text in [
            "TensorRT 10.0.1.6",
            "nvidia-curand-cu12 10.3.5.147",
            "nvidia-curand-cu12==10.3.5.147",
            "| nvidia-curand-cu12 | 10.3.5.147 |",
            "version 10.0.1.6",
            "needs 10.0.1.6",
            "10.0.1.6 or newer",
            "upgraded from 10.0.1.6 to 10.3.0.26",
            "libcurand.so.10.3.5.147",
            "<Version('10.0.1.6')>",
            "from 12.4.5.8",
        ] {
            let found: Vec<_> = likely(text).map(|range| &text[range]).collect();
            assert!(
                !found.contains(&"10.0.1.6") && !found.contains(&"10.3.5.147") && !found.contains(&"12.4.5.8"),
                "{text}"
            );
        }
        assert!(each_v4("from 100.64.3.9").all(|(_, says)| says));
        assert!(each_v4("Accepted password from 203.0.113.9 port 22").all(|(_, says)| says));
    }
}
