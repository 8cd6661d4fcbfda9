//! JSON Lines: one object a line. They are read as the table that they are, a column for each member.

use super::evidence::Evidence;
use super::form::{Form, Head, Recognized, recognize as recognized};
use super::reader::Reader;
use super::table::rows::{Delimiter, Rows};
use super::{requests, samples};
use crate::snapshot::RecordedFile;
use serde_json::{Map, Value};
use std::path::Path;

/// Separates cells of the table that is made; no JSON text holds it unescaped.
const DELIMITER: char = '\t';
/// Objects of the beginning whose members become columns.
const SAMPLE: usize = 200;
/// Columns, at most.
const COLUMNS: usize = 256;
/// Members that hold the server's answer.
const ANSWERS: &[&str] = &["response", "response_body", "response_text", "answer", "body", "error", "detail"];
/// Longest text of a cell, characters.
const CELL: usize = 1000;

/// Objects that tell of requests.
pub fn recognize_requests(head: &Head) -> Option<Recognized> {
    of_form(head, &Form { kind: "", names: &[], recognize: requests::recognize })
}

/// Objects that tell of GPU samples.
pub fn recognize_samples(head: &Head) -> Option<Recognized> {
    of_form(head, &Form { kind: "", names: &[], recognize: samples::recognize })
}

/// Objects that `gpu-doctor watch` wrote.
pub fn recognize_watch(head: &Head) -> Option<Recognized> {
    of_form(head, &Form { kind: "", names: &[], recognize: samples::watch::recognize })
}

fn of_form(head: &Head, form: &Form) -> Option<Recognized> {
    if head.first() != Some(b'{') {
        return None;
    }
    let mut objects: Vec<Map<String, Value>> = Vec::new();
    for line in head.lines().filter(|line| !line.trim_ascii().is_empty()).take(SAMPLE) {
        match serde_json::from_slice(line) {
            Ok(object) => objects.push(object),
            // One line may be damaged, the first may not.
            Err(_) if objects.is_empty() => return None,
            Err(_) => {}
        }
    }
    let mut columns: Vec<String> = Vec::new();
    for row in objects.iter().flat_map(rows) {
        for (name, _) in row {
            if columns.len() < COLUMNS && !columns.contains(&name) {
                columns.push(name);
            }
        }
    }
    let mut table = line(columns.iter().map(String::as_str));
    objects.iter().flat_map(rows).for_each(|row| table.push_str(&cells(&columns, &row)));
    let made = Head::new(Path::new(&head.name), table.as_bytes(), true);
    let (_, inner) = recognized(std::slice::from_ref(form), &made).ok()?;
    let header = line(columns.iter().map(String::as_str));
    let mut reader = inner.reader;
    reader.feed(header.as_bytes());
    let by = format!("one JSON object a line, {}", inner.by.replacen("columns", "members", 1));
    let lines = Rows::new(Delimiter::Byte(b'\n'), 1);
    Some(Recognized {
        by,
        certain: true,
        reader: Box::new(JsonLines { lines, columns, inner: reader, broken: Vec::new() }),
    })
}

struct JsonLines {
    lines: Rows,
    columns: Vec<String>,
    inner: Box<dyn Reader>,
    broken: Vec<u64>,
}

impl Reader for JsonLines {
    fn feed(&mut self, bytes: &[u8]) {
        let Self { lines, columns, inner, broken } = self;
        lines.feed(bytes, &mut |row| pass(row.line, row.line_bytes(), columns, inner.as_mut(), broken));
    }

    fn end(mut self: Box<Self>, file: &mut RecordedFile) -> Vec<Evidence> {
        let Self { lines, columns, inner, broken } = &mut *self;
        lines.end(&mut |row| pass(row.line, row.line_bytes(), columns, inner.as_mut(), broken));
        if let Some(line) = self.broken.first() {
            file.faults.push(format!("line {line}: it is no JSON object (so in {} lines)", self.broken.len()));
        }
        self.inner.end(file)
    }
}

