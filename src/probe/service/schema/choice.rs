//! Which operation looks like an inference, and which could do harm.

use super::{Candidate, Described};
use crate::probe::service::message::Encoding;

/// Whether a path matches a template such as `/v1/{model}/infer`.
pub fn same_path(template: &str, path: &str) -> bool {
    let (mut left, mut right) = (template.trim_end_matches('/').split('/'), path.trim_end_matches('/').split('/'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || a.starts_with('{') && a.ends_with('}') && !b.is_empty() => {}
            _ => return false,
        }
    }
}

/// Paths that could change the server rather than ask it.
pub fn forbidden(path: &str) -> bool {
    const WORDS: &[&str] = &[
        "shutdown", "reload", "delete", "admin", "train", "unload", "restart", "stop", "kill", "finetune", "remove",
        "reset", "login", "logout", "register", "abort", "cancel", "update", "sleep",
    ];
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    words.map(str::to_ascii_lowercase).any(|word| WORDS.iter().any(|bad| word.starts_with(bad)))
}

/// How much an operation looks like an inference.
pub fn likeness(candidate: &Candidate) -> u32 {
    const VERBS: &[&str] = &[
        "asr",
        "infer",
        "predict",
        "transcri",
        "generat",
        "recogni",
        "detect",
        "classif",
        "embed",
        "completion",
        "translat",
        "invocation",
        "speech",
        "tts",
        "segment",
        "caption",
        "score",
        "diarize",
        "vad",
    ];
    const PAYLOADS: &[&str] = &["audio", "image", "file", "prompt", "messages", "input", "text", "wav", "video"];
    let path = candidate.path.to_ascii_lowercase();
    let any = |list: &[&str], text: &str| list.iter().any(|word| text.contains(word));
    let field = |test: &dyn Fn(&Described) -> bool| candidate.fields.iter().any(test);
    4 * u32::from(field(&|f| f.kind == "file"))
        + 3 * u32::from(any(VERBS, &path))
        + 2 * u32::from(field(&|f| any(PAYLOADS, &f.name.to_ascii_lowercase())))
        + u32::from(candidate.encoding != Encoding::None)
}
