//! GPU memory: what a connection takes, how many a card holds, and what is not given back.

use super::{accepted, end, fullest, gpus_in_words, optional, places, refused, start};
use crate::snapshot::{ConnectionsFacts, MeasuredGpu, SpreadReading, Unknown, Why};
use crate::words;
use std::collections::BTreeMap;

/// Share of a card's memory that is left alone: allocators need some to work with, and peaks are higher than rest.
const RESERVE_SHARE: f64 = 0.05;
/// A limit is low where memory holds so many times as many connections.
const LOW: f64 = 1.5;
/// Share of what the connections added that must still be taken after they were closed, to be said.
const KEPT_SHARE: f64 = 0.5;

/// Share of what the connections added, and bytes, by which a second round must leave more, to be a leak.
const GROWS_SHARE: f64 = 0.05;
const GROWS_BYTES: u64 = 64 << 20;

/// What memory says of connections.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Figures {
    /// Memory that the first connection on a GPU added, bytes: what all share may be in it.
    pub first_bytes: u64,
    /// Memory that each further one added, bytes; of the first where there was no further one.
    pub each_bytes: u64,
    /// The least and the most that one of these added, bytes, and how many there were.
    pub each_lowest_bytes: u64,
    /// See above.
    pub each_highest_bytes: u64,
    /// See above.
    pub counted: u64,
    /// Connections that the smallest card holds with 5 % of its memory to spare, if each takes the most that one took.
    pub safe_per_gpu: u64,
    /// Memory of that card, bytes.
    pub total_bytes: u64,
}

/// The figures, where at least one connection's memory was seen.
///
/// # Errors
/// Why they are not known.
pub fn figures(room: &ConnectionsFacts) -> Result<Figures, Unknown> {
    let mut by_gpu: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for attempt in accepted(room)? {
        if let (Some(gpu), Some(bytes)) = (attempt.measured_gpu.known(), attempt.added_bytes.known()) {
            by_gpu.entry(*gpu).or_default().push(*bytes);
        }
    }
    let first: Vec<u64> = by_gpu.values().filter_map(|added| added.first().copied()).collect();
    let later: Vec<u64> = by_gpu.values().flat_map(|added| added.iter().skip(1).copied()).collect();
    let unseen = || Unknown::new(Why::NotAsked, "no connection was seen to add memory on one GPU");
    let first_bytes = median(first.clone()).ok_or_else(unseen)?;
    let those = if later.is_empty() { first } else { later };
    let range = those.iter().copied().min().zip(those.iter().copied().max());
    let (each_lowest_bytes, each_highest_bytes) = range.unwrap_or((first_bytes, first_bytes));
    let counted = those.len() as u64;
    let each_bytes = median(those).unwrap_or(first_bytes).max(1);
    let gpus = start(room)?.measured.read().map_err(optional)?;
    let holds = |gpu: &MeasuredGpu| {
        let total = *gpu.total_bytes.known()?;
        let free = (total as f64 * (1.0 - RESERVE_SHARE)) as u64;
        let free = free.saturating_sub(*gpu.used_bytes.known()?);
        let further = free.checked_sub(first_bytes).map(|rest| rest / each_highest_bytes.max(1));
        Some((further.map_or(0, |further| further + 1), total))
    };
    // A card on which none came may be somebody else's.
    let theirs = gpus.iter().filter(|gpu| by_gpu.contains_key(&gpu.index));
    let (safe_per_gpu, total_bytes) = theirs.filter_map(holds).min().ok_or_else(unseen)?;
    Ok(Figures { first_bytes, each_bytes, each_lowest_bytes, each_highest_bytes, counted, safe_per_gpu, total_bytes })
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Connections on the fullest GPU: by the server's word, else by the memory that they added.
fn most_on_one(room: &ConnectionsFacts) -> Option<u64> {
    let told = fullest(room).ok()?.told.known();
    let told = told.and_then(|gpus| gpus.iter().filter_map(|gpu| gpu.connections.known().copied()).max());
    told.or_else(|| {
        let mut by_gpu: BTreeMap<u64, u64> = BTreeMap::new();
        for attempt in accepted(room).ok()? {
            *by_gpu.entry(*attempt.measured_gpu.known()?).or_default() += 1;
        }
        by_gpu.into_values().max()
    })
}

/// Whether more connections than a card's memory holds were on it, or may be by the limit that is told.
pub fn is_beyond(room: &ConnectionsFacts) -> bool {
    let Ok(figures) = figures(room) else { return false };
    let told = room.told_limit_per_gpu.known().copied();
    most_on_one(room).max(told).is_some_and(|most| most > figures.safe_per_gpu)
}

/// A limit that leaves much memory unused.
pub fn below(room: &ConnectionsFacts) -> Result<String, Unknown> {
    let Some(attempt) = refused(room)? else { return Ok(String::new()) };
    // One GPU that takes all leaves the others' memory unused, and that is said of itself.
    if places::on_one_gpu(room).is_ok_and(|words| !words.is_empty()) {
        return Ok(String::new());
    }
    let figures = figures(room).map_err(optional)?;
    let Some(most) = most_on_one(room).filter(|most| *most > 0) else { return Ok(String::new()) };
    if (figures.safe_per_gpu as f64) < LOW * most as f64 {
        return Ok(String::new());
    }
    Ok(format!(
        "Connection {} was refused with {most} on each GPU. A connection takes {}, so that a card of {} holds {} with 5 % to \
         spare",
        attempt.number,
        words::bytes(figures.each_bytes as f64),
        words::bytes(figures.total_bytes as f64),
        figures.safe_per_gpu
    ))
}

/// What each GPU has more than before the first connection: by its index.
fn more(room: &ConnectionsFacts, now: &SpreadReading) -> Result<Vec<(u64, u64)>, Unknown> {
    let before = start(room)?.measured.read().map_err(optional)?;
    let mut more = Vec::new();
    for gpu in now.measured.read().map_err(optional)? {
        let Some(earlier) = before.iter().find(|other| other.index == gpu.index) else { continue };
        let own = earlier.server_bytes.known().zip(gpu.server_bytes.known());
        let Some((was, is)) = own.or_else(|| earlier.used_bytes.known().zip(gpu.used_bytes.known())) else {
            return Err(Unknown::new(Why::NotAsked, format!("NVML does not tell the memory of GPU {}", gpu.index)));
        };
        more.push((gpu.index, is.saturating_sub(*was)));
    }
    Ok(more)
}

fn sum(of: &[(u64, u64)]) -> u64 {
    of.iter().fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes))
}

