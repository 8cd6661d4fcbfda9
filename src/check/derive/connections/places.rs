//! On which GPUs the connections are, by NVML and by the server's own word.

use super::{accepted, end, fullest, gpus_in_words, optional, refused, start, total};
use crate::snapshot::{ConnectionsFacts, Fact, MeasuredGpu, Unknown};
use crate::words::{bytes, count};
use std::collections::{BTreeMap, BTreeSet};

/// Connections on one GPU from which on it is no chance, where no limit is known and none was refused.
const SEVERAL: usize = 3;
/// Times by which the memory that the server tells must be more than all that NVML sees in use: allocators count less than
/// the driver, never more.
const MORE_THAN_ALL: f64 = 1.25;
/// Share of the connections that must still be counted after all were closed: others may use the server meanwhile.
const LEAKED_SHARE: f64 = 0.5;

/// Who tells where the connections are.
struct Seats {
    /// GPUs with connections.
    taken: BTreeSet<u64>,
    /// All GPUs.
    all: BTreeSet<u64>,
    by: &'static str,
}

/// By the memory that the server holds, else by the memory that each connection added, else by its own word, else by its
/// log.
fn seats(room: &ConnectionsFacts) -> Result<Seats, Unknown> {
    let fullest = fullest(room)?;
    let by_memory = fullest.measured.known().and_then(|gpus| {
        let taken = server_on(gpus)?;
        let all = gpus.iter().map(|gpu| gpu.index).collect();
        (!taken.is_empty()).then_some(Seats { taken, all, by: "by NVML" })
    });
    if let Some(seats) = by_memory {
        return Ok(seats);
    }
    let accepted = accepted(room)?;
    let grown: Option<BTreeSet<u64>> = accepted.iter().map(|attempt| attempt.measured_gpu.known().copied()).collect();
    if let (Some(taken), Some(gpus)) = (grown.filter(|taken| !taken.is_empty()), fullest.measured.known()) {
        return Ok(Seats { taken, all: gpus.iter().map(|gpu| gpu.index).collect(), by: "by the memory of the GPUs" });
    }
    let logged: Option<BTreeSet<u64>> = accepted.iter().map(|attempt| attempt.logged_gpu.known().copied()).collect();
    if let (Fact::Unknown(_), Some(taken), Some(gpus)) =
        (&fullest.told, logged.filter(|taken| !taken.is_empty()), fullest.measured.known())
    {
        return Ok(Seats { taken, all: gpus.iter().map(|gpu| gpu.index).collect(), by: "by the server's log" });
    }
    let told = fullest.told.read().map_err(optional)?;
    let taken = told.iter().filter(|gpu| gpu.connections.known().is_some_and(|count| *count > 0));
    Ok(Seats {
        taken: taken.map(|gpu| gpu.index).collect(),
        all: told.iter().map(|gpu| gpu.index).collect(),
        by: "by the server's own word",
    })
}

/// GPUs on which the server holds memory, if that is known of each.
fn server_on(gpus: &[MeasuredGpu]) -> Option<BTreeSet<u64>> {
    let held: Option<Vec<(u64, u64)>> = gpus.iter().map(|gpu| Some((gpu.index, *gpu.server_bytes.known()?))).collect();
    Some(held?.into_iter().filter(|(_, bytes)| *bytes > 0).map(|(index, _)| index).collect())
}

/// All connections on one of several GPUs. A server may well fill one GPU before the next: that is none of it until the
/// one is full.
pub fn on_one_gpu(room: &ConnectionsFacts) -> Result<String, Unknown> {
    let taken = accepted(room)?.len();
    let refused = refused(room)?;
    if taken < 2 {
        return Ok(String::new());
    }
    let is_full = match room.told_limit_per_gpu.known() {
        Some(limit) => taken as u64 > *limit || refused.is_some(),
        None => taken >= SEVERAL || refused.is_some(),
    };
    let seats = seats(room)?;
    let (Some(gpu), 1, true) = (seats.taken.first(), seats.taken.len(), is_full && seats.all.len() > 1) else {
        return Ok(String::new());
    };
    let unused: Vec<u64> = seats.all.iter().copied().filter(|other| other != gpu).collect();
    let refusal = match refused {
        Some(attempt) => format!(", and connection {} was refused", attempt.number),
        None => String::new(),
    };
    Ok(format!(
        "{} of {} GPUs never worked: {} all {} came to GPU {gpu}, none to {}{refusal}",
        unused.len(),
        seats.all.len(),
        seats.by,
        count(taken, "connection"),
        gpus_in_words(unused)
    ))
}

