//! Reads the client's own request from a HAR file, as browsers and proxies record it (HAR 1.2, `log.entries`).

use super::body::{self, Body};
use super::choice;
use super::files::{Files, media_type};
use super::request::{ClientRequest, Draft, Setting};
use crate::probe::service::message::{Content, Field, File, Place};
use crate::probe::service::secrets::shown_url;
use base64::Engine;
use serde_json::Value;

/// Entries that are looked at, at most.
const ENTRIES: usize = 20_000;

/// Whether a JSON document is a HAR.
pub fn is_har(document: &Value) -> bool {
    document.pointer("/log/entries").is_some_and(Value::is_array)
}

/// Reads the entry that looks most like an inference.
pub fn parse(document: &Value, setting: &Setting) -> Result<ClientRequest, String> {
    let entries = document.pointer("/log/entries").and_then(Value::as_array).ok_or("the HAR has no log.entries")?;
    let requests: Vec<(usize, &Value)> =
        entries.iter().take(ENTRIES).enumerate().filter_map(|(at, entry)| Some((at, entry.get("request")?))).collect();
    let told: Vec<(usize, String, u8)> =
        requests.iter().map(|(at, request)| (*at, outline(request), rank(request))).collect();
    let (_, (at, request)) =
        choice::first_of_likeliest(requests, |(_, request)| rank(request)).ok_or("the HAR has no requests")?;
    let posts: Vec<String> = told
        .iter()
        .filter(|(other, _, rank)| *other != at && *rank >= 3)
        .map(|(other, outline, _)| format!("entry {} {outline}", other + 1))
        .collect();
    let mut draft = Draft::default();
    if let Some(note) = choice::others(posts.len(), &posts) {
        draft.note(format!("{note} (requests with a body; {} entries in all)", told.len()));
    }
    draft.method = text(request, "method").map(str::to_owned);
    draft.url(text(request, "url").ok_or("the HAR's entry has no URL")?)?;
    for header in list(request, "headers") {
        let (Some(name), Some(value)) = (text(header, "name"), text(header, "value")) else { continue };
        // `:authority` and its kin are HTTP/2's; the server is the one that the user names.
        if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
            continue;
        }
        // A line that is no header is the recorder's fault; the rest stands.
        if draft.header(name, value).is_err() {
            draft.note("a header of the HAR's entry is not valid and was left out");
        }
    }
    // Some recorders write cookies beside the headers only.
    let cookies: Vec<String> = list(request, "cookies")
        .filter_map(|cookie| Some(format!("{}={}", text(cookie, "name")?, text(cookie, "value")?)))
        .collect();
    if !cookies.is_empty() && !draft.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
        draft.header("cookie", &cookies.join("; "))?;
    }
    let body = match request.get("postData") {
        Some(data) => post_data(data, &mut draft, setting)?,
        None => Body::none(),
    };
    draft.finish("har", format!("entry {} of {}", at + 1, told.len()), Vec::new(), body)
}

fn rank(request: &Value) -> u8 {
    let has_body = request.get("postData").is_some_and(|data| !data.is_null());
    choice::likeness(text(request, "method").unwrap_or_default(), text(request, "url").unwrap_or_default(), has_body)
}

fn outline(request: &Value) -> String {
    format!("{} {}", text(request, "method").unwrap_or("?"), shown_url(text(request, "url").unwrap_or("?")))
}

/// The recorded body: its text, or its form parameters where browsers leave the text of files out.
fn post_data(data: &Value, draft: &mut Draft, setting: &Setting) -> Result<Body, String> {
    let declared = draft.content_type.take().or_else(|| text(data, "mimeType").map(str::to_owned)).unwrap_or_default();
    let essence = body::essence(&declared);
    let params: Vec<&Value> = list(data, "params").collect();
    let bytes = match (text(data, "text"), text(data, "encoding")) {
        (Some(text), Some("base64")) => base64::engine::general_purpose::STANDARD
            .decode(text)
            .map_err(|error| format!("the HAR's body is not base64: {error}"))?,
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, _) => Vec::new(),
    };
    if essence != "multipart/form-data" {
        if bytes.is_empty() && !params.is_empty() {
            let pairs = params
                .iter()
                .filter_map(|param| Some((text(param, "name")?, text(param, "value").unwrap_or_default())));
            return Ok(Body::urlencoded(pairs.map(|(name, value)| body::text(name, value, Place::Form)).collect()));
        }
        return Ok(Body::of_bytes(bytes, declared));
    }
    let recorded = Body::of_bytes(bytes, declared.clone());
    // Text recorded as UTF-8 has lost a file's bytes, and Chrome leaves them out altogether.
    let whole = |field: &Field| match &field.content {
        Content::File(file) => {
            !file.bytes.is_empty() && !file.bytes.windows(3).any(|three| three == "\u{fffd}".as_bytes())
        }
        _ => true,
    };
    if !recorded.fields.is_empty() && recorded.fields.iter().all(whole) {
        return Ok(recorded);
    }
    let mut fields = Vec::new();
    for param in &params {
        let name = text(param, "name").unwrap_or_default();
        match text(param, "fileName").filter(|file| !file.is_empty()) {
            Some(file) => {
                let media = text(param, "contentType").filter(|media| !media.is_empty());
                fields.push(file_field(name, file, media, draft, setting)?);
            }
            None => fields.push(body::text(name, text(param, "value").unwrap_or_default(), Place::Form)),
        }
    }
    for field in &recorded.fields {
        if fields.iter().any(|own: &Field| own.name == field.name) {
            continue;
        }
        match &field.content {
            Content::File(file) => {
                fields.push(file_field(&field.name, &file.name, Some(&file.media_type), draft, setting)?);
            }
            _ => fields.push(field.clone()),
        }
    }
    match fields.is_empty() {
        true => Err("the HAR does not hold the body of this multipart request; save it \"with content\"".into()),
        false => Ok(Body::multipart(fields)),
    }
}

/// A file of which the HAR tells the name only.
fn file_field(
    name: &str,
    file: &str,
    media: Option<&str>,
    draft: &mut Draft,
    setting: &Setting,
) -> Result<Field, String> {
    let given = setting.given_file(name);
    // A recorded name must not lead to other folders.
    let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let path = given.as_deref().unwrap_or(base);
    let bytes = Files::beside(setting.folder).read(path).map_err(|error| {
        format!("the HAR does not hold the content of the file {base:?} of the field {name:?} ({error}); put it beside the HAR, or give it: --field {name}=@FILE")
    })?;
    draft.note(format!("the content of {base} is that of the file beside the HAR, which does not hold it"));
    draft.paths.insert(name.to_owned(), path.to_owned());
    let media_type = media.map_or_else(|| media_type(base).to_owned(), str::to_owned);
    let content = Content::File(File { name: base.to_owned(), media_type, bytes: bytes.into() });
    Ok(Field { name: name.to_owned(), place: Place::Form, content, guess: false })
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().take(1000)
}
