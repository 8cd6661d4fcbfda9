//! The requests that the doctor would send, as people and programs read them.

use crate::cli::Format;
use crate::probe::service::requests::{Field, Request, Requests};
use crate::words;
use serde_json::Value;
use std::io::{Result, Write};

/// Name and major version of the format for programs.
const SCHEMA: &str = "gpu-doctor/request/v1";
/// Characters of a value that are shown to people.
const SHOWN: usize = 50;

/// Writes the requests in the form asked for.
pub fn requests(requests: &Requests, format: Format, out: &mut dyn Write) -> Result<()> {
    match format {
        Format::Text => text(requests, out),
        Format::Json => {
            let mut document = serde_json::json!({ "format": SCHEMA, "tool": crate::TOOL });
            if let (Some(document), Value::Object(told)) = (document.as_object_mut(), serde_json::to_value(requests)?) {
                document.extend(told);
            }
            serde_json::to_writer_pretty(&mut *out, &document)?;
            out.write_all(b"\n")
        }
    }
}

fn text(requests: &Requests, out: &mut dyn Write) -> Result<()> {
    let count = requests.requests.len();
    writeln!(out, "{count} request{} made from {}; nothing was sent", plural(count), words::plain(&requests.schema))?;
    for request in &requests.requests {
        one(request, out)?;
    }
    let bad = requests.requests.iter().filter(|request| request.valid == Some(false)).count();
    let open = requests.requests.iter().filter(|request| request.valid.is_none()).count();
    if count > 1 {
        writeln!(out, "\n{} validate, {bad} do not, {open} could not be decided", count - bad - open)?;
    }
    Ok(())
}

fn one(request: &Request, out: &mut dyn Write) -> Result<()> {
    let media = if request.content_type.is_empty() { "no body" } else { &request.content_type };
    writeln!(out, "\n{} {}  ({})", request.method, words::plain(&request.path), words::plain(media))?;
    let shown: Vec<(String, String, &Field)> =
        request.fields.iter().map(|field| (cut(&words::plain(&field.name)), value(field), field)).collect();
    let width = |of: &dyn Fn(&(String, String, &Field)) -> usize| shown.iter().map(of).max().unwrap_or(0);
    let (names, values) = (width(&|row| row.0.chars().count()), width(&|row| row.1.chars().count()));
    for (name, value, field) in &shown {
        let needed = if field.required { "required" } else { "optional" };
        let guess = if field.guess && !field.source.words().contains("guess") { ", a guess" } else { "" };
        writeln!(
            out,
            "  {name:names$}  {:6}  {needed}  {value:values$}  {}{guess}",
            field.place,
            field.source.words()
        )?;
    }
    match (request.valid, request.problems.first()) {
        (Some(true), _) => writeln!(out, "  validates against the schema")?,
        (Some(false), _) => {
            request.problems.iter().try_for_each(|problem| writeln!(out, "  does not validate: {problem}"))?
        }
        (None, _) => request.undecided.iter().try_for_each(|what| writeln!(out, "  not decided: {what}"))?,
    }
    if !request.credentials.is_empty() {
        writeln!(
            out,
            "  the server wants {}; none was given (--bearer-env, --basic-env, headers in the config)",
            words::plain(&request.credentials.join(", or "))
        )?;
    }
    writeln!(out, "  {}", words::plain(&request.curl))
}

fn value(field: &Field) -> String {
    match &field.value {
        Value::String(text) => cut(&words::plain(text)),
        other => cut(&words::plain(&other.to_string())),
    }
}

fn cut(text: &str) -> String {
    match text.chars().nth(SHOWN) {
        None => text.to_owned(),
        Some(_) => format!("{}...", text.chars().take(SHOWN - 3).collect::<String>()),
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
