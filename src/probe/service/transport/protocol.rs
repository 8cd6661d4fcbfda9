//! What speaks on a port that does not answer HTTP, by the first bytes that it sends.

/// Starts of other protocols' greetings and answers, and who sends them.
const GREETINGS: &[(&[u8], &str)] = &[
    (b"SSH-", "an SSH server"),
    (b"-ERR", "Redis"),
    (b"-DENIED", "Redis"),
    (b"220 ", "an SMTP or FTP server"),
    (b"220-", "an SMTP or FTP server"),
    (b"+OK", "a POP3 server"),
    (b"* OK", "an IMAP server"),
    (b"RFB ", "a VNC server"),
    (b"AMQP", "RabbitMQ"),
    (b"INFO {", "NATS"),
    (b"ERROR\r\n", "memcached"),
];
/// Characters of a greeting that are told.
const TOLD: usize = 60;

/// What the first bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaks {
    Nothing,
    Http1,
    /// A record of TLS: an alert, for instance.
    Tls,
    /// Frames of HTTP/2, which gRPC servers send to anybody.
    Http2,
    /// Words for anything else.
    Other(String),
}

/// Tells what they are.
pub fn speaks(heard: &[u8]) -> Speaks {
    match heard {
        [] => Speaks::Nothing,
        [b'H', b'T', b'T', b'P', b'/', ..] => Speaks::Http1,
        // Alert or handshake of TLS 1.x (RFC 8446, section 5.1).
        [0x15 | 0x16, 0x03, 0x00..=0x04, ..] => Speaks::Tls,
        // SETTINGS on stream 0 (RFC 9113, sections 3.4 and 6.5).
        [0, _, _, 4, _, 0, 0, 0, 0, ..] => Speaks::Http2,
        // The initial handshake packet, protocol version 10.
        [_, _, 0, 0, 10, ..] => Speaks::Other("it is MySQL's or MariaDB's greeting".into()),
        _ => {
            let who = GREETINGS.iter().find(|(start, _)| heard.starts_with(start)).map(|(_, who)| *who);
            let line = heard.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
            let text: String = String::from_utf8_lossy(line).chars().take(TOLD).collect();
            let readable = !text.is_empty() && text.chars().all(|c| !crate::words::unprintable(c) && c != '\u{fffd}');
            let begins =
                if readable { format!("it begins with {text:?}") } else { "it begins with binary data".into() };
            Speaks::Other(who.map_or(begins.clone(), |who| format!("{begins}, as {who} answers")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn greetings_are_known() {
        let other = |bytes: &[u8]| match speaks(bytes) {
            Speaks::Other(words) => words,
            known => format!("{known:?}"),
        };
        assert_eq!(
            other(b"SSH-2.0-OpenSSH_9.6\r\n"),
            "it begins with \"SSH-2.0-OpenSSH_9.6\", as an SSH server answers"
        );
        assert!(other(b"-ERR wrong number of arguments for 'get' command\r\n").ends_with("as Redis answers"));
        assert_eq!(other(b"\x4a\0\0\0\x0a8.0.36\0"), "it is MySQL's or MariaDB's greeting");
        assert_eq!(other(b"\x01\x02\x03"), "it begins with binary data");
        assert_eq!(other(b"hello\nauthorization: x"), "it begins with \"hello\"");
        assert_eq!(speaks(b"\x15\x03\x01\0\x02\x02\x46"), Speaks::Tls);
        assert_eq!(speaks(b"\0\0\x12\x04\0\0\0\0\0\0\x03"), Speaks::Http2);
        assert_eq!(speaks(b"HTTP/1.1 200 OK"), Speaks::Http1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_told_without_control_characters(bytes in any::<Vec<u8>>()) {
            if let Speaks::Other(words) = speaks(&bytes) {
                prop_assert!(words.chars().all(|c| !crate::words::unprintable(c)), "{words:?}");
            }
        }
    }
}
