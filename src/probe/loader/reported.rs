//! What the program told, as facts.

use crate::probe::isolation::Report;
use crate::probe::python::shortened;
use crate::probe::server_log;
use crate::snapshot::{Fact, LoadedFacts, Room, Unknown, Why};
use crate::words::plain;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest text that is kept, characters.
const TEXT_MAX: usize = 2_000;

/// The room, from the report of a child that was started.
pub fn facts(loader: &str, forward: Option<&str>, report: &Report) -> LoadedFacts {
    let mut room = without_sayings(loader, forward, report);
    let raised = [&room.error, &room.forward_error].map(|error| error.known().map_or("", String::as_str));
    let all = format!("{}\n{}", report.printed, raised.join("\n"));
    room.said = Fact::Known(server_log::said_in_text(&all, &format!("output of {loader}")));
    room
}

/// Why a name that the user gave is none of the deployment's, if so: then it is the name that is to be mended.
pub fn not_found(flag: &str, name: &str, failed: &Value) -> Option<Unknown> {
    let missing = plain(failed["not_found"].as_str()?);
    Some(Unknown::new(Why::Absent, format!("{flag} {name} names nothing that could be called: {missing}")))
}

/// The room but for what was said.
fn without_sayings(loader: &str, forward: Option<&str>, report: &Report) -> LoadedFacts {
    let parts: Vec<Value> = report.parts.iter().cloned().map(|part| clean(part, 0)).collect();
    let result = report.result().map(|result| clean(result.clone(), 0));
    let failed = match &result {
        Ok(result) => result["failed"].clone(),
        Err(_) => Value::Null,
    };
    // What ended the process during the inference leaves what was loaded as it was.
    let in_forward = result.is_err() && part(&parts, "objects").is_some();
    let ended = result.as_ref().err().cloned();
    let (failed_in, error) = match (&ended, &failed) {
        (Some(unknown), _) if !in_forward => (report.last_stage.clone(), unknown.detail.clone()),
        (None, Value::Object(_)) => (text(&failed["place"]), text(&failed["error"])),
        _ => (String::new(), String::new()),
    };
    let untold = ended.clone().unwrap_or_else(|| {
        let why = if error.is_empty() { Why::Absent } else { Why::Crashed };
        Unknown::new(why, if error.is_empty() { "it was not told".into() } else { format!("{failed_in}: {error}") })
    });
    let told = Told { parts: &parts, untold: &untold };
    let mut room = LoadedFacts {
        loader: Fact::Known(loader.to_owned()),
        python: told.value("python"),
        folder: told.value("folder"),
        failed_in: Fact::Known(plain(&failed_in)),
        error: Fact::Known(server_log::masked(&plain(&error))),
        traceback: Fact::Known(texts(&failed["traceback"])),
        import_ms: told.value("import_ms"),
        load_ms: told.value("load_ms"),
        frameworks: told.value("frameworks"),
        torch_cuda_available: told.value("torch_cuda_available"),
        objects: told.value("objects"),
        search_complete: told.value("complete"),
        parameters_by_device: told.value("parameters_by_device"),
        buffers_by_device: told.value("buffers_by_device"),
        printed: Fact::Known(server_log::masked(&shortened(&report.printed))),
        ..LoadedFacts::all_unknown(&untold)
    };
    let Some(forward) = forward else {
        forget_forward(&mut room, &Unknown::new(Why::NotAsked, "no inference was asked for (--forward)"));
        return room;
    };
    let told = part(&parts, "forward");
    if let Some(unknown) = told.and_then(|told| not_found("--forward", forward, &told["failed"])) {
        forget_forward(&mut room, &unknown);
        return room;
    }
    room.forward = Fact::Known(forward.to_owned());
    match told {
        Some(told) => {
            let (place, error) = (text(&told["failed"]["place"]), text(&told["failed"]["error"]));
            let error = match (error.is_empty(), &ended) {
                (false, _) => format!("{place}: {error}"),
                (true, Some(unknown)) => unknown.detail.clone(),
                (true, None) => error,
            };
            room.forward_error = Fact::Known(error);
            room.forward_traceback = Fact::Known(texts(&told["failed"]["traceback"]));
            room.forward_ms =
                value("ms", &told["ms"], &Unknown::new(Why::Absent, "the inference did not come to its end"));
            room.watched = value("modules", &told["modules"], &untold);
            room.leaf_calls = value("leaves", &told["leaves"], &untold);
        }
        None if in_forward => room.forward_error = Fact::Known(untold.detail.clone()),
        None => {}
    }
    room
}

/// Makes the facts about the inference unknown.
fn forget_forward(room: &mut LoadedFacts, unknown: &Unknown) {
    let nothing = LoadedFacts::all_unknown(unknown);
    room.forward = nothing.forward;
    room.forward_ms = nothing.forward_ms;
    room.forward_error = nothing.forward_error;
    room.forward_traceback = nothing.forward_traceback;
    room.watched = nothing.watched;
    room.leaf_calls = nothing.leaf_calls;
}

/// The parts that were told, and why the others were not.
struct Told<'a> {
    parts: &'a [Value],
    untold: &'a Unknown,
}

impl Told<'_> {
    fn value<T: DeserializeOwned>(&self, name: &str) -> Fact<T> {
        match part(self.parts, name) {
            Some(Value::Null) => {
                Fact::unknown(Why::NotAsked, format!("{name}: the loader's code has not imported torch"))
            }
            Some(found) => value(name, found, self.untold),
            None => Fact::Unknown(self.untold.clone()),
        }
    }
}

fn part<'a>(parts: &'a [Value], name: &str) -> Option<&'a Value> {
    parts.iter().find_map(|part| part.get(name))
}

/// A value of the expected form; `null` is one that was not told.
fn value<T: DeserializeOwned>(name: &str, found: &Value, untold: &Unknown) -> Fact<T> {
    match found {
        Value::Null => Fact::Unknown(untold.clone()),
        found => serde_json::from_value(found.clone()).map_or_else(
            |error| Fact::unknown(Why::Malformed, format!("what the loader's process reported as {name}: {error}")),
            Fact::Known,
        ),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// The value with its texts made harmless, and without secrets. Foreign code may write into the report what it likes.
fn clean(value: Value, depth: usize) -> Value {
    match value {
        _ if depth > 16 => Value::Null,
        Value::String(text) => Value::String(harmless(&text)),
        Value::Array(list) => list.into_iter().map(|item| clean(item, depth + 1)).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, item)| (harmless(&name), clean(item, depth + 1))).collect()
        }
        other => other,
    }
}

fn harmless(text: &str) -> String {
    let text: String = text.chars().take(TEXT_MAX).collect();
    server_log::masked(&plain(&text))
}
