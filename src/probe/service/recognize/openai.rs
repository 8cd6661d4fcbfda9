//! Servers of OpenAI's API: vLLM, SGLang, llama.cpp, LocalAI, speaches and others. Who it is, is told by the owner of the
//! models, by a header or by an endpoint that no other has.

use super::family::{Recognized, Signs, Suspicion, likely_or, names};
use super::operation::{TOKENS, example, file, form, one_of, posted};
use super::questions::{Questions, text};
use crate::probe::service::schema::Candidate;
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";
const SPEECH: &str = "/v1/audio/speech";
const PATHS: &[&str] = &[CHAT, COMPLETIONS, EMBEDDINGS, TRANSCRIPTIONS, SPEECH];

/// Words in the names of models that transcribe, and of those that embed.
const TRANSCRIBES: &[&str] = &["whisper", "transcri", "parakeet", "canary", "speech-to-text", "-asr", "asr-"];
const EMBEDS: &[&str] = &["embed", "bge-", "e5-", "gte-", "minilm", "jina-emb"];

/// llama.cpp tells itself in every answer; the others by their paths, or when the models are asked for.
pub fn suspected(signs: &Signs) -> Suspicion {
    let listed = signs.lists("/v1/models") && PATHS.iter().any(|path| signs.lists(path));
    // ollama has this API too, but is asked by its own.
    let client = PATHS.iter().any(|path| signs.path == Some(*path)) && signs.undescribed();
    likely_or(listed || client || is_llama_cpp(signs), signs.undescribed())
}

fn is_llama_cpp(signs: &Signs) -> bool {
    let loading = signs.first.status == 503 && signs.says("Loading model");
    signs.header("server") == "llama.cpp" || loading
}

/// Asks for the models, and for what tells the software apart.
pub fn recognize(signs: &Signs, questions: &mut Questions) -> Option<Recognized> {
    let listed = questions.json("/v1/models");
    let data = listed.as_ref().and_then(|listed| listed.get("data")).filter(|data| data.is_array());
    if data.is_none() && !is_llama_cpp(signs) {
        return None;
    }
    let models = names(data, "id");
    let owners = names(data, "owned_by");
    let owner = owners.first().map_or("", String::as_str);
    // ollama's own endpoints tell more, and it owns its models as `library`.
    if owner == "library" {
        return None;
    }
    let mut found = software(signs, questions, owner)?;
    if found.by.is_empty() {
        found.by = format!("GET /v1/models: owned_by {owner:?}");
    }
    found.operations = operations(signs, data, &models, found.kind);
    if found.operations.is_empty() && models.is_empty() {
        found.lack = Some(match data {
            Some(_) => "GET /v1/models lists no model".into(),
            None => "GET /v1/models does not answer with a list of models".into(),
        });
    }
    found.models = data.map(|_| models);
    found.described_at = Some("/v1/models".into());
    Some(found)
}

/// Kind, version, by what, and where its state is told.
fn software(signs: &Signs, questions: &mut Questions, owner: &str) -> Option<Recognized> {
    let version_at = |questions: &mut Questions, path: &str| {
        questions.json(path).and_then(|answer| answer.get("version")?.as_str().map(str::to_owned))
    };
    let states = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let of = |kind, version, by: String, paths: &[&str]| {
        Some(Recognized { kind, version, by, states: states(paths), ..Recognized::default() })
    };
    if is_llama_cpp(signs) {
        let build = |props: Value| props.get("build_info")?.as_str().map(str::to_owned);
        // It answers nothing but 503 while it loads.
        let version = if signs.first.status == 503 { None } else { questions.json("/props").and_then(build) };
        let by = match signs.header("server") {
            "" => format!("its answer: {}", text(signs.first).chars().take(80).collect::<String>()),
            server => format!("header server: {server}"),
        };
        return of("llama.cpp", version, by, &["/health"]);
    }
    if owner == "vllm" || signs.lists("/is_sleeping") || signs.lists("/load") && signs.lists("/version") {
        let version = version_at(questions, "/version");
        let mut paths = vec!["/health", "/metrics"];
        if signs.lists("/is_sleeping") {
            paths.insert(0, "/is_sleeping");
        }
        return of("vllm", version, String::new(), &paths);
    }
    if let Some(path) = ["/server_info", "/get_server_info"].into_iter().find(|path| signs.lists(path))
        && (owner == "sglang" || signs.lists("/model_info") || signs.lists("/get_model_info"))
    {
        let version = version_at(questions, path);
        return of(
            "sglang",
            version,
            format!("GET {path}, and paths in the schema that only SGLang has"),
            &["/health"],
        );
    }
    if owner == "sglang" {
        return of("sglang", version_at(questions, "/get_server_info"), String::new(), &["/health"]);
    }
    if owner == "whisperlivekit" {
        return of("whisper-websocket", None, String::new(), &["/health"]);
    }
    let title = signs.title().to_ascii_lowercase();
    if let Some(kind) = ["speaches", "faster-whisper-server"].into_iter().find(|name| title.contains(*name)) {
        return of(kind, signs.version(), format!("the title of its schema: {:?}", signs.title()), &["/health"]);
    }
    // LocalAI names no owner; its version has a word of its own.
    if signs.undescribed()
        && owner.is_empty()
        && let Some(version) = version_at(questions, "/version").filter(|version| version.starts_with('v'))
    {
        let by = format!("GET /version: {version:?}, and GET /v1/models");
        return of("localai", Some(version), by, &["/readyz"]);
    }
    // A program of the user's own that follows this API is what its schema says, with models.
    match signs.document {
        Some(document) => of(document.kind(), None, "its schema, and GET /v1/models".into(), &[]),
        None => of("openai", None, String::new(), &["/health"]),
    }
}

