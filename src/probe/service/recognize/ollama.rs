//! ollama: told by its front page. Installed models are not yet loaded ones.

use super::family::{Recognized, Signs, Suspicion, likely_or, names};
use super::operation::{TOKENS, example, one_of, posted};
use super::questions::{Questions, text};
use serde_json::{Value, json};

/// Suspected by the client's path or by gin's words; possible of a server without a schema.
pub fn suspected(signs: &Signs) -> Suspicion {
    let gin = signs.first.status == 404 && signs.says("404 page not found");
    likely_or(gin || signs.path_begins("/api/generate") || signs.path_begins("/api/chat"), signs.undescribed())
}

/// Asks for its front page, else, as a proxy may hide that, for its resident models.
pub fn recognize(signs: &Signs, questions: &mut Questions) -> Option<Recognized> {
    let front = questions.ok("/").is_some_and(|reply| text(&reply).starts_with("Ollama is running"));
    let by = match front {
        true => "GET /: Ollama is running".to_owned(),
        false if suspected(signs) == Suspicion::Likely => {
            questions.json("/api/ps")?.get("models")?.as_array()?;
            "GET /api/ps: a list of resident models".to_owned()
        }
        false => return None,
    };
    let tags = questions.json("/api/tags");
    let version = questions.json("/api/version").and_then(|answer| answer.get("version")?.as_str().map(str::to_owned));
    let models = tags.as_ref().map(|tags| names(tags.get("models"), "name"));
    let all = models.clone().unwrap_or_default();
    let named = signs.model.as_ref().and_then(|named| all.iter().find(|model| *model == named));
    let embeds = |model: &&String| ["embed", "minilm", "bge-"].iter().any(|word| model.contains(word));
    let generating = all.iter().find(|model| !embeds(model));
    let operations = match (named.or(generating), all.first()) {
        (Some(model), _) if !embeds(&model) => {
            let prompt = example("string", json!("hello"));
            let options = example("object", json!({"num_predict": TOKENS}));
            let stream = json!({"const": false, "type": "boolean"});
            let model = ("model", one_of(std::slice::from_ref(model)));
            vec![posted("/api/generate", &[model, ("prompt", prompt), ("stream", stream), ("options", options)])]
        }
        (chosen, Some(first)) => {
            let model = one_of(std::slice::from_ref(chosen.unwrap_or(first)));
            vec![posted("/api/embed", &[("model", model), ("input", example("string", json!("hello")))])]
        }
        _ => Vec::new(),
    };
    Some(Recognized {
        kind: "ollama",
        version,
        by,
        lack: all.is_empty().then(|| {
            match tags.as_ref().and_then(|tags| tags.get("models")).and_then(Value::as_array) {
                Some(_) => "GET /api/tags lists no model: ollama pull MODEL".into(),
                None => "GET /api/tags does not list the models".to_owned(),
            }
        }),
        models,
        operations,
        described_at: Some("/api/tags".into()),
        states: vec!["/api/ps".into()],
    })
}
