//! What such a model usually takes on such a GPU, and how a run compares.

use super::{counted, step};
use crate::snapshot::{Facts, Gpu, LoadStep, Unknown, Why};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The rows that are built in.
const FILE: &str = include_str!("baselines.yaml");
/// Most rows of a user's file, and most bytes of it.
const ROWS: usize = 1000;
const BYTES: usize = 1 << 20;

/// Words of a card's name that make it another card.
const OTHER_CARDS: [&str; 6] = ["laptop", "mobile", "d", "ti", "super", "max"];

/// A model with its usual times.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The model's name for people.
    pub model: String,
    /// Names of which a server's name for it holds one.
    pub called: Vec<String>,
    /// Words by which others of that name are told apart.
    #[serde(default)]
    pub not_called: Vec<String>,
    /// How it was measured.
    pub conditions: String,
    /// Where the figures come from.
    pub source: String,
    /// Mean time by GPU, milliseconds.
    pub mean_ms: BTreeMap<String, f64>,
}

/// How a run compares with a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The row's model.
    pub model: String,
    /// The row's GPU, or the driver's name of a GPU that the row lacks.
    pub gpu: String,
    /// What it usually takes there, milliseconds; `None` if the row lacks the GPU.
    pub usual_ms: Option<f64>,
    /// What it took, milliseconds.
    pub measured_ms: f64,
    /// The whole in words: `2.1x slower than a T4 usually is: ...`.
    pub because: String,
    /// What differs from how the row was measured, one clause each.
    pub differs: Vec<String>,
}

/// The rows that are built in.
pub fn built_in() -> Vec<Row> {
    serde_yaml::from_str(FILE).expect("the baselines that are built in are tested")
}

/// The rows that are built in with those of a user's file before them.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn with_users(text: &str) -> Result<Vec<Row>, String> {
    if text.len() > BYTES {
        return Err(format!("the baselines have {} bytes; at most {BYTES} are read", text.len()));
    }
    let mut rows: Vec<Row> =
        serde_yaml::from_str(text).map_err(|error| format!("the baselines cannot be read: {error}"))?;
    if rows.len() > ROWS {
        return Err(format!("the baselines have {} rows; at most {ROWS} are read", rows.len()));
    }
    for row in &rows {
        if row.called.iter().all(|text| plain(text).trim().is_empty()) {
            return Err(format!("the baseline of {} has nothing under `called` by which its model is told", row.model));
        }
        if let Some((gpu, ms)) = row.mean_ms.iter().find(|(_, ms)| !(ms.is_finite() && **ms > 0.0)) {
            return Err(format!("the baseline of {} on {gpu} is {ms} ms; a time above 0 is expected", row.model));
        }
    }
    let names: Vec<String> = rows.iter().map(|row| row.model.clone()).collect();
    rows.extend(built_in().into_iter().filter(|row| !names.contains(&row.model)));
    Ok(rows)
}

/// A name in small letters, with one space for everything between words, and one at each end.
fn plain(name: &str) -> String {
    let spaced: String = name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    format!(" {} ", spaced.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether a name is one of the row's model.
fn is_called(row: &Row, name: &str) -> bool {
    let name = plain(name);
    let holds = |text: &String| !plain(text).trim().is_empty() && name.contains(&plain(text));
    row.called.iter().any(holds) && !row.not_called.iter().any(holds)
}

/// Whether the driver's name of a card is the row's: word by word, for a T4 is no T400 and an A100 with 80 GB no other.
fn is_gpu(row: &str, name: &str) -> bool {
    let (row, name) = (plain(row), plain(name));
    let has = |text: &str, word: &str| text.contains(&format!(" {word} "));
    let other = OTHER_CARDS.iter().any(|word| has(&name, word) && !has(&row, word));
    // As people write it: RTX4090.
    let joined = row.replace(' ', "") == name.replace(' ', "");
    joined || (row.split_whitespace().all(|word| has(&name, word)) && !other)
}

/// The row of that model, by its own name or as a server calls it.
pub fn of_model<'a>(rows: &'a [Row], wanted: &str) -> Option<&'a Row> {
    rows.iter().find(|row| plain(&row.model) == plain(wanted) || is_called(row, wanted))
}

