//! Which of several requests is the inference.

use crate::probe::service::schema::forbidden;

/// Parts of the paths of inferences.
const INFERENCES: &[&str] = &[
    "asr",
    "caption",
    "classif",
    "completion",
    "detect",
    "diarize",
    "embed",
    "generat",
    "infer",
    "invocation",
    "ocr",
    "predict",
    "recogni",
    "rerank",
    "score",
    "segment",
    "speech",
    "transcri",
    "translat",
    "tts",
    "vad",
];
/// Hosts and paths of what pages send beside their own requests.
const BESIDE: &[&str] = &["analytics", "telemetry", "sentry", "beacon", "collect", "/events", "/log", "metrics"];

/// How much a request looks like an inference; 0 for one that is none.
pub fn likeness(method: &str, url: &str, has_body: bool) -> u8 {
    let url = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let path =
        url.split_once("://").map_or(url.as_str(), |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let infers = INFERENCES.iter().any(|word| path.contains(word));
    let carries = has_body && matches!(method, "POST" | "PUT" | "PATCH");
    match (carries, infers) {
        _ if method == "OPTIONS" => 0,
        (true, _) if forbidden(path) || BESIDE.iter().any(|word| url.contains(word)) => 1,
        (true, true) => 4,
        (true, false) => 3,
        (false, true) => 2,
        (false, false) => 1,
    }
}

/// The first of the likeliest.
pub fn first_of_likeliest<T>(list: Vec<T>, likeness: impl Fn(&T) -> u8) -> Option<(usize, T)> {
    let best = list.iter().map(&likeness).max()?;
    list.into_iter().enumerate().find(|(_, one)| likeness(one) == best)
}

/// The words for the requests that were not chosen; nothing if there are none.
pub fn others(count: usize, named: &[String]) -> Option<String> {
    let shown = named.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let more = if named.len() > 5 { ", ..." } else { "" };
    let requests = if count == 1 { "request" } else { "requests" };
    (count > 0).then(|| format!("{count} other {requests} in it: {shown}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inference_comes_before_a_login_a_page_and_a_beacon() {
        let inference = likeness("POST", "http://h/v1/audio/transcriptions?x=1", true);
        for (method, url, body) in [
            ("POST", "http://h/login", true),
            ("POST", "https://analytics.example/predict", true),
            ("GET", "http://h/transcribe", false),
            ("OPTIONS", "http://h/v1/audio/transcriptions", false),
            ("POST", "http://h/upload", true),
        ] {
            assert!(likeness(method, url, body) < inference, "{method} {url}");
        }
        // The host's own name tells nothing of the path.
        assert_eq!(likeness("POST", "http://asr.example/x", true), 3);
    }
}
