//! BentoML: named by its header; its schema has a place of its own, which is read before.

use super::family::{Recognized, Signs, Suspicion, likely_or};
use super::questions::Questions;
use regex::Regex;
use std::sync::LazyLock;

static VERSION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"badge/BentoML-([0-9][\w.]*)-").expect("a valid pattern"));

/// Suspected by its header, which only answers of the service itself have, or by who made its schema.
pub fn suspected(signs: &Signs) -> Suspicion {
    likely_or(named(signs) || says(signs, "/info/contact/name") == "BentoML Team", false)
}

fn named(signs: &Signs) -> bool {
    signs.header("server").starts_with("BentoML Service/")
}

fn says<'a>(signs: &Signs<'a>, place: &str) -> &'a str {
    signs.document.and_then(|document| document.root().pointer(place)?.as_str()).unwrap_or_default()
}

/// Needs no question: the header or the schema tells, and the badge in the schema's description tells the version.
pub fn recognize(signs: &Signs, _: &mut Questions) -> Option<Recognized> {
    let version = VERSION.captures(says(signs, "/info/description")).and_then(|found| found.get(1));
    Some(Recognized {
        kind: "bentoml",
        version: version.map(|version| version.as_str().to_owned()),
        by: match named(signs) {
            true => format!("header server: {}", signs.header("server")),
            false => format!("GET /docs.json: {}", says(signs, "/info/contact/name")),
        },
        states: vec!["/readyz".into()],
        ..Recognized::default()
    })
}