/// What the server says of its connections' GPUs, where NVML shows that it cannot be. The numbers may differ, for CUDA
/// may count the GPUs otherwise than NVML; but what is told of several cannot be on one.
pub fn claimed_elsewhere(room: &ConnectionsFacts) -> Result<String, Unknown> {
    let fullest = fullest(room)?;
    let told = fullest.told.read().map_err(optional)?;
    let measured = fullest.measured.read().map_err(optional)?;
    let place = room.status_url.known().map_or("the server", String::as_str);
    let taken = accepted(room)?.len();
    if let (Ok(before), Ok(now)) = (total(start(room)?), total(fullest))
        && taken > 1
        && (now.saturating_sub(before) as f64) < LEAKED_SHARE * taken as f64
    {
        return Ok(format!(
            "{place} counts {now} with {} open (before the first: {before})",
            count(taken, "connection")
        ));
    }
    let told_bytes: Option<u64> = told.iter().map(|gpu| gpu.used_bytes.known().copied()).sum();
    let used_bytes: Option<u64> = measured.iter().map(|gpu| gpu.used_bytes.known().copied()).sum();
    if let (Some(told_bytes), Some(used_bytes)) = (told_bytes, used_bytes)
        && told_bytes as f64 > MORE_THAN_ALL * used_bytes as f64 + (1u64 << 30) as f64
    {
        return Ok(format!(
            "{place} tells of {} in use, and by NVML all programs together use {}",
            bytes(told_bytes as f64),
            bytes(used_bytes as f64)
        ));
    }
    let claimed: Vec<u64> = told
        .iter()
        .filter(|gpu| gpu.connections.known().is_some_and(|count| *count > 0))
        .map(|gpu| gpu.index)
        .collect();
    if let Some(held) = server_on(measured)
        && !held.is_empty()
        && claimed.len() > held.len()
    {
        return Ok(format!(
            "{place} tells of connections on {}, and by NVML the server holds memory on {} alone",
            gpus_in_words(claimed),
            gpus_in_words(held.into_iter().collect())
        ));
    }
    let pairs = accepted(room)?
        .into_iter()
        .filter_map(|attempt| Some((*attempt.claimed_gpu.known()?, *attempt.measured_gpu.known()?, attempt.number)));
    let mut renumbered: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (claimed, measured, number) in pairs {
        let (earlier, first) = *renumbered.entry(claimed).or_insert((measured, number));
        if earlier != measured {
            return Ok(format!(
                "{place} tells that connections {first} and {number} came to GPU {claimed}, and by NVML one of them added \
                 memory on GPU {earlier}, the other on GPU {measured}"
            ));
        }
    }
    Ok(String::new())
}

/// Places that are still taken after everything was closed.
pub fn leaked(room: &ConnectionsFacts) -> Result<String, Unknown> {
    let taken = accepted(room)?.len();
    if taken == 0 {
        return Ok(String::new());
    }
    let after = room.released_after_ms.read()? / 1e3;
    // Where nobody answered, nobody refused.
    let again = room.after_release.known().filter(|attempt| !attempt.accepted && attempt.status.known().is_some());
    let again = again.map(|attempt| {
        let reason = if attempt.reason.is_empty() { String::new() } else { format!(" ({})", attempt.reason) };
        format!("one more connection was refused{reason}")
    });
    let counted = total(start(room)?).and_then(|before| Ok((before, total(end(room)?)?)));
    match (counted, again) {
        (Ok((before, now)), again) if now.saturating_sub(before) as f64 >= LEAKED_SHARE * taken as f64 => {
            let besides = again.map_or_else(String::new, |again| format!("; {again}"));
            Ok(format!(
                "{:.1} s after all {} were closed, the server still counts {now} (before the first: {before}){besides}",
                after,
                count(taken, "connection")
            ))
        }
        (_, Some(again)) => {
            Ok(format!("All {} were closed, and {after:.1} s later {again}", count(taken, "connection")))
        }
        (Ok(_), None) => Ok(String::new()),
        // That one more was accepted shows that places were given back.
        (Err(_), None) if room.after_release.known().is_some_and(|attempt| attempt.accepted) => Ok(String::new()),
        (Err(unknown), None) => Err(optional(unknown)),
    }
}
