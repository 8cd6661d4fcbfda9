//! By which names servers tell the time that their work took, and in which unit.

/// What a time is of. The order is that in which they are preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meant {
    /// The model's own time.
    Inference,
    /// The server's time for the whole request.
    Request,
}

impl Meant {
    /// As the snapshot says it.
    pub fn word(self) -> &'static str {
        match self {
            Meant::Inference => "inference",
            Meant::Request => "request",
        }
    }
}

/// The unit of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
    /// Neither the name nor the value says.
    Unsaid,
}

impl Unit {
    /// What one of them is in milliseconds.
    pub fn in_ms(self) -> Option<f64> {
        match self {
            Unit::Nanoseconds => Some(1e-6),
            Unit::Microseconds => Some(1e-3),
            Unit::Milliseconds => Some(1.0),
            Unit::Seconds => Some(1e3),
            Unit::Unsaid => None,
        }
    }
}

/// The unit of that name.
pub fn unit(name: &str) -> Option<Unit> {
    Some(match name {
        "ns" | "nanos" | "nanosec" | "nanosecond" | "nanoseconds" => Unit::Nanoseconds,
        "us" | "µs" | "micros" | "microsec" | "microsecond" | "microseconds" => Unit::Microseconds,
        "ms" | "msec" | "msecs" | "millis" | "millisec" | "millisecond" | "milliseconds" => Unit::Milliseconds,
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Seconds,
        _ => return None,
    })
}

/// Names of the model's time, without `time`, `duration`, `latency`, `elapsed` and the unit.
const INFERENCE: &[&str] = &[
    "inference",
    "infer",
    "model",
    "model_inference",
    "gpu",
    "gpu_inference",
    "forward",
    "compute",
    "predict",
    "prediction",
    "generation",
    "transcription",
    "decode_and_infer",
    "server_inference",
];
/// Names of the whole request's time. A bare `duration` is mostly the length of sound.
const REQUEST: &[&str] =
    &["processing", "process", "total", "request", "response", "server", "execution", "handler", "took", "elapsed"];
/// Words that say that it is a time at all.
const TIME: &[&str] = &["time", "duration", "latency", "elapsed", "took"];

/// What a member or header of that name tells: `inference_time_ms`, `inferMs`, `processing-time`. `None` if it is no time of
/// the server's.
pub fn meant(name: &str) -> Option<(Meant, Unit)> {
    let mut words = words(name);
    let mut said = words.last().and_then(|last| unit(last));
    if said.is_some() {
        words.pop();
    }
    // `time_in_seconds`.
    if said.is_some() && words.last().is_some_and(|last| last == "in") {
        words.pop();
    }
    let is_time = words.last().is_some_and(|last| TIME.contains(&last.as_str()));
    if !is_time && said.is_none() {
        return None;
    }
    // ollama counts nanoseconds in members of this one name.
    if name == "total_duration" {
        said = Some(Unit::Nanoseconds);
    }
    let bare = ["took", "elapsed"];
    if is_time && !(words.len() == 1 && bare.contains(&words[0].as_str())) {
        words.pop();
    }
    // Without a unit, "duration_ms" and the like are of the request; "time" and "duration" alone are anything.
    let stem = words.join("_");
    let meant = match stem.as_str() {
        "" if said == Some(Unit::Milliseconds) && is_time => Meant::Request,
        stem if INFERENCE.contains(&stem) => Meant::Inference,
        stem if REQUEST.contains(&stem) => Meant::Request,
        _ => return None,
    };
    Some((meant, said.unwrap_or(Unit::Unsaid)))
}

/// What an entry of Server Timing is of, by its name.
pub fn of_entry(name: &str) -> Option<Meant> {
    meant(&format!("{name}_ms")).or_else(|| meant(name)).map(|(meant, _)| meant)
}

/// The words of a name in any of the usual spellings, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut before_is_lower = false;
    for c in name.chars() {
        let starts = c.is_uppercase() && before_is_lower;
        before_is_lower = c.is_lowercase() || c.is_ascii_digit();
        if !c.is_alphanumeric() {
            words.push(String::new());
            continue;
        }
        if starts {
            words.push(String::new());
        }
        if let Some(last) = words.last_mut() {
            last.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
