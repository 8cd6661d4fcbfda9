//! The parts of a recorded multipart body.

use super::files::media_type;
use crate::probe::service::message::{Content, Field, File, Place};

/// Parts that are read, and headers of one, at most.
const PARTS: usize = 200;
const HEADER_CAP: usize = 4096;

/// The fields of a body of this content type; nothing if it is no whole multipart form.
pub fn fields(body: &[u8], content_type: &str) -> Option<Vec<Field>> {
    let (essence, parameters) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary =
        parameter(parameters, "boundary").filter(|boundary| !boundary.is_empty() && boundary.len() <= 200)?;
    let delimiter = format!("--{boundary}");
    let mut fields = Vec::new();
    let mut rest = body.get(find(body, delimiter.as_bytes())? + delimiter.len()..)?;
    while fields.len() < PARTS {
        if rest.starts_with(b"--") {
            return Some(fields);
        }
        rest = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n"))?;
        let end = find(rest, delimiter.as_bytes())?;
        let part = rest.get(..end)?;
        fields.push(field(part.strip_suffix(b"\r\n").or(part.strip_suffix(b"\n"))?)?);
        rest = rest.get(end + delimiter.len()..)?;
    }
    None
}

/// One part: its headers, an empty line, its content.
fn field(part: &[u8]) -> Option<Field> {
    let (at, gap) = match (find(part, b"\r\n\r\n"), find(part, b"\n\n")) {
        (Some(at), _) => (at, 4),
        (None, Some(at)) => (at, 2),
        (None, None) => return None,
    };
    let head = std::str::from_utf8(part.get(..at.min(HEADER_CAP))?).ok()?;
    let content = part.get(at + gap..)?;
    let header = |name: &str| {
        let line =
            head.lines().find(|line| line.split(':').next().is_some_and(|own| own.trim().eq_ignore_ascii_case(name)));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let disposition = header("content-disposition")?;
    let name = parameter(&disposition, "name")?;
    let content = match parameter(&disposition, "filename") {
        Some(file) => {
            let media_type = header("content-type").unwrap_or_else(|| media_type(&file).to_owned());
            Content::File(File { name: file, media_type, bytes: content.into() })
        }
        None => Content::Text(String::from_utf8_lossy(content).into_owned()),
    };
    Some(Field { name, place: Place::Form, content, guess: false })
}

/// A parameter of a header: `name="value"` or `name=value`.
fn parameter(text: &str, name: &str) -> Option<String> {
    text.split(';').find_map(|piece| {
        let (own, value) = piece.split_once('=')?;
        own.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(step) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        let at = from + step;
        if bytes.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}
