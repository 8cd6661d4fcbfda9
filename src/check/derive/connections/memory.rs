//! GPU memory: what a connection takes, how many a card holds, and what is not given back.

use super::{accepted, end, fullest, gpus_in_words, optional, places, refused, start};
use crate::snapshot::{ConnectionsFacts, MeasuredGpu, Unknown, Why};
use crate::words;
use std::collections::BTreeMap;

/// Share of a card's memory that is left alone: allocators need some to work with, and peaks are higher than rest.
const RESERVE_SHARE: f64 = 0.05;
/// A limit is low where memory holds so many times as many connections.
const LOW: f64 = 1.5;
/// Share of what the connections added that must still be taken after they were closed, to be said.
const KEPT_SHARE: f64 = 0.5;

/// What memory says of connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Memory that the first connection on a GPU added, bytes: what all share may be in it.
    pub first_bytes: u64,
    /// Memory that each further one added, bytes; of the first where there was no further one.
    pub each_bytes: u64,
    /// Connections that the smallest card holds with 5 % of its memory to spare.
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
    let first_bytes = median(first).ok_or_else(unseen)?;
    let each_bytes = median(later).unwrap_or(first_bytes).max(1);
    let gpus = start(room)?.measured.read().map_err(optional)?;
    let holds = |gpu: &MeasuredGpu| {
        let total = *gpu.total_bytes.known()?;
        let free = (total as f64 * (1.0 - RESERVE_SHARE)) as u64;
        let free = free.saturating_sub(*gpu.used_bytes.known()?);
        let further = free.checked_sub(first_bytes).map(|rest| rest / each_bytes);
        Some((further.map_or(0, |further| further + 1), total))
    };
    let (safe_per_gpu, total_bytes) = gpus.iter().filter_map(holds).min().ok_or_else(unseen)?;
    Ok(Figures { first_bytes, each_bytes, safe_per_gpu, total_bytes })
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

/// Memory that is still taken after all connections were closed, while their places are free.
pub fn kept(room: &ConnectionsFacts) -> Result<String, Unknown> {
    let taken = accepted(room)?;
    // What leaks its places keeps their memory, and that is said of the places.
    if taken.is_empty() || places::leaked(room).is_ok_and(|words| !words.is_empty()) {
        return Ok(String::new());
    }
    let added = taken.iter().filter_map(|attempt| attempt.added_bytes.known()).fold(0u64, |a, b| a.saturating_add(*b));
    let (before, after) =
        (start(room)?.measured.read().map_err(optional)?, end(room)?.measured.read().map_err(optional)?);
    let mut kept = Vec::new();
    for gpu in after {
        let Some(earlier) = before.iter().find(|other| other.index == gpu.index) else { continue };
        let own = earlier.server_bytes.known().zip(gpu.server_bytes.known());
        let Some((was, is)) = own.or_else(|| earlier.used_bytes.known().zip(gpu.used_bytes.known())) else { continue };
        kept.push((gpu.index, is.saturating_sub(*was)));
    }
    let sum = kept.iter().fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
    if added == 0 || (sum as f64) < KEPT_SHARE * added as f64 {
        return Ok(String::new());
    }
    let after = room.released_after_ms.read()? / 1e3;
    Ok(format!(
        "{after:.1} s after all connections were closed, {} of the {} that they added are still taken, on {}",
        words::bytes(sum as f64),
        words::bytes(added as f64),
        gpus_in_words(kept.into_iter().filter(|(_, bytes)| *bytes > 0).map(|(index, _)| index).collect())
    ))
}