/// The run's lightest step against the row of its model and GPU; `wanted` names the row where the server does not tell its
/// model, and `on` the GPU where the driver of this machine does not.
///
/// # Errors
/// What of it is not known, or that no row is of that model.
pub fn compare(facts: &Facts, rows: &[Row], wanted: Option<&str>, on: Option<&str>) -> Result<Compared, Unknown> {
    let steps = facts.load.steps.read()?;
    let not_asked = |detail: String| Unknown::new(Why::NotAsked, detail);
    let lightest = steps.iter().filter(|step| step.ok > 0).min_by_key(|step| step.users);
    let lightest = lightest.ok_or_else(|| not_asked("no request was accepted".into()))?;
    let row = match wanted {
        Some(wanted) => of_model(rows, wanted),
        None => names(facts).iter().find_map(|name| rows.iter().find(|row| is_called(row, name))),
    };
    let row = row.ok_or_else(|| not_asked("no baseline is known for the model that was asked".into()))?;
    let gpu = on.map_or_else(|| gpu_name(facts), |on| Ok(on.to_owned()))?;
    let (measured_ms, of_model) = measured(facts, lightest)?;
    let mut differs = differs(row, lightest, of_model);
    differs.extend(on.and_then(|on| of_name(facts, on)));
    let divided = |gpu: &Gpu| gpu.mig_enabled.known() == Some(&true);
    if facts.nvml.gpus.known().is_some_and(|gpus| gpus.iter().any(divided)) {
        differs.push("the GPU is divided (MIG)".into());
    }
    let beside = match differs.is_empty() {
        true => String::new(),
        false => format!("; what differs: {}", differs.join(", ")),
    };
    let usual = row.mean_ms.iter().find(|(name, _)| is_gpu(name, &gpu));
    let because = match usual {
        Some((name, usual)) => format!(
            "{} than {} {name} usually is: {} took {measured_ms:.0} ms here, and takes {usual:.0} ms there ({}){beside}",
            times(measured_ms / usual),
            article(name),
            row.model,
            row.conditions
        ),
        None => {
            let known: Vec<String> = row.mean_ms.iter().map(|(name, ms)| format!("{name} {ms:.0} ms")).collect();
            format!(
                "no baseline of {} on {gpu} is known; it took {measured_ms:.0} ms here ({}){beside}",
                row.model,
                known.join(", ")
            )
        }
    };
    Ok(Compared {
        model: row.model.clone(),
        gpu: usual.map_or(gpu, |(name, _)| name.clone()),
        usual_ms: usual.map(|(_, ms)| *ms),
        measured_ms,
        because,
        differs,
    })
}

/// What is to be said where the user names the GPU.
fn of_name(facts: &Facts, on: &str) -> Option<String> {
    match gpu_name(facts) {
        Ok(seen) if is_gpu(on, &seen) => None,
        Ok(seen) => Some(format!("the driver of this machine calls the GPU {seen}")),
        Err(_) => Some("which GPU it is was named, and not seen".into()),
    }
}

fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 1.1 => format!("{ratio:.1}x slower"),
        ratio if ratio > 0.0 && ratio <= 1.0 / 1.1 => format!("{:.1}x faster", 1.0 / ratio),
        _ => "not slower or faster".into(),
    }
}

fn article(name: &str) -> &'static str {
    if name.starts_with(['A', 'R', 'H', 'L']) { "an" } else { "a" }
}

/// By what names the model that was asked may go: what the server calls its models, and the file.
fn names(facts: &Facts) -> Vec<String> {
    let served = facts.request.served_models.known().into_iter().flatten().cloned();
    let models = facts.engine.models.known().into_iter().flatten().map(|model| model.name.clone());
    let held = facts.execution.model_files_after.known().into_iter().flatten().map(|file| file.path.clone());
    served.chain(models).chain(held).collect()
}

/// The GPU that the server works on: the only one, or the only kind.
///
/// # Errors
/// What of it is not known.
pub fn gpu_name(facts: &Facts) -> Result<String, Unknown> {
    let gpus = facts.nvml.gpus.read()?;
    let mut kinds: Vec<&String> = gpus.iter().map(|gpu| gpu.name.read()).collect::<Result<_, _>>()?;
    kinds.sort();
    kinds.dedup();
    match kinds.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Unknown::new(Why::NotAsked, "this machine has no NVIDIA GPU")),
        _ => Err(Unknown::new(Why::Unsupported, "this machine has GPUs of several kinds")),
    }
}

/// The mean to compare, and whether it is the model's own.
fn measured(facts: &Facts, step: &LoadStep) -> Result<(f64, bool), Unknown> {
    let of = facts.load.server_time_of.known().or(facts.execution.server_reported_of.known());
    let of_model = of.is_none_or(|of| of == "inference");
    match step.server_ms.known().filter(|spread| of_model && spread.mean > 0.0) {
        Some(spread) => Ok((spread.mean, true)),
        None => match counted::inference_ms(facts, step) {
            Ok(ms) if ms > 0.0 => Ok((ms, true)),
            _ => Ok((step::mean_ms(step)?, false)),
        },
    }
}

