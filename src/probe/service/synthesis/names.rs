//! What a field of a name usually holds.

use serde_json::{Value, json};

/// A value that a field of that name usually holds, if it is of the kind: `string`, `integer`, ..., or empty for any.
pub fn usual(name: &str, kind: &str) -> Option<Value> {
    let stem = stem(name);
    let stem = stem.strip_prefix("x_").unwrap_or(&stem);
    let singular = stem.strip_suffix('s').unwrap_or(stem);
    let text = matches!(kind, "string" | "");
    let value = match stem {
        "messages" | "message" if kind == "array" => json!([{"role": "user", "content": "hi"}]),
        "lang" | "language" | "locale" | "language_code" | "lang_code" | "source_lang" | "src_lang"
        | "source_language" => json!("en"),
        "target_lang" | "tgt_lang" | "target_language" => json!("de"),
        "sample_rate" | "sampling_rate" | "samplerate" | "sample_rate_hertz" | "sr" if !text || kind == "string" => {
            json!(16000)
        }
        "task" => json!("transcribe"),
        "text" | "prompt" | "query" | "question" | "sentence" | "content" | "input" | "inputs" | "instruction"
            if text =>
        {
            json!("hello")
        }
        "model" if text => json!("default"),
        "user" | "user_id" | "session_id" | "request_id" | "username" if text => json!("gpu-doctor"),
        "encoding" | "format" | "audio_format" | "input_format" if text => json!("wav"),
        "response_format" if kind == "string" => json!("json"),
        "role" if text => json!("user"),
        "url" | "uri" | "endpoint" | "webhook" | "callback_url" | "webhook_url" if text => json!("http://127.0.0.1:9/"),
        "email" if text => json!("gpu-doctor@example.com"),
        "max_tokens" | "max_new_tokens" | "n_predict" | "max_completion_tokens" => json!(4),
        "temperature" if kind == "number" => json!(0.0),
        "stream" if kind == "boolean" => json!(false),
        "channels" | "num_channels" | "batch_size" | "num_beams" | "beam_size" | "n" | "top_k"
            if matches!(kind, "integer" | "number") =>
        {
            json!(1)
        }
        "decoding" | "decoder" if text => json!("greedy"),
        // Of a list of them one is asked about by the item's name.
        _ if singular != stem && matches!(singular, "text" | "prompt" | "sentence") && text => json!("hello"),
        _ if singular != stem && matches!(singular, "lang" | "language") && text => json!("en"),
        _ => return None,
    };
    let fits = match kind {
        // A query or form carries a number as text anyway; a JSON string must be one.
        "string" | "" => true,
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        _ => false,
    };
    fits.then_some(value)
}

/// Names of fields that usually hold what the model is to work on.
pub fn is_main_input(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "text",
        "prompt",
        "input",
        "inputs",
        "messages",
        "query",
        "question",
        "data",
        "instances",
        "sentence",
        "content",
        "texts",
        "sentences",
        "request",
    ];
    NAMES.contains(&stem(name).as_str())
}

/// Whether a value of that name is fetched by the server from elsewhere.
pub fn is_remote(name: &str) -> bool {
    words(name).iter().any(|word| matches!(word.as_str(), "url" | "uri" | "urls" | "uris" | "link" | "href" | "s3"))
}

/// Whether a field of which only the name is known is probably a file.
pub fn looks_like_file(name: &str) -> bool {
    ["audio", "file", "image", "wav"].contains(&stem(name).as_str())
}

/// The name in lower snake case, without an ending such as `[]`.
pub fn stem(name: &str) -> String {
    let mut out = String::new();
    for (index, c) in name.trim_end_matches("[]").chars().enumerate() {
        if c.is_ascii_uppercase() && index > 0 && out.ends_with(|c: char| c.is_ascii_lowercase()) {
            out.push('_');
        }
        out.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    out
}

/// The words of a name, a path or a description.
pub fn words(text: &str) -> Vec<String> {
    stem(text).split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