fn pass(number: u64, bytes: &[u8], columns: &[String], inner: &mut dyn Reader, broken: &mut Vec<u64>) {
    if bytes.trim_ascii().is_empty() {
        // The lines' numbers stay those of the file.
        return inner.feed(b"\n");
    }
    match serde_json::from_slice::<Map<String, Value>>(bytes) {
        Ok(object) => match rows(&object).as_slice() {
            [] => inner.feed(b"\n"),
            rows => rows.iter().for_each(|row| inner.feed(cells(columns, row).as_bytes())),
        },
        Err(_) => {
            if broken.len() < 100_000 {
                broken.push(number);
            }
            inner.feed(b"\n");
        }
    }
}

/// The rows of an object: one, or one for each of its `gpus`, with the members of the object itself.
fn rows(object: &Map<String, Value>) -> Vec<Vec<(String, String)>> {
    if let Some(of_k6) = k6_rows(object) {
        return of_k6;
    }
    let own = plain(object, "");
    let Some(Value::Array(gpus)) = object.get("gpus") else { return vec![own] };
    let each = |(place, gpu): (usize, &Value)| {
        let mut row = own.clone();
        let members = gpu.as_object().map(|gpu| plain(gpu, "")).unwrap_or_default();
        if !members.iter().any(|(name, _)| matches!(name.as_str(), "index" | "gpu" | "gpu_id" | "uuid")) {
            row.push(("index".into(), place.to_string()));
        }
        row.extend(members);
        row
    };
    gpus.iter().take(64).enumerate().map(each).collect()
}

/// The row of a line of `k6 run --out json=FILE` (k6, output/json/wrapper.go), with the columns that its CSV has: one for
/// a value, none for the description of a metric.
fn k6_rows(object: &Map<String, Value>) -> Option<Vec<Vec<(String, String)>>> {
    let (kind, metric) = (object.get("type")?.as_str()?, object.get("metric")?.as_str()?);
    let data = object.get("data")?.as_object()?;
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.chars().take(CELL).collect(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let tag = |name: &str| (name.to_owned(), text(data.get("tags").and_then(|tags| tags.get(name))));
    match kind {
        "Metric" => Some(Vec::new()),
        "Point" => Some(vec![vec![
            ("metric_name".into(), metric.chars().take(CELL).collect()),
            ("timestamp".into(), text(data.get("time"))),
            ("metric_value".into(), text(data.get("value"))),
            tag("error"),
            tag("status"),
        ]]),
        _ => None,
    }
}

/// The members that are values, and those of objects within, one level deep.
fn plain(object: &Map<String, Value>, before: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, value) in object.iter().take(COLUMNS) {
        let name = if before.is_empty() { name.clone() } else { format!("{before}_{name}") };
        match value {
            // What a server answered is kept as it is; other objects tell by their members.
            Value::Object(_) | Value::Array(_) if ANSWERS.contains(&name.as_str()) => {
                // The table has no quotes: within a cell they would stand for something.
                found.push((name, value.to_string().replace('"', "'").chars().take(CELL).collect()));
            }
            Value::Object(inner) if before.is_empty() => found.extend(plain(inner, &name)),
            Value::Object(_) | Value::Array(_) => {}
            Value::Null => found.push((name, String::new())),
            Value::String(text) => found.push((name, text.chars().take(CELL).collect())),
            other => found.push((name, other.to_string())),
        }
    }
    found
}

fn cells(columns: &[String], row: &[(String, String)]) -> String {
    let cell = |column: &String| row.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value.as_str());
    line(columns.iter().map(cell))
}

/// One line of the table. What would end a cell, a line or a quoted cell is a space.
fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let whole = |cell: &str| cell.replace([DELIMITER, '\n', '\r', '"'], " ");
    cells.map(whole).collect::<Vec<_>>().join(&DELIMITER.to_string()) + "\n"
}