/// Memory that is taken more after all connections were closed than before the first, bytes.
pub fn still_taken(room: &ConnectionsFacts) -> Result<u64, Unknown> {
    Ok(sum(&more(room, end(room)?)?))
}

/// What a second round left: memory after the first round, after the second, bytes, and how many connections it had.
fn second(room: &ConnectionsFacts) -> Option<(u64, u64, u64)> {
    let round = room.second_round.known().filter(|round| round.connections > 0)?;
    Some((still_taken(room).ok()?, sum(&more(room, &round.closed).ok()?), round.connections))
}

/// Whether a second round left more memory taken.
pub fn grows(room: &ConnectionsFacts) -> bool {
    let Some((first, second, _)) = second(room) else { return false };
    let least = GROWS_SHARE * added(room) as f64;
    second.saturating_sub(first) as f64 >= least.max(GROWS_BYTES as f64)
}

/// Memory that stays taken and did not grow by a second round, in words.
pub fn cached(room: &ConnectionsFacts) -> Option<String> {
    let (first, _, connections) = second(room).filter(|_| !grows(room))?;
    Some(format!(
        "{} of memory stay in use, and {} more left no more: it is kept for the next ones",
        words::bytes(first as f64),
        words::count(connections as usize, "connection")
    ))
}

/// All that the connections added, bytes.
fn added(room: &ConnectionsFacts) -> u64 {
    let taken = accepted(room).unwrap_or_default();
    taken.iter().filter_map(|attempt| attempt.added_bytes.known()).fold(0u64, |a, b| a.saturating_add(*b))
}

/// Memory that is still taken after all connections were closed, while their places are free. A second round decides what it
/// is; without one, much of it is said.
pub fn kept(room: &ConnectionsFacts) -> Result<String, Unknown> {
    // What leaks its places keeps their memory, and that is said of the places.
    if accepted(room)?.is_empty() || places::leaked(room).is_ok_and(|words| !words.is_empty()) {
        return Ok(String::new());
    }
    let added = added(room);
    let kept = more(room, end(room)?)?;
    let taken = sum(&kept);
    let after = room.released_after_ms.read()? / 1e3;
    let on = gpus_in_words(kept.into_iter().filter(|(_, bytes)| *bytes > 0).map(|(index, _)| index).collect());
    match second(room) {
        Some((_, second, connections)) if grows(room) => Ok(format!(
            "{after:.1} s after all connections were closed, {} of the {} that they added were still taken, on {on}; after a \
             second round of {connections}, {}",
            words::bytes(taken as f64),
            words::bytes(added as f64),
            words::bytes(second as f64)
        )),
        Some(_) => Ok(String::new()),
        None if added == 0 || (taken as f64) < KEPT_SHARE * added as f64 => Ok(String::new()),
        None => Ok(format!(
            "{after:.1} s after all connections were closed, {} of the {} that they added are still taken, on {on}",
            words::bytes(taken as f64),
            words::bytes(added as f64)
        )),
    }
}