fn differs(row: &Row, step: &LoadStep, of_model: bool) -> Vec<String> {
    let mut differs = Vec::new();
    if !of_model {
        differs.push("the whole request was timed, since the server does not tell its model's time".into());
    }
    if step.users > 1 {
        differs.push(format!("{} users at once ({})", step.users, row.conditions));
    }
    if step.failed > 0 {
        differs.push(format!("{} of {} requests failed", step.failed, step.requests));
    }
    for gpu in step.gpus.known().into_iter().flatten() {
        let held = gpu.throttle_reasons_percent.known().into_iter().flatten();
        let held = held.filter(|(reason, share)| **share >= 50.0 && reason.as_str() != "gpu_idle");
        differs.extend(held.map(|(reason, share)| {
            format!("GPU {}'s clocks were held down by {reason} {share:.0} % of the time", gpu.index)
        }));
    }
    differs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::derive::load::constructed::{facts, named_gpu, spread, step};
    use crate::snapshot::Fact;
    use proptest::prelude::*;

    fn whisper(gpu: &str) -> Facts {
        let mut one = step(1, 2600.0);
        one.server_ms = Fact::Known(spread(40, 2456.3, 80.0));
        let mut facts = facts(vec![one]);
        facts.request.served_models = Fact::Known(vec!["openai/whisper-large-v3".into()]);
        facts.execution.server_reported_of = Fact::Known("inference".into());
        facts.nvml.gpus = Fact::Known(vec![named_gpu(gpu)]);
        facts
    }

    #[test]
    fn a_run_is_held_against_its_card() {
        let told = compare(&whisper("Tesla T4"), &built_in(), None, None).unwrap();
        assert!(
            told.because.starts_with("2.1x slower than a T4 usually is: Whisper large-v3 took 2456 ms"),
            "{told:?}"
        );
        assert_eq!(told.differs, [""; 0]);
        let lacking = compare(&whisper("NVIDIA T400"), &built_in(), None, None).unwrap();
        assert_eq!(lacking.usual_ms, None, "a T400 is no T4");
        let large = compare(&whisper("NVIDIA A100-SXM4-80GB"), &built_in(), None, None).unwrap();
        assert_eq!(large.usual_ms, None, "{large:?}");
        let mobile = compare(&whisper("NVIDIA GeForce RTX 4090 Laptop GPU"), &built_in(), None, None).unwrap();
        assert_eq!(mobile.usual_ms, None, "{mobile:?}");
        let named = compare(&whisper("NVIDIA T400"), &built_in(), None, Some("RTX4090")).unwrap();
        assert_eq!(named.usual_ms, Some(732.70), "the user's word wins");
        assert_eq!(named.differs, ["the driver of this machine calls the GPU NVIDIA T400"]);
        let small = compare(&whisper("NVIDIA A100-SXM4-40GB"), &built_in(), None, None).unwrap();
        assert!(small.because.starts_with("4.4x slower than an A100 40GB"), "{small:?}");
    }

    #[test]
    fn what_differs_is_said() {
        let mut facts = whisper("Tesla T4");
        facts.execution.server_reported_of = Fact::Known("request".into());
        let told = compare(&facts, &built_in(), None, None).unwrap();
        assert!(told.differs[0].starts_with("the whole request was timed"), "{told:?}");
        facts.request.served_models = Fact::Known(vec!["resnet50".into(), "whisper-large-v3-turbo".into()]);
        assert_eq!(compare(&facts, &built_in(), None, None).unwrap_err().why, Why::NotAsked);
        assert!(compare(&facts, &built_in(), Some("whisper large-v3"), None).is_ok());
    }

    #[test]
    fn users_add_rows_and_replace_them() {
        let own = "- {model: Mine, called: [mine], conditions: c, source: s, mean_ms: {T4: 7}}\n\
                   - {model: Llama 3, called: [llama 3], conditions: c, source: s, mean_ms: {L4: 900}}";
        let rows = with_users(own).unwrap();
        assert_eq!(rows.len(), built_in().len() + 1);
        assert_eq!(rows.iter().find(|row| row.model == "Llama 3").unwrap().mean_ms.len(), 1);
        for (wrong, says) in [
            ("- {model: M, called: [], conditions: c, source: s, mean_ms: {}}", "nothing under `called`"),
            ("- {model: M, called: [m], conditions: c, source: s, mean_ms: {T4: -1}}", "M on T4 is -1 ms"),
            ("- {model: M}", "cannot be read"),
            ("x", "cannot be read"),
        ] {
            assert!(with_users(wrong).unwrap_err().contains(says), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_rows_or_an_error(text in ".{0,200}", name in ".{0,40}") {
            let _ = with_users(&text);
            assert!(built_in().iter().filter(|row| is_called(row, &name)).count() < built_in().len());
            let _ = is_gpu("T4", &name);
        }
    }
}
