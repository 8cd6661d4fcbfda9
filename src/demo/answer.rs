//! The demo server's routes.

use base64::Engine;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Instant;

/// Longest body that is read, bytes.
const BODY_CAP: usize = 32 << 20;

/// What a client did wrong: status and detail.
type Rejection = (StatusCode, Value);

/// Answers one request.
pub async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let result = match (request.method(), request.uri().path()) {
        (&Method::GET, "/openapi.json") => Ok(schema()),
        (&Method::GET, "/health") => Ok(json!({ "status": "healthy", "device": "cpu", "demo": true })),
        (&Method::POST, "/asr") => multipart(request).await,
        (&Method::POST, "/asr/json") => plain_json(request).await,
        (_, "/openapi.json" | "/health" | "/asr" | "/asr/json") => {
            Err((StatusCode::METHOD_NOT_ALLOWED, json!("Method Not Allowed")))
        }
        _ => Err((StatusCode::NOT_FOUND, json!("Not Found"))),
    };
    let (status, body) = match result {
        Ok(body) => (StatusCode::OK, body),
        Err((status, detail)) => (status, json!({ "detail": detail })),
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(response)
}

fn bad(detail: impl Into<Value>) -> Rejection {
    (StatusCode::BAD_REQUEST, detail.into())
}

async fn read(request: Request<Incoming>) -> Result<Bytes, Rejection> {
    let body = Limited::new(request.into_body(), BODY_CAP).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| bad(format!("the body could not be read: {error}")))
}

async fn multipart(request: Request<Incoming>) -> Result<Value, Rejection> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = content_type.and_then(|value| multer::parse_boundary(value).ok());
    let Some(boundary) = boundary else { return Err(field_required("audio")) };
    let body = read(request).await?;
    let stream = Full::new(body).into_data_stream();
    let mut form = multer::Multipart::new(stream, boundary);
    let (mut audio, mut lang) = (None, None);
    let malformed = |error: multer::Error| bad(format!("malformed multipart body: {error}"));
    while let Some(field) = form.next_field().await.map_err(malformed)? {
        match field.name() {
            Some("audio") => audio = Some(field.bytes().await.map_err(malformed)?),
            Some("lang") => lang = Some(field.text().await.map_err(malformed)?),
            _ => {}
        }
    }
    let audio = audio.ok_or_else(|| field_required("audio"))?;
    transcribe(&audio, lang)
}

async fn plain_json(request: Request<Incoming>) -> Result<Value, Rejection> {
    let body: Value = serde_json::from_slice(&read(request).await?).map_err(|error| bad(error.to_string()))?;
    let audio = body.get("audio_b64").and_then(Value::as_str).ok_or_else(|| field_required("audio_b64"))?;
    let audio = base64::engine::general_purpose::STANDARD.decode(audio);
    let audio = audio.map_err(|error| bad(format!("audio_b64 is not base64: {error}")))?;
    transcribe(&audio, body.get("lang").and_then(Value::as_str).map(str::to_owned))
}

/// The answer that FastAPI gives for a field that its schema requires.
fn field_required(name: &str) -> Rejection {
    let detail = json!([{ "type": "missing", "loc": ["body", name], "msg": "Field required", "input": null }]);
    (StatusCode::UNPROCESSABLE_ENTITY, detail)
}

/// Demands `lang` in code, then measures the audio: honest work on the CPU, but no model.
fn transcribe(audio: &[u8], lang: Option<String>) -> Result<Value, Rejection> {
    let lang = lang.filter(|lang| !lang.is_empty()).ok_or_else(|| bad("lang parameter is required"))?;
    let started = Instant::now();
    let samples = samples(audio).ok_or_else(|| bad("audio is not a RIFF WAV file with 16 bit samples"))?;
    let voiced = voiced_share(&samples);
    let inference_time_ms = started.elapsed().as_secs_f64() * 1e3;
    let text = format!("(demo, no model) {} samples, {:.0} % of the frames are voiced", samples.len(), voiced * 100.0);
    Ok(json!({ "text": text, "lang": lang, "inference_time_ms": inference_time_ms }))
}

