//! Which calls tell about providers and devices, and what they ask for.

use super::syntax::{Argument, Call, Source};
use super::token::Kind;
use crate::probe::server_log::text::{masked, told};
use crate::snapshot::SourceCall;
use std::collections::BTreeMap;
use std::ops::Range;

/// Arguments that are told. All others may hold anything.
const TOLD: &[&str] = &[
    "allowed_modules",
    "compute_type",
    "ctx_id",
    "device",
    "device_index",
    "device_map",
    "dtype",
    "map_location",
    "n_gpu_layers",
    "params",
    "provider",
    "provider_options",
    "providers",
    "sess_options",
    "torch_dtype",
    "trust_remote_code",
    "use_cuda",
];
/// Longest call that is told whole, characters.
const CALL_MAX: usize = 300;
/// Most tokens that are quoted before and behind a call.
const BEFORE_MAX: usize = 24;
const BEHIND_MAX: usize = 12;
/// Most calls of one kind that are told of one file.
const CALLS_MAX: usize = 100;
/// The session's setting that forbids the fall-back (onnxruntime_session_options_config_keys.h).
const NO_FALLBACK: &str = "session.disable_cpu_ep_fallback";

/// The file that is read.
pub struct Place<'a> {
    pub file: &'a str,
    pub origin: &'static str,
}

/// What the calls of one file tell.
#[derive(Default)]
pub struct Told {
    pub sessions: Vec<SourceCall>,
    pub models: Vec<SourceCall>,
    pub no_fallback: Vec<SourceCall>,
}

/// What is known of a kind of call: the parameter that names its device, and its place if it may go without a name.
struct Form {
    kind: &'static str,
    parameter: &'static str,
    position: Option<usize>,
}

const fn form(kind: &'static str, parameter: &'static str, position: Option<usize>) -> Form {
    Form { kind, parameter, position }
}

/// Reads the calls of one source.
pub fn read(source: &Source, place: &Place) -> Told {
    let mut told = Told::default();
    let mut later = false;
    for call in source.calls() {
        if last(&call.callee) == "set_providers" {
            later = true;
        }
        let Some(form) = form_of(source, &call) else { continue };
        let list = match form.kind {
            "onnx_session" => &mut told.sessions,
            "session_option" => &mut told.no_fallback,
            _ => &mut told.models,
        };
        if list.len() < CALLS_MAX {
            list.push(record(source, &call, &form, place));
        }
    }
    if later {
        // What the session was made with is not what it keeps.
        told.sessions.iter_mut().for_each(|call| call.device = "computed".into());
    }
    told
}

fn last(callee: &str) -> &str {
    callee.rsplit('.').next().unwrap_or(callee)
}

/// Which of the calls that matter this is.
fn form_of(source: &Source, call: &Call) -> Option<Form> {
    let callee = call.callee.as_str();
    let of = |module: &str| callee.strip_prefix(module).is_some_and(|rest| rest.starts_with('.'));
    Some(match last(callee) {
        "InferenceSession" => form("onnx_session", "providers", Some(2)),
        "add_session_config_entry" if sets_no_fallback(source, call) => form("session_option", "", None),
        "FaceAnalysis" => form("face_analysis", "providers", None),
        "get_model" if of("insightface") => form("face_analysis", "providers", None),
        "WhisperModel" => form("whisper_model", "device", Some(1)),
        "Translator" | "Generator" | "Encoder" | "Whisper" | "Wav2Vec2" | "Wav2Vec2Bert" if of("ctranslate2") => {
            form("ctranslate2_model", "device", Some(1))
        }
        "load_model" if of("whisper") || of("whisperx") => form("whisper_load", "device", Some(1)),
        "pipeline" if of("transformers") => form("pipeline", "device", None),
        "Llama" if callee == "Llama" || of("llama_cpp") => form("llama", "n_gpu_layers", None),
        "from_pretrained" if callee.contains("Llama.") && (of("Llama") || of("llama_cpp")) => {
            form("llama", "n_gpu_layers", None)
        }
        "from_pretrained" if loads_a_model(callee) => form("from_pretrained", "device_map", None),
        "load" if of("torch") => form("torch_load", "map_location", Some(1)),
        "device" if callee == "torch.device" => form("torch_device", "device", Some(0)),
        "to" if callee != "to" && moves(source, call) => form("to", "device", Some(0)),
        "cuda" if callee != "torch.cuda" && callee != "cuda" => form("cuda", "", None),
        "RapidOCR" => form("onnx_wrapper", "", None),
        _ => return None,
    })
}

