//! BentoML: named by its header; its schema has a place of its own, which is read before.

use super::family::{Recognized, Signs, Suspicion, likely_or};
use super::questions::Questions;
use regex::Regex;
use std::sync::LazyLock;

static VERSION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"badge/BentoML-([0-9][\w.]*)-").expect("a valid pattern"));

/// Suspected by its header.
pub fn suspected(signs: &Signs) -> Suspicion {
    likely_or(signs.header("server").starts_with("BentoML Service/"), false)
}

/// Needs no question: the header tells, and the badge in its schema's description tells the version.
pub fn recognize(signs: &Signs, _: &mut Questions) -> Option<Recognized> {
    let description = signs.document.and_then(|document| document.root().pointer("/info/description")?.as_str());
    let version = description.and_then(|text| VERSION.captures(text)?.get(1));
    Some(Recognized {
        kind: "bentoml",
        version: version.map(|version| version.as_str().to_owned()),
        by: format!("header server: {}", signs.header("server")),
        states: vec!["/readyz".into()],
        ..Recognized::default()
    })
}
