//! The nine lines of which a user checks a server with several GPUs off, each with its proof.

use super::{accepted, end, entry, fullest, memory, once_held, optional, order, places, refused, start, total};
use crate::snapshot::{Attempt, ConnectionsFacts, Fact, Facts, SpreadReading, Unknown, Why};
use crate::words::{bytes, count};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a line came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is so, and was seen.
    Pass,
    /// It is not so.
    Fail,
    /// It could not be seen.
    Unknown,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChecklistLine {
    /// Its number, from 1.
    pub number: u64,
    /// What is to be so.
    pub expects: String,
    /// Whether it is.
    pub outcome: Outcome,
    /// What was seen, or why nothing was.
    pub proof: String,
}

/// What a line comes to: what was seen when it is so, what was seen when not, or why it is not known.
type Seen = Result<Result<String, String>, Unknown>;

/// The lines, in their order.
pub fn checklist(facts: &Facts) -> Vec<ChecklistLine> {
    let room = &facts.connections;
    let lines: [(&str, Seen); 9] = [
        ("the server detects all GPUs", detects(facts)),
        ("the first connection comes to GPU 0", comes_first(room)),
        ("the connections are spread evenly", spreads(facts)),
        ("what the server tells of its GPUs is right", tells_right(room)),
        ("GPU memory grows with the connections", memory_grows(room)),
        ("closed connections give back their place and memory", gives_back(room)),
        ("the connection too many is refused, with a reason", refuses(room)),
        ("the server's log names the GPU of each connection", logs(room)),
        ("the connections run side by side without errors", entry::at_once(room)),
    ];
    let told = |(number, (expects, seen)): (u64, (&str, Seen))| {
        let (outcome, proof) = match seen {
            Ok(Ok(proof)) => (Outcome::Pass, proof),
            Ok(Err(proof)) => (Outcome::Fail, proof),
            Err(unknown) => (Outcome::Unknown, unknown.detail),
        };
        ChecklistLine { number, expects: expects.into(), outcome, proof }
    };
    (1..).zip(lines).map(told).collect()
}

fn place(room: &ConnectionsFacts) -> &str {
    room.status_url.known().map(String::as_str).filter(|path| !path.is_empty()).unwrap_or("the server")
}

fn detects(facts: &Facts) -> Seen {
    let room = &facts.connections;
    let reading = start(room)?;
    let (told, measured) = (reading.told.read()?, reading.measured.read()?);
    let expected = order::visible(facts).unwrap_or(measured.len());
    let words = format!("{} tells of {}, NVML of {}", place(room), count(told.len(), "GPU"), measured.len());
    let words = match expected == measured.len() {
        true => words,
        false => format!("{words}, and CUDA_VISIBLE_DEVICES names {expected} of them"),
    };
    Ok(if told.len() == expected { Ok(words) } else { Err(words) })
}

/// The GPU of a connection by who is there to tell, the server first: the numbers of the list are its own.
fn gpu_of(attempt: &Attempt) -> Result<(u64, &'static str), Unknown> {
    let tellers = [
        (&attempt.claimed_gpu, "by the server's word"),
        (&attempt.logged_gpu, "by its log"),
        (&attempt.measured_gpu, "by NVML"),
    ];
    let found = tellers.iter().find_map(|(fact, by)| Some((*fact.known()?, *by)));
    found.ok_or_else(|| attempt.measured_gpu.reason().cloned().unwrap_or_else(|| Unknown::new(Why::Absent, "not told")))
}

fn comes_first(room: &ConnectionsFacts) -> Seen {
    let first = once_held(room)?.into_iter().next();
    let Some(first) = first else { return Ok(Err("not one connection was accepted".into())) };
    let (gpu, by) = gpu_of(first)?;
    let words = format!("it came to GPU {gpu} {by}");
    let others = match start(room).ok().and_then(|reading| total(reading).ok()) {
        Some(others) if others > 0 => format!("; {others} of others were there already"),
        _ => String::new(),
    };
    Ok(if gpu == 0 { Ok(words) } else { Err(format!("{words}{others}")) })
}

fn spreads(facts: &Facts) -> Seen {
    let room = &facts.connections;
    let on_one = places::on_one_gpu(room)?;
    if !on_one.is_empty() {
        return Ok(Err(on_one));
    }
    let taken = once_held(room)?;
    let all = fullest(room)?;
    let listed = all.measured.known().map(Vec::len).or_else(|| all.told.known().map(Vec::len));
    let gpus = order::visible(facts).or(listed).unwrap_or(0);
    if taken.len() < 2 || gpus < 2 {
        return Err(Unknown::new(Why::NotAsked, "that takes two connections and two GPUs"));
    }
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    let mut sequence = Vec::new();
    for attempt in taken {
        // Where a connection really came counts, not where it was meant to.
        let gpu = match attempt.measured_gpu.known() {
            Some(gpu) => *gpu,
            None => gpu_of(attempt)?.0,
        };
        *counts.entry(gpu).or_default() += 1;
        sequence.push(gpu.to_string());
        let most = counts.values().copied().max().unwrap_or(0);
        let least = if counts.len() < gpus { 0 } else { counts.values().copied().min().unwrap_or(0) };
        if most > least + 1 {
            return Ok(Err(format!("after connection {} GPU {gpu} had {most}, another one {least}", attempt.number)));
        }
    }
    let shown = sequence.get(..12).map_or_else(|| sequence.join(" "), |first| format!("{} ...", first.join(" ")));
    Ok(Ok(format!("GPU {shown}: none ever had two more than another")))
}

