//! Answers that only tell where the result is fetched. Gradio answers `POST /call/NAME` with the number of an event, and
//! `GET /call/NAME/NUMBER` with its events, of which the last is `complete` or `error` (gradio.app, "Querying Gradio Apps
//! with Curl").

use super::{Outgoing, Payload, Reply};
use serde_json::Value;

/// The request for the result, which is sent once.
pub fn second(outgoing: &Outgoing, reply: &Reply) -> Option<Outgoing> {
    let call = outgoing.method == "POST" && outgoing.url.path().contains("/call/");
    if !call || !(200..300).contains(&reply.status) || reply.body.len() > 1000 {
        return None;
    }
    let answer: Value = serde_json::from_slice(&reply.body).ok()?;
    let event = answer.as_object().filter(|members| members.len() == 1)?.get("event_id")?.as_str()?;
    let plain = !event.is_empty() && event.len() <= 100 && event.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !plain {
        return None;
    }
    let mut url = outgoing.url.clone();
    url.set_path(&format!("{}/{event}", url.path().trim_end_matches('/')));
    let of_body = |name: &str| ["content-type", "content-length", "content-encoding", "accept"].contains(&name);
    let headers = outgoing.headers.iter().filter(|(name, _)| !of_body(&name.to_ascii_lowercase())).cloned();
    Some(Outgoing {
        method: "GET".into(),
        url,
        headers: headers.collect(),
        payload: Payload::Empty,
        follow: outgoing.follow,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn next(method: &str, path: &str, body: &str) -> Option<Outgoing> {
        let url = Url::parse(&format!("http://127.0.0.1:7860{path}")).unwrap();
        let headers =
            vec![("authorization".into(), "Bearer x".into()), ("Content-Type".into(), "application/json".into())];
        let sent = Outgoing { method: method.into(), url, headers, payload: Payload::Empty, follow: false };
        second(&sent, &Reply { status: 200, body: body.into(), ..Reply::default() })
    }

    #[test]
    fn the_result_of_a_call_is_fetched_under_its_number() {
        let next = next("POST", "/gradio_api/call/predict", r#"{"event_id":"0f5e"}"#).unwrap();
        assert_eq!((next.method.as_str(), next.url.path()), ("GET", "/gradio_api/call/predict/0f5e"));
        assert_eq!(next.headers, [("authorization".to_owned(), "Bearer x".to_owned())]);
    }

    #[test]
    fn no_other_answer_is_taken_for_a_number() {
        for (method, path, body) in [
            ("POST", "/predict", r#"{"event_id":"0f5e"}"#),
            ("GET", "/call/predict", r#"{"event_id":"0f5e"}"#),
            ("POST", "/call/predict", r#"{"event_id":"../../admin"}"#),
            ("POST", "/call/predict", r#"{"event_id":"0f5e","data":[]}"#),
            ("POST", "/call/predict", r#"{"event_id":7}"#),
            ("POST", "/call/predict", "[]"),
        ] {
            assert!(next(method, path, body).is_none(), "{method} {path} {body}");
        }
    }
}
