//! What is told of the way to the server, beside what the wire saw of it.

use super::tls::Tls;
use super::{Connection, Http, Trust, proxy};
use crate::secret::PLAIN_HEADERS;
use crate::secret::is_in_field;
use crate::snapshot::{Fact, Transport};
use url::Url;

/// The facts about the way: what the wire saw, what goes with every request, and where the client would have gone.
pub fn way(http: &Http, server: &Url, everywhere: &[(String, String)], client: Option<&Url>) -> Transport {
    let secret = everywhere.iter().filter(|(name, _)| is_in_field(name) || !PLAIN_HEADERS.contains(&name.as_str()));
    let names: Vec<String> = secret.map(|(name, value)| named(name, value)).collect();
    let elsewhere = client.filter(|url| !same_place(url, server)).map(|url| url.origin().ascii_serialization());
    Transport {
        credentials: Fact::Known(names.join(", ")),
        client_names: Fact::Known(elsewhere.unwrap_or_default()),
        ..http.transport()
    }
}

/// A header by its name, with the scheme of an authorization.
fn named(name: &str, value: &str) -> String {
    let name = name.to_ascii_lowercase();
    let scheme = value.split_once(' ').map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("bearer") if name == "authorization" => format!("{name} (Bearer)"),
        Some("basic") if name == "authorization" => format!("{name} (Basic)"),
        _ => name,
    }
}

/// Whether both URLs name one place: `localhost` and `127.0.0.1` do.
fn same_place(one: &Url, other: &Url) -> bool {
    let host = |url: &Url| match url.host_str().unwrap_or_default() {
        "127.0.0.1" | "[::1]" | "0.0.0.0" | "[::]" => "localhost".to_owned(),
        host => host.to_ascii_lowercase(),
    };
    (one.scheme(), host(one), one.port_or_known_default())
        == (other.scheme(), host(other), other.port_or_known_default())
}

/// Whether the files and the proxy of a connection can be used; what is wrong, by the option.
pub fn verify(connection: &Connection) -> Result<(), String> {
    if connection.cacert.is_some() || connection.identity.is_some() {
        Tls::new(&Trust::default(), connection)?;
    }
    let any = Url::parse("http://localhost/").map_err(|error| error.to_string())?;
    match connection.proxy.as_deref() {
        Some("env") | None => Ok(()),
        named => proxy::choose(&any, named, |_| None).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_compared_as_people_mean_them() {
        let same = |one: &str, other: &str| same_place(&one.parse().unwrap(), &other.parse().unwrap());
        assert!(same("http://localhost:8000/asr", "http://127.0.0.1:8000/"));
        assert!(same("https://H.example/", "https://h.example:443/x"));
        assert!(!same("https://h.example/", "http://h.example/"));
        assert!(!same("http://h.example:8000/", "http://127.0.0.1:8000/"));
    }

    #[test]
    fn credentials_are_told_by_name_alone() {
        assert_eq!(named("Authorization", "Bearer S3CRET"), "authorization (Bearer)");
        assert_eq!(named("Authorization", "S3CRET S3CRET"), "authorization");
        assert_eq!(named("X-Api-Key", "Basic S3CRET"), "x-api-key");
    }
}