/// The 16 bit samples of a RIFF WAV file's `data` chunk (Microsoft, "Multimedia Programming Interface", 1991).
fn samples(wav: &[u8]) -> Option<Vec<i16>> {
    let word = |at: usize| wav.get(at..at + 4);
    if word(0)? != b"RIFF" || word(8)? != b"WAVE" {
        return None;
    }
    let mut at: usize = 12;
    loop {
        let size = u32::from_le_bytes(word(at + 4)?.try_into().ok()?) as usize;
        let start = at + 8;
        if word(at)? == b"data" {
            let end = start.saturating_add(size).min(wav.len());
            let pairs = wav.get(start..end)?.chunks_exact(2);
            return Some(pairs.filter_map(|pair| pair.try_into().ok().map(i16::from_le_bytes)).collect());
        }
        // Chunks are padded to an even length.
        at = start.checked_add(size)?.checked_add(size & 1)?;
    }
}

/// Share of the 32 ms frames with a pitch between 80 and 400 Hz, by autocorrelation.
fn voiced_share(samples: &[i16]) -> f64 {
    let frames: Vec<&[i16]> = samples.chunks_exact(512).take(2000).collect();
    let is_voiced = |frame: &&&[i16]| {
        let at = |lag: usize| -> f64 {
            let pairs = frame.iter().zip(frame.iter().skip(lag));
            pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let energy = at(0);
        energy > 1e7 && (40..200).map(at).fold(0.0, f64::max) > 0.3 * energy
    };
    if frames.is_empty() { 0.0 } else { frames.iter().filter(is_voiced).count() as f64 / frames.len() as f64 }
}

/// The document at `/openapi.json`, as FastAPI would write it. It does not say that `lang` is demanded.
fn schema() -> Value {
    let reference = |name: &str| json!({ "schema": { "$ref": format!("#/components/schemas/{name}") } });
    let responses = json!({
        "200": { "description": "Successful Response", "content": { "application/json": { "schema": {} } } },
        "422": {
            "description": "Validation Error",
            "content": { "application/json": reference("HTTPValidationError") },
        },
    });
    let lang = json!({ "anyOf": [{ "type": "string" }, { "type": "null" }], "title": "Lang" });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "gpu-doctor demo",
            "description": "A demonstration: no model runs here, the audio is only measured on the CPU.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": {
            "/health": { "get": { "operationId": "health", "responses": responses } },
            "/asr": { "post": {
                "operationId": "asr",
                "requestBody": { "required": true, "content": { "multipart/form-data": reference("Body_asr") } },
                "responses": responses,
            } },
            "/asr/json": { "post": {
                "operationId": "asr_json",
                "requestBody": { "required": true, "content": { "application/json": reference("AsrJson") } },
                "responses": responses,
            } },
        },
        "components": { "schemas": {
            "Body_asr": {
                "type": "object",
                "required": ["audio"],
                "properties": {
                    "audio": { "type": "string", "contentMediaType": "application/octet-stream", "title": "Audio" },
                    "lang": lang,
                },
            },
            "AsrJson": {
                "type": "object",
                "required": ["audio_b64"],
                "properties": {
                    "audio_b64": { "type": "string", "title": "Audio B64", "description": "WAV as base64" },
                    "lang": lang,
                },
            },
            "HTTPValidationError": { "type": "object", "properties": {} },
        } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEECH: &[u8] = include_bytes!("../../fixtures/samples/speech.wav");

    #[test]
    fn speech_is_measured_and_lang_is_demanded() {
        let samples = samples(SPEECH).unwrap();
        assert_eq!(samples.len(), 73_040);
        let voiced = voiced_share(&samples);
        assert!(voiced > 0.3 && voiced < 0.95, "{voiced}");
        assert_eq!(transcribe(SPEECH, None).unwrap_err(), bad("lang parameter is required"));
        assert_eq!(transcribe(SPEECH, Some("en".into())).unwrap()["lang"], "en");
        assert_eq!(transcribe(b"RIFFxxxxWAVE", Some("en".into())).unwrap_err().0, StatusCode::BAD_REQUEST);
    }
}
