//! Tells the requests of two runs apart.

use crate::probe::load::Prepared;
use hyper::header::CONTENT_TYPE;
use ring::digest::{Context, SHA256};

/// Bytes of the digest that are told.
const TOLD: usize = 8;

/// The beginning of the SHA-256 of method, path and body of the good request. The boundary of a form is another one each
/// time, and left out.
pub fn of(prepared: &Prepared) -> String {
    let mut digest = Context::new(&SHA256);
    let path = prepared.uri.path_and_query().map(|path| path.as_str()).unwrap_or_default();
    digest.update(format!("{} {path}\n", prepared.method).as_bytes());
    let body = prepared.bodies.first();
    let media_type = prepared.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = media_type.split_once("boundary=").map(|(_, rest)| rest.as_bytes()).filter(|line| !line.is_empty());
    let (mut from, mut at) = (0, 0);
    while let (Some(line), Some(rest)) = (boundary, body.get(at..)) {
        if rest.len() < line.len() {
            break;
        }
        match rest.starts_with(line) {
            true => {
                digest.update(body.get(from..at).unwrap_or_default());
                at += line.len();
                from = at;
            }
            false => at += 1,
        }
    }
    digest.update(body.get(from..).unwrap_or_default());
    let digest = digest.finish();
    digest.as_ref().iter().take(TOLD).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::load::{Bodies, Judge, Judged};
    use hyper::{HeaderMap, Method};

    struct Nothing;

    impl Judge for Nothing {
        fn read(&self, _: u16, _: &HeaderMap, _: &[u8]) -> Judged {
            Judged { accepted: true, server_ms: None }
        }
    }

    fn digest(path: &str, boundary: &str, value: &str) -> String {
        let body = format!("--{boundary}\r\n\r\n{value}\r\n--{boundary}--\r\n");
        let media_type = format!("multipart/form-data; boundary={boundary}").parse().unwrap();
        of(&Prepared {
            method: Method::POST,
            uri: path.parse().unwrap(),
            headers: [(CONTENT_TYPE, media_type)].into_iter().collect(),
            bodies: Bodies::new(body.into()),
            judge: Box::new(Nothing),
        })
    }

    #[test]
    fn what_is_asked_counts_and_the_boundary_does_not() {
        let one = digest("/asr", "line-1", "lang=en");
        assert_eq!(one.len(), 2 * TOLD);
        assert_eq!(one, digest("/asr", "line-27", "lang=en"));
        assert_ne!(one, digest("/asr", "line-1", "lang=hi"));
        assert_ne!(one, digest("/asr/json", "line-1", "lang=en"));
    }
}
