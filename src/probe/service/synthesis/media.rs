//! Fields that hold a recording, a picture or a document: which sample goes in, and how it travels.

use super::names::{is_remote, stem, words};
use super::samples;
use crate::probe::service::message::{Content, File};
use crate::probe::service::schema::view::View;
use serde_json::Value;

const AUDIO: &[&str] =
    &["audio", "wav", "speech", "voice", "sound", "mp3", "flac", "pcm", "recording", "utterance", "waveform", "audios"];
const IMAGE: &[&str] = &[
    "image",
    "img",
    "photo",
    "picture",
    "png",
    "jpeg",
    "jpg",
    "face",
    "frame",
    "mask",
    "selfie",
    "images",
    "pixel",
    "avatar",
    "screenshot",
];
const TEXT: &[&str] = &["text", "document", "csv", "txt", "transcript", "json", "yaml", "dataset", "jsonl"];
/// Words of a path that tell what goes in.
const AUDIO_PATHS: &[&str] = &["asr", "stt", "transcribe", "transcription", "transcriptions", "vad", "diarize"];
const IMAGE_PATHS: &[&str] = &["detect", "detection", "segment", "segmentation", "ocr", "caption", "vision", "face"];

/// What kind of file goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Audio,
    Image,
    Text,
}

/// What is known of a field beside its schema.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// Its name, and that of the object that it stands in.
    pub name: &'a str,
    pub outer: &'a str,
    /// The operation's path.
    pub path: &'a str,
    /// The content type that the form wants for the part.
    pub part: &'a str,
}

/// The kind of media that the words around a field tell, the closest first.
fn told(view: &View, around: &Around) -> Option<Media> {
    let declared = [view.text("contentMediaType"), around.part];
    for media in declared {
        match media.split(['/', ';']).next().unwrap_or_default() {
            "audio" | "video" => return Some(Media::Audio),
            "image" => return Some(Media::Image),
            "text" => return Some(Media::Text),
            _ => {}
        }
    }
    let described = format!("{} {}", view.text("title"), view.text("description"));
    let any = |found: &[String], list: &[&str]| found.iter().any(|word| list.contains(&word.as_str()));
    for text in [around.name, around.outer, &described] {
        // `wav2vec` and `audiofile` are told by their start.
        let found = words(text);
        let starts = |list: &[&str]| found.iter().any(|word| list.iter().any(|start| word.starts_with(start)));
        match () {
            () if any(&found, AUDIO) || starts(&["audio", "wav"]) => return Some(Media::Audio),
            () if any(&found, IMAGE) || starts(&["image", "img"]) => return Some(Media::Image),
            () if any(&found, TEXT) => return Some(Media::Text),
            () => {}
        }
    }
    let found = words(around.path);
    match () {
        () if any(&found, AUDIO) || any(&found, AUDIO_PATHS) => Some(Media::Audio),
        () if any(&found, IMAGE) || any(&found, IMAGE_PATHS) => Some(Media::Image),
        () => None,
    }
}

/// The file for a field that holds one. What nothing tells is taken for speech.
pub fn file(view: &View, around: &Around) -> File {
    let declared = [around.part, view.text("contentMediaType")].join(",").to_ascii_lowercase();
    match told(view, around) {
        Some(Media::Image) if declared.contains("jpeg") && !declared.contains("png") => samples::jpeg(),
        Some(Media::Image) => samples::image(),
        Some(Media::Text) => samples::text(),
        Some(Media::Audio) | None => samples::speech(),
    }
}

/// The bytes of a body that is one file.
pub fn whole(media_type: &str, around: &Around) -> File {
    let bare = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match bare.as_str() {
        "image/jpeg" | "image/jpg" => samples::jpeg(),
        media if media.starts_with("image/") => samples::image(),
        media if media.starts_with("text/") => samples::text(),
        media if media.starts_with("audio/") => samples::speech(),
        _ => file(&View::default(), around),
    }
}

/// The content of a text field that holds base64 or a `data:` URL: by the schema's word, or by its name.
pub fn embedded(view: &View, around: &Around) -> Option<Content> {
    if view.first("enum").is_some() || view.first("const").is_some() {
        return None;
    }
    let text = |key: &str| view.text(key).to_ascii_lowercase();
    let name = stem(around.name);
    // {"audio": {"content": ...}}: the outer name says what is inside.
    let inside = matches!(name.as_str(), "content" | "data" | "bytes") && !around.outer.is_empty();
    let called = if inside { stem(around.outer) } else { name.clone() };
    let declared = text("contentEncoding").starts_with("base64")
        || matches!(text("format").as_str(), "byte" | "base64" | "base64url");
    let named = name.split('_').any(|word| matches!(word, "b64" | "base64"));
    let described = text("description").contains("base64");
    let media = told(view, &Around { name: &called, outer: "", ..*around });
    let by_name = told(&View::default(), &Around { name: &called, ..Around::default() });
    let whole_name = match called.strip_prefix("input_").unwrap_or(&called).split_once('_') {
        None => matches!(called.as_str(), "audio" | "image"),
        Some((media, what)) => {
            matches!(media, "audio" | "image") && matches!(what, "file" | "data" | "bytes" | "content")
        }
    } || matches!(called.as_str(), "input_audio" | "input_image");
    let holds = declared || named || matches!(by_name, Some(Media::Audio | Media::Image)) && (described || whole_name);
    if !holds || is_remote(&name) && !declared {
        return None;
    }
    Some(Content::Base64(match media {
        Some(Media::Image) => samples::image(),
        Some(Media::Text) if !named && !described => samples::text(),
        _ => samples::speech(),
    }))
}

/// A `data:` URL for a field that wants the address of media: it needs no network.
pub fn data_url(view: &View, around: &Around) -> Option<Value> {
    let media = told(view, &Around { path: "", ..*around });
    let sample = match media.filter(|_| is_remote(around.name))? {
        Media::Image => samples::image(),
        Media::Audio => samples::speech(),
        Media::Text => return None,
    };
    let base64 = crate::probe::service::message::base64(&sample.bytes);
    Some(Value::String(format!("data:{};base64,{base64}", sample.media_type)))
}
