//! Another of the doctor's samples, where an answer says that the file is of a kind that it does not take.

use super::complaint::pattern;
use super::rounds::{Progress, Step};
use super::{Answered, NAMED};
use crate::probe::service::message::{Content, Field, File};
use crate::probe::service::synthesis::{Synthesis, samples};
use regex::Regex;
use std::sync::LazyLock;

/// Other samples tried for one field, at most; length of an answer that is searched, bytes.
const TRIALS: usize = 2;
const TEXT_CAP: usize = 4 << 10;

/// `Only image/jpeg is accepted`: what is taken stands behind such a word.
static TAKES: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:only|accepts?|accepted|supports?|supported|expects?|expected|must be|should be|allows?|allowed)\b",
    )
});
/// What was sent stands behind one of these.
static SENT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\b(?:got|but|received|not|instead of|you sent)\b"));
/// `could not decode audio`, `cannot identify image file`, `Unknown audio format`.
static UNREADABLE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:could not|couldn't|cannot|can't|can not|failed to|unable to|error|invalid|unknown|unsupported|unrecognized|not an?)\b[^.\n<]{0,30}\b(audio|sound|wav|waveform|speech|image|picture|photo|img)\b",
    )
});

/// The words of a format of which there is a sample.
const FORMATS: &[(&str, &[&str])] = &[("jpeg", &["jpeg", "jpg"]), ("png", &["png"]), ("wav", &["wav", "wave"])];

/// The field whose file is replaced by another sample. The user's own word is not replaced.
pub fn step(current: &Answered, synthesis: &Synthesis, progress: &mut Progress) -> Option<Step> {
    if !current.complaint.missing.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(current.body.get(..TEXT_CAP).unwrap_or(&current.body));
    for field in &current.message.fields {
        let (Content::File(file) | Content::Base64(file)) = &field.content else { continue };
        let tried = progress.resampled.iter().filter(|name| **name == field.name).count();
        if tried >= TRIALS || synthesis.given.contains_key(&field.name) {
            continue;
        }
        let Some(sample) = wanted(&text, file) else { continue };
        progress.resampled.push(field.name.clone());
        let content = match field.content {
            Content::Base64(_) => Content::Base64(sample),
            _ => Content::File(sample),
        };
        return Some((vec![Field { content, guess: true, ..field.clone() }], NAMED.to_owned()));
    }
    None
}

/// The sample that an answer wants instead of a file; nothing if it says nothing of the kind, or there is none.
fn wanted(text: &str, file: &File) -> Option<File> {
    let sent = formats(&file.media_type);
    if let Some(word) = TAKES.find(text) {
        let behind = text.get(word.end()..).unwrap_or_default();
        let behind = SENT.find(behind).and_then(|end| behind.get(..end.start())).unwrap_or(behind);
        let mut named = formats(behind);
        if named.is_empty() {
            named = formats(text);
            named.retain(|format| !sent.contains(format));
        }
        let fits = named.iter().any(|format| sent.contains(format));
        if let Some(format) = named.first().filter(|_| !fits) {
            return Some(sample(format));
        }
    }
    let what = UNREADABLE.captures(text)?.get(1)?.as_str().to_ascii_lowercase();
    let [speech, png, jpeg] = [samples::speech(), samples::image(), samples::jpeg()];
    match what.as_str() {
        "audio" | "sound" | "wav" | "waveform" | "speech" => (file.bytes != speech.bytes).then_some(speech),
        _ if file.bytes == png.bytes => Some(jpeg),
        _ => Some(png),
    }
}

/// The formats that a text names, in its order.
fn formats(text: &str) -> Vec<&'static str> {
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let format = |word: &str| FORMATS.iter().find(|(_, words)| words.contains(&word)).map(|(format, _)| *format);
    words.filter_map(format).take(20).collect()
}

fn sample(format: &str) -> File {
    match format {
        "jpeg" => samples::jpeg(),
        "png" => samples::image(),
        _ => samples::speech(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_of_the_kind_that_the_answer_takes() {
        let name = |text: &str, file: File| wanted(text, &file).map(|file| file.name);
        let (png, jpeg, wav) = (samples::image, samples::jpeg, samples::speech);
        let other = || File { name: "a.wav".into(), media_type: "audio/wav".into(), bytes: b"RIFF"[..].into() };
        for (text, file, expected) in [
            ("Unsupported media type: image/png. Only image/jpeg is accepted", png(), Some("image.jpg")),
            ("Only PNG files are supported, got image/jpeg", jpeg(), Some("image.png")),
            ("image/png is not supported, use image/jpeg", png(), Some("image.jpg")),
            ("Invalid file type. Allowed: wav", jpeg(), Some("speech.wav")),
            ("Only image/jpeg is accepted", jpeg(), None),
            ("allowed types: image/jpeg, image/png", png(), None),
            ("<p>could not decode audio</p>", png(), Some("speech.wav")),
            ("Unknown audio format", other(), Some("speech.wav")),
            ("could not decode audio", wav(), None),
            ("cannot identify image file <_io.BytesIO>", wav(), Some("image.png")),
            ("cannot identify image file", png(), Some("image.jpg")),
            ("Internal Server Error", png(), None),
            ("Unsupported language: fr. Supported: en, hi", other(), None),
        ] {
            assert_eq!(name(text, file).as_deref(), expected, "{text}");
        }
    }
}