fn tells_right(room: &ConnectionsFacts) -> Seen {
    let wrong = places::claimed_elsewhere(room)?;
    if !wrong.is_empty() {
        return Ok(Err(wrong));
    }
    let reading = fullest(room)?;
    let grown = total(reading)?.saturating_sub(total(start(room)?)?);
    let sums = |reading: &SpreadReading| {
        let told: Option<u64> = reading.told.known()?.iter().map(|gpu| gpu.used_bytes.known().copied()).sum();
        let measured: Option<u64> = reading.measured.known()?.iter().map(|gpu| gpu.used_bytes.known().copied()).sum();
        told.zip(measured)
    };
    let memory = sums(reading).map_or(String::new(), |(told, measured)| {
        format!(", and {} in use where NVML tells {}", bytes(told as f64), bytes(measured as f64))
    });
    Ok(Ok(format!("{} counted {grown} of {} open{memory}", place(room), reading.open_connections)))
}

fn memory_grows(room: &ConnectionsFacts) -> Seen {
    let taken = once_held(room)?;
    if taken.is_empty() {
        return Err(Unknown::new(Why::NotAsked, "no connection was accepted"));
    }
    let (before, now) = (start(room)?.measured.read()?, fullest(room)?.measured.read()?);
    let sum = |list: &[crate::snapshot::MeasuredGpu]| {
        list.iter().map(|gpu| gpu.used_bytes.known().copied()).try_fold(0u64, |sum, one| sum.checked_add(one?))
    };
    let Some((before, now)) = sum(before).zip(sum(now)) else {
        return Err(Unknown::new(Why::NotAsked, "NVML does not tell the memory in use of every GPU"));
    };
    let gained = now.saturating_sub(before);
    let with = taken.iter().filter(|attempt| attempt.added_bytes.known().is_some_and(|added| *added > 0)).count();
    let words = format!("{with} of {} added memory, {} in all", count(taken.len(), "connection"), bytes(gained as f64));
    Ok(if with > 0 { Ok(words) } else { Err(words) })
}

fn gives_back(room: &ConnectionsFacts) -> Seen {
    // One of the two may not be told.
    for wrong in [places::leaked(room).unwrap_or_default(), memory::kept(room).unwrap_or_default()] {
        if !wrong.is_empty() {
            return Ok(Err(wrong));
        }
    }
    if accepted(room)?.is_empty() {
        return Err(Unknown::new(Why::NotAsked, "no connection was held to the end"));
    }
    let after = room.released_after_ms.read()? / 1e3;
    let places = total(end(room)?).map(|now| format!("{now} places are taken"));
    let memory = match (memory::cached(room), memory::still_taken(room)) {
        (Some(cached), _) => Ok(cached),
        (None, still) => still.map(|still| match still {
            0 => "all memory is free again".to_owned(),
            still => format!("{} of memory are still in use", bytes(still as f64)),
        }),
    };
    let told = |seen: &[String]| format!("{after:.1} s after the close {}", seen.join(", "));
    match (places, memory) {
        // That the places are free says nothing of the memory.
        (Ok(places), Err(unknown)) => {
            Err(Unknown::new(unknown.why, format!("{}; the memory is not known: {}", told(&[places]), unknown.detail)))
        }
        (Err(_), Err(_)) => Err(Unknown::new(Why::Absent, "neither the server nor NVML tells")),
        (places, Ok(memory)) => Ok(Ok(told(&places.into_iter().chain([memory]).collect::<Vec<String>>()))),
    }
}

fn refuses(room: &ConnectionsFacts) -> Seen {
    let held = accepted(room)?.len();
    let not_enforced = super::not_enforced(room).unwrap_or_default();
    if !not_enforced.is_empty() {
        return Ok(Err(not_enforced));
    }
    let Some(attempt) = refused(room)? else {
        if held == 0 {
            return Err(Unknown::new(Why::NotAsked, "no connection was held to the end"));
        }
        let limit = room.told_limit_per_gpu.known();
        let limit = limit.map_or(String::new(), |limit| format!("; it tells a limit of {limit} for each GPU"));
        let detail = format!("none of {} was refused{limit}: ask for more (--connections)", count(held, "connection"));
        return Err(Unknown::new(Why::NotAsked, detail));
    };
    let how = match (attempt.close_code.known(), attempt.status.known()) {
        (Some(code), _) => format!("with close code {code}"),
        (None, Some(status)) => format!("with HTTP {status}"),
        (None, None) => return Ok(Err(format!("connection {} was not answered: {}", attempt.number, attempt.reason))),
    };
    let words = format!("with {held} open, connection {} was refused {how}", attempt.number);
    Ok(match attempt.reason.as_str() {
        "" => Err(format!("{words} and no reason")),
        reason => Ok(format!("{words}: \"{reason}\"")),
    })
}

fn logs(room: &ConnectionsFacts) -> Seen {
    let taken = once_held(room)?;
    let Some(first) = taken.first() else { return Err(Unknown::new(Why::NotAsked, "no connection was accepted")) };
    let named = taken.iter().filter(|attempt| attempt.logged_gpu.known().is_some()).count();
    if let (0, Fact::Unknown(unknown)) = (named, &first.logged_gpu) {
        return match unknown.why {
            Why::Absent => Ok(Err("no line of the log names a GPU when a connection is opened".into())),
            _ => Err(optional(unknown.clone())),
        };
    }
    let differs = |attempt: &&&Attempt| {
        let other = attempt.claimed_gpu.known();
        attempt.logged_gpu.known().zip(other).is_some_and(|(logged, other)| logged != other)
    };
    if let Some(attempt) = taken.iter().find(differs) {
        return Ok(Err(format!("of connection {} the log and the server's own word name two GPUs", attempt.number)));
    }
    let words = format!("it named that of {named} of {}", count(taken.len(), "connection"));
    Ok(if named == taken.len() { Ok(words) } else { Err(words) })
}