/// What may be tried with the models, the best first.
fn operations(signs: &Signs, data: Option<&Value>, models: &[String], kind: &str) -> Vec<Candidate> {
    let wanted = signs.model.as_deref().and_then(|named| models.iter().find(|model| *model == named));
    let Some(model) = wanted.or(models.first()) else { return Vec::new() };
    // The best first, the others as what else may be said.
    let mut ordered = vec![model.clone()];
    ordered.extend(models.iter().filter(|other| *other != model).cloned());
    let entry =
        data.and_then(|data| data.as_array()?.iter().find(|one| one.get("id").and_then(Value::as_str) == Some(model)));
    let task = entry.and_then(|entry| entry.get("task")?.as_str()).unwrap_or_default();
    let name = model.to_ascii_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let transcribes = task == "automatic-speech-recognition"
        || task.is_empty() && is(TRANSCRIBES)
        || matches!(kind, "speaches" | "faster-whisper-server" | "whisper-websocket") && task.is_empty();
    let embeds = is(EMBEDS) || task == "feature-extraction";
    let order: &[&str] = match () {
        () if task == "text-to-speech" => &[SPEECH],
        () if transcribes => &[TRANSCRIPTIONS],
        () if embeds => &[EMBEDDINGS],
        // A model without a chat template is asked by completions.
        () => &[CHAT, COMPLETIONS, EMBEDDINGS],
    };
    // Where the schema tells, only what it lists is tried, and what the model's name misleads about too.
    let listed: Vec<&str> = order.iter().chain(PATHS).copied().filter(|path| signs.lists(path)).collect();
    let mut paths: Vec<&str> = if signs.undescribed() { order.to_vec() } else { listed };
    let mut seen = Vec::new();
    paths.retain(|path| {
        !seen.contains(path) && {
            seen.push(*path);
            true
        }
    });
    // An operation of a program of the user's own is chosen by its schema.
    if matches!(kind, "fastapi" | "openapi") && transcribes == signs.lists(CHAT) {
        return Vec::new();
    }
    paths.into_iter().map(|path| operation(path, &ordered)).collect()
}

/// One of the API's operations.
pub fn operation(path: &str, models: &[String]) -> Candidate {
    let model = ("model", one_of(models));
    let tokens = ("max_tokens", example("integer", json!(TOKENS)));
    match path {
        CHAT => {
            let messages = example("array", json!([{"role": "user", "content": "hi"}]));
            posted(path, &[model, ("messages", messages), tokens])
        }
        COMPLETIONS => posted(path, &[model, ("prompt", example("string", json!("hello"))), tokens]),
        EMBEDDINGS => posted(path, &[model, ("input", example("string", json!("hello")))]),
        SPEECH => {
            let (input, voice) = (example("string", json!("hello")), example("string", json!("alloy")));
            posted(path, &[model, ("input", input), ("voice", voice)])
        }
        _ => form(path, &[("file", file()), model]),
    }
}