/// Tokenizers, processors and configurations compute nothing.
fn loads_a_model(callee: &str) -> bool {
    !["Tokenizer", "Processor", "Config", "FeatureExtractor", "Scheduler", "PromptTemplate"]
        .iter()
        .any(|other| callee.contains(other))
}

/// Whether `.to(..)` names a device; it is called for many other things.
fn moves(source: &Source, call: &Call) -> bool {
    let Some(value) = argument(call, "device", Some(0)) else { return false };
    let written = source.written(value.clone());
    literal(source, value).map_or(written.to_ascii_lowercase().contains("device"), |word| {
        let word = word.to_ascii_lowercase();
        ["cuda", "gpu", "cpu", "mps", "auto"].iter().any(|device| word.starts_with(device))
    })
}

fn sets_no_fallback(source: &Source, call: &Call) -> bool {
    let text = |index: usize| call.arguments.get(index).and_then(|one| literal(source, one.value.clone()));
    text(0) == Some(NO_FALLBACK) && text(1) == Some("1")
}

/// The value of a parameter, by its name or at its place.
fn argument(call: &Call, name: &str, position: Option<usize>) -> Option<Range<usize>> {
    let named = call.arguments.iter().find(|one| one.name.as_deref() == Some(name));
    let placed = || position.and_then(|position| call.arguments.get(position)).filter(|one| is_plain(one));
    named.or_else(placed).map(|one| one.value.clone())
}

fn is_plain(argument: &Argument) -> bool {
    argument.name.is_none() && !argument.unpacked
}

/// The text of a string without prefix and escapes, if that is all that stands there.
pub fn literal<'a>(source: &Source<'a>, value: Range<usize>) -> Option<&'a str> {
    let only = value.len() == 1 && source.tokens.get(value.start).is_some_and(|token| token.kind == Kind::Text);
    only.then(|| unquoted(source.word(value.start)))
}

/// A string token without its quotes.
pub fn unquoted(word: &str) -> &str {
    let inner = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let quote = inner.chars().next().filter(|c| ['"', '\''].contains(c)).unwrap_or('"');
    let long: String = std::iter::repeat_n(quote, 3).collect();
    match inner.strip_prefix(&*long).and_then(|inner| inner.strip_suffix(&*long)) {
        Some(inner) => inner,
        None => inner.trim_start_matches(quote).trim_end_matches(quote),
    }
}

fn record(source: &Source, call: &Call, form: &Form, place: &Place) -> SourceCall {
    let told_arguments = call.arguments.iter().filter_map(|one| {
        let name = one.name.as_deref().filter(|name| TOLD.contains(name))?;
        Some((name.to_owned(), shown(&source.written(source.value(one.value.clone())))))
    });
    let mut arguments: BTreeMap<String, String> = told_arguments.collect();
    if let Some(value) = argument(call, form.parameter, form.position).filter(|_| !form.parameter.is_empty()) {
        arguments.entry(form.parameter.to_owned()).or_insert_with(|| shown(&source.written(source.value(value))));
    }
    let written = source.written(call.tokens.clone());
    let whole = masked(&written);
    SourceCall {
        file: place.file.to_owned(),
        line: call.line as u64,
        text: told(&lines(source, call), 0),
        call: if whole.chars().count() <= CALL_MAX { whole } else { String::new() },
        callee: told(&call.callee, 0),
        kind: form.kind.into(),
        device: device(source, call, form).into(),
        arguments,
        origin: place.origin.into(),
    }
}

fn shown(value: &str) -> String {
    masked(value).chars().take(CALL_MAX).collect()
}

