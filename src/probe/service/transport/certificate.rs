//! What a certificate says of itself: subject, issuer and the time in which it is valid (RFC 5280, section 4.1). Read
//! only to be told; whether it is to be trusted is rustls' and webpki's business.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Attributes of a name that are told, by their object identifiers under 2.5.4, and all characters of one name.
const ATTRIBUTES: &[(u8, &str)] = &[(3, "CN"), (10, "O"), (11, "OU"), (6, "C")];
const NAME_CAP: usize = 120;

/// Tags of DER (X.690).
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// A certificate's own words.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// `CN=localhost`.
    pub subject: String,
    /// `CN=Company CA`.
    pub issuer: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// Subject and issuer are the same.
    pub self_issued: bool,
}

impl Certificate {
    /// Reads a certificate's DER; `None` if it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (certificate, _) = element(der, SEQUENCE)?;
        let (mut rest, _) = element(certificate, SEQUENCE)?;
        if rest.first() == Some(&VERSION) {
            rest = next(rest)?.2;
        }
        // Serial number, signature algorithm.
        rest = next(rest)?.2;
        rest = next(rest)?.2;
        let (issuer, rest) = element(rest, SEQUENCE)?;
        let (validity, rest) = element(rest, SEQUENCE)?;
        let (subject, _) = element(rest, SEQUENCE)?;
        let (tag, value, after) = next(validity)?;
        let not_before = time(tag, value)?;
        let (tag, value, _) = next(after)?;
        let not_after = time(tag, value)?;
        Some(Self {
            subject: name(subject),
            issuer: name(issuer),
            not_before,
            not_after,
            self_issued: subject == issuer,
        })
    }

    /// Subject, issuer and end, as they are told.
    pub fn told(&self) -> String {
        let issuer = if self.self_issued { "itself" } else { &self.issuer };
        format!("{}, issued by {issuer}, valid until {}", self.subject, self.not_after)
    }
}

/// One element: tag, value, what follows it.
fn next(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // The long form; four bytes of length are more than any certificate needs.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((*tag, value, rest))
}

/// The value of an element with that tag, and what follows it.
fn element(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    next(der).and_then(|(tag, value, rest)| (tag == wanted).then_some((value, rest)))
}

/// A name as text; one without any attribute that is told is `(no name)`.
fn name(mut der: &[u8]) -> String {
    let mut parts = Vec::new();
    while let Some((set, rest)) = element(der, SET) {
        der = rest;
        let Some((attribute, _)) = element(set, SEQUENCE) else { continue };
        let Some((id, value)) = element(attribute, OBJECT_IDENTIFIER) else { continue };
        let [0x55, 0x04, kind] = id else { continue };
        let known = ATTRIBUTES.iter().find(|(number, _)| number == kind);
        if let (Some((_, word)), Some((_, text, _))) = (known, next(value)) {
            parts.push(format!("{word}={}", String::from_utf8_lossy(text)));
        }
    }
    match parts.is_empty() {
        true => "(no name)".into(),
        false => parts.join(", ").chars().take(NAME_CAP).map(|c| if c.is_control() { ' ' } else { c }).collect(),
    }
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`; years of two digits are 1950 to 2049 (RFC 5280, section 4.1.2.5.1).
fn time(tag: u8, value: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(value).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let full = match (tag, text.len()) {
        (UTC_TIME, 12) => format!("{}{text}", if text.starts_with(['5', '6', '7', '8', '9']) { "19" } else { "20" }),
        (GENERALIZED_TIME, 14) => text.to_owned(),
        _ => return None,
    };
    let part = |at: usize| full.get(at..at + 2)?.parse::<i8>().ok();
    let year = full.get(..4)?.parse().ok()?;
    let at = DateTime::new(year, part(4)?, part(6)?, part(8)?, part(10)?, part(12)?, 0).ok()?;
    at.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `openssl req -x509 -subj "/C=IN/O=Voice/CN=asr.example" -not_before 20260101000000Z -not_after 20270101000000Z`,
    /// as far as the names and times go.
    fn sample() -> Vec<u8> {
        let tlv = |tag: u8, value: &[u8]| [&[tag, value.len() as u8], value].concat();
        let attribute = |kind: u8, text: &str| {
            tlv(SET, &tlv(SEQUENCE, &[tlv(OBJECT_IDENTIFIER, &[0x55, 4, kind]), tlv(0x0c, text.as_bytes())].concat()))
        };
        let names = [attribute(6, "IN"), attribute(10, "Voice"), attribute(3, "asr.example")].concat();
        let times = [tlv(UTC_TIME, b"260101000000Z"), tlv(GENERALIZED_TIME, b"20270101000000Z")].concat();
        let inner = [
            tlv(VERSION, &[2, 1, 2]),
            tlv(2, &[7]),
            tlv(SEQUENCE, &[]),
            tlv(SEQUENCE, &names),
            tlv(SEQUENCE, &times),
            tlv(SEQUENCE, &names),
        ];
        let length =
            |bytes: Vec<u8>| [&[SEQUENCE, 0x82, (bytes.len() >> 8) as u8, bytes.len() as u8], &bytes[..]].concat();
        length(length(inner.concat()))
    }

    #[test]
    fn names_and_times_are_read() {
        let read = Certificate::read(&sample()).unwrap();
        assert_eq!(read.told(), "C=IN, O=Voice, CN=asr.example, issued by itself, valid until 2027-01-01T00:00:00Z");
        assert_eq!(read.not_before.to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(time(UTC_TIME, b"991231235959Z").unwrap().to_string(), "1999-12-31T23:59:59Z");
        assert_eq!(time(GENERALIZED_TIME, b"20271301000000Z"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in any::<Vec<u8>>()) {
            let _ = Certificate::read(&bytes);
        }

        #[test]
        fn any_damage_is_borne(at in 0usize..140, byte in any::<u8>()) {
            let mut der = sample();
            let at = at % der.len();
            der[at] = byte;
            let _ = Certificate::read(&der);
            let _ = Certificate::read(&der[..at]);
        }
    }
}
