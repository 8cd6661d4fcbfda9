//! The formats of strings: a text for each, and whether a text is one, as far as servers reject what is not.

use regex::Regex;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// A text of the format; none for formats that any text has.
pub fn sample(format: &str) -> Option<&'static str> {
    Some(match format.to_ascii_lowercase().as_str() {
        "date-time" | "datetime" | "iso-date-time" | "iso8601" => "2024-01-01T00:00:00Z",
        "naive-datetime" | "naive-date-time" => "2024-01-01T00:00:00",
        "date" => "2024-01-01",
        "time" => "12:00:00Z",
        "duration" | "time-delta" => "PT1S",
        "uuid" | "uuid4" | "guid" => "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "uuid1" => "c232ab00-9414-11ec-b3c8-9f6bdeced846",
        // Not to be fetched by the server: nothing listens at the port for discarded data.
        "uri" | "url" | "iri" | "http-url" | "uri-template" => "http://127.0.0.1:9/",
        "uri-reference" | "iri-reference" => "/",
        "email" | "idn-email" => "gpu-doctor@example.com",
        "hostname" | "idn-hostname" | "host" | "domain" => "localhost",
        "ipv4" | "ip" | "ipvanyaddress" | "ip-address" => "127.0.0.1",
        "ipv6" => "::1",
        "ipv4network" | "ipvanynetwork" | "cidr" => "127.0.0.0/8",
        "ipv4interface" | "ipvanyinterface" => "127.0.0.1/8",
        "mac" | "mac-address" => "00:00:5e:00:53:01",
        "byte" | "base64" | "base64url" => "aGVsbG8=",
        "json-pointer" => "/a",
        "relative-json-pointer" => "0",
        "regex" => ".*",
        "json-string" | "json" => "{}",
        "decimal" | "number" | "float" | "double" => "1.0",
        "int32" | "int64" | "integer" => "1",
        "path" | "file-path" | "directory-path" => "/tmp",
        "semver" | "version" => "1.0.0",
        "color" => "#000000",
        "phone" => "+12025550123",
        "slug" => "test",
        "hex" => "00",
        "boolean" => "true",
        _ => return None,
    })
}

static DATE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$").ok());
static UUID: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)^[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$").ok());

/// Whether a text has the format. Formats that are not listed are not asserted.
pub fn fits(format: &str, text: &str) -> bool {
    let whole = |pattern: &LazyLock<Option<Regex>>| pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
    match format {
        "date" => whole(&DATE),
        "date-time" => {
            let (date, rest) = text.split_at_checked(10).unwrap_or((text, ""));
            let date = DATE.as_ref().is_none_or(|pattern| pattern.is_match(date));
            date && rest.starts_with(['T', 't']) && rest.len() >= 6
        }
        "uuid" => whole(&UUID),
        "email" => text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "uri" => url::Url::parse(text).is_ok(),
        _ => true,
    }
}
