//! Values as they are written on the command line: what is accepted, and how it is written otherwise.

use url::Url;

/// Accepts the base URL of a server.
pub fn server_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; write it as http://HOST:PORT"))?;
    match (url.scheme(), url.host_str()) {
        ("http" | "https" | "ws" | "wss", Some(_)) => Ok(url),
        // gRPC has no usual port.
        ("grpc" | "grpcs", Some(host)) if !host.is_empty() => match url.port() {
            Some(_) => Ok(url),
            None => Err(format!("it names no port; write it as {}://HOST:PORT, for Triton 8001", url.scheme())),
        },
        ("http" | "https" | "ws" | "wss" | "grpc" | "grpcs", _) => {
            Err(format!("it names no host; write it as {}://HOST:PORT", url.scheme()))
        }
        (scheme, _) => {
            Err(format!("\"{scheme}\" is not http or https, nor grpc, grpcs, ws or wss; write it as http://HOST:PORT"))
        }
    }
}

/// Accepts a field's name and value, such as `lang=en`.
pub fn named_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE, for instance lang=en".into()),
    }
}

/// Accepts a time such as `500ms`, `60s`, `2m`; a bare number means seconds.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    let written = if text.chars().all(|c| c.is_ascii_digit()) { format!("{text}s") } else { text.to_string() };
    let span: jiff::SignedDuration = written.parse().map_err(|_| "write it as 500ms, 60s or 2m".to_string())?;
    match std::time::Duration::try_from(span) {
        Ok(duration) if !duration.is_zero() && duration.as_secs() <= 3600 => Ok(duration),
        _ => Err("it must be more than zero and at most an hour".into()),
    }
}

/// Accepts an offset from UTC such as `+05:30`, `-8` or `Z`, as minutes.
pub fn utc_offset(text: &str) -> Result<i32, String> {
    let wrong = || "write it as +05:30, -08:00 or Z".to_string();
    if matches!(text, "Z" | "z" | "UTC") {
        return Ok(0);
    }
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => return Err(wrong()),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let (hours, minutes): (u8, u8) = (hours.parse().map_err(|_| wrong())?, minutes.parse().map_err(|_| wrong())?);
    match (hours, minutes) {
        (0..=14, 0..=59) => Ok(sign * (i32::from(hours) * 60 + i32::from(minutes))),
        _ => Err(wrong()),
    }
}

/// Accepts the version of an onnxruntime, such as `1.23`, `1.23.2` or `1.23.2.dev1+cu12`.
pub fn version(text: &str) -> Result<String, String> {
    let mut parts = text.split('.');
    let is_number = |part: Option<&str>| {
        part.is_some_and(|part| part.len() < 6 && !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match is_number(parts.next()) && is_number(parts.next()) {
        true => Ok(text.to_owned()),
        false => Err("write it as 1.23 or 1.23.2".into()),
    }
}

/// Accepts the name of a Python callable, `module:callable`; both may have dots.
pub fn callable(text: &str) -> Result<String, String> {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c == '_' || c.is_alphabetic())
            && part.chars().all(|c| c == '_' || c.is_alphanumeric())
    };
    let are_names = |path: &str| path.split('.').all(is_name);
    match text.split_once(':') {
        Some((module, path)) if are_names(module) && are_names(path) => Ok(text.to_owned()),
        _ => Err("write it as module:callable, for instance app.models:load".into()),
    }
}

/// Accepts a number of samples a second, 1 to 100.
pub fn sample_rate(text: &str) -> Result<u32, String> {
    let rate = text.parse().ok().filter(|rate| (1..=100).contains(rate));
    rate.ok_or_else(|| "write how many samples a second, from 1 to 100".to_string())
}