/// The source lines on which the call stands, in one, as far as they are of a reasonable length.
fn lines(source: &Source, call: &Call) -> String {
    let line = |index: usize| source.tokens.get(index).map(|token| token.line);
    let with = |index: usize, other: usize| line(index) == line(other) && source.word(index) != ";";
    let (begin, last) = (call.tokens.start, call.tokens.end.saturating_sub(1));
    let before = (begin.saturating_sub(BEFORE_MAX)..begin).rev().take_while(|index| with(*index, begin)).count();
    let behind = (call.tokens.end..).take(BEHIND_MAX).take_while(|index| with(*index, last)).count();
    source.written(begin - before..call.tokens.end + behind)
}

/// What the call asks for.
fn device(source: &Source, call: &Call, form: &Form) -> &'static str {
    match form.kind {
        "cuda" => return "gpu",
        "session_option" => return "default",
        _ => {}
    }
    let unpacked = call.arguments.iter().any(|one| one.unpacked);
    let value = argument(call, form.parameter, form.position);
    // A pipeline takes either.
    let value = value.or_else(|| argument(call, "device_map", None).filter(|_| form.kind == "pipeline"));
    match value {
        None if unpacked => "computed",
        None if form.kind == "onnx_wrapper" => match call.arguments.iter().any(|one| asks_for_cuda(source, one)) {
            true => "gpu",
            false => "default",
        },
        None => "default",
        Some(value) => {
            let value = source.value(value);
            match form.parameter {
                "providers" => providers(source, value),
                "n_gpu_layers" => layers(source, value),
                _ => named_device(source, value, form.kind),
            }
        }
    }
}

/// `use_cuda=True`, `params={"Det.use_cuda": True}`.
fn asks_for_cuda(source: &Source, one: &Argument) -> bool {
    let is_true = |at: usize| source.word(at) == "True";
    match &one.name {
        Some(name) if name.ends_with("use_cuda") => is_true(one.value.start),
        _ => source.value(one.value.clone()).any(|at| source.word(at).contains("use_cuda") && is_true(at + 2)),
    }
}

/// What a list of providers asks for: only what is written out is told.
fn providers(source: &Source, value: Range<usize>) -> &'static str {
    if source.written(value.clone()) == "None" {
        return "default";
    }
    let is_display = ["[", "("].contains(&source.word(value.start));
    let mut named = Vec::new();
    for at in value.clone() {
        let word = source.word(at);
        match source.tokens.get(at).map(|token| token.kind) {
            Some(Kind::Text) => named.push(unquoted(word)),
            Some(Kind::Open | Kind::Close | Kind::Number | Kind::LineEnd) => {}
            Some(Kind::Name) if ["True", "False", "None"].contains(&word) => {}
            Some(Kind::Operator) if [",", ":", "-", "*"].contains(&word) => {}
            _ => return "computed",
        }
    }
    let providers: Vec<_> = named.into_iter().filter(|name| name.ends_with("ExecutionProvider")).collect();
    let on_cpu = |name: &&str| ["CPUExecutionProvider", "AzureExecutionProvider"].contains(name);
    match is_display {
        true if providers.iter().all(on_cpu) => "cpu",
        true => "gpu",
        false => "computed",
    }
}

fn layers(source: &Source, value: Range<usize>) -> &'static str {
    match source.written(value).as_str() {
        "0" => "cpu",
        number if number.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()) => "gpu",
        _ => "computed",
    }
}

fn named_device(source: &Source, value: Range<usize>, kind: &str) -> &'static str {
    if let Some(word) = literal(source, value.clone()) {
        let word = word.to_ascii_lowercase();
        return match word.as_str() {
            "auto" | "balanced" | "sequential" | "balanced_low_0" => "auto",
            word if word.starts_with("cuda") || word.starts_with("gpu") => "gpu",
            word if word.starts_with("cpu") => "cpu",
            _ => "computed",
        };
    }
    match (source.written(value).as_str(), kind) {
        ("None", _) => "default",
        ("-1", "pipeline") => "cpu",
        (number, "pipeline" | "to") if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => "gpu",
        _ => "computed",
    }
}
