//! Where the connections of `balance` came, at how many the server stopped, and what it gave back.

use super::Basis;
use crate::snapshot::{Attempt, ConnectionsFacts, Fact, Facts, SpreadReading, Unknown, Why, room};
use crate::words;

mod checklist;
mod entry;
mod memory;
mod order;
mod places;
#[cfg(test)]
mod tests;

pub use checklist::{ChecklistLine, Outcome as ChecklistOutcome, checklist};
pub use memory::{Figures, cached, figures};
pub use order::{numbers, processes};

room! {
    /// What is wrong with how connections are spread and held. Texts are empty where nothing is.
    pub struct ConnectionSpread {
        /// That all connections came to one GPU while others had none: `3 of 4 GPUs never worked: ..`; empty also where no
        /// connections were opened.
        pub connections_on_one_gpu: String,
        /// Whether the server's environment keeps it to one GPU.
        pub connections_kept_to_one_gpu: bool,
        /// What the server says of where its connections are, against NVML.
        pub connections_claimed_elsewhere: String,
        /// Places that were not free again after all connections were closed.
        pub connection_places_leaked: String,
        /// GPU memory that was not free again although the places were, and that no second round showed to be a cache.
        pub connection_memory_kept: String,
        /// Whether a second round of connections left more of it.
        pub connection_memory_grows: bool,
        /// Connections beyond the limit that the server tells.
        pub connection_limit_not_enforced: String,
        /// Whether the connections that it took, or takes by its limit, are more than the memory of a card holds.
        pub connection_limit_beyond_memory: bool,
        /// A limit that leaves much of a card's memory unused.
        pub connection_limit_below_memory: String,
        /// A refusal that a client cannot tell from a wrong path.
        pub connection_refused_silently: String,
        /// That not one connection was accepted, and how the first was refused.
        pub connections_none_accepted: String,
        /// Of what kind that refusal was: `gone`, `silent`, `tls`, `credentials`, `path`, `full`, `closed`, `refused`.
        pub connections_none_kind: String,
        /// Connections that the server ended while they were held, not in order.
        pub connections_lost: String,
        /// Whether nothing listened at the server's port any more at the end.
        pub connections_server_gone: bool,
    }
}

impl ConnectionSpread {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let room = &facts.connections;
        let one = places::on_one_gpu(room);
        let none = entry::none_accepted(room);
        let asked = !matches!(&room.attempts, Fact::Unknown(unknown) if unknown.why == Why::NotAsked);
        Self {
            // Another check reads it beside facts of its own, which decide alone where no connections were opened.
            connections_on_one_gpu: if asked { one.into() } else { Fact::Known(String::new()) },
            connections_kept_to_one_gpu: Fact::Known(kept_to_one(facts)),
            connections_claimed_elsewhere: places::claimed_elsewhere(room).into(),
            connection_places_leaked: places::leaked(room).into(),
            connection_memory_kept: memory::kept(room).into(),
            connection_memory_grows: Fact::Known(memory::grows(room)),
            connection_limit_not_enforced: not_enforced(room).into(),
            connection_limit_beyond_memory: Fact::Known(memory::is_beyond(room)),
            connection_limit_below_memory: memory::below(room).into(),
            connection_refused_silently: refused_silently(room).into(),
            connections_none_accepted: none.clone().map(|(words, _)| words).into(),
            connections_none_kind: none.map(|(_, kind)| kind.to_owned()).into(),
            connections_lost: entry::lost(room).into(),
            connections_server_gone: Fact::Known(entry::server_gone(room)),
        }
    }
}

/// What was not told is no obstacle: nothing asks for it then.
fn optional(unknown: Unknown) -> Unknown {
    match unknown.why {
        Why::Absent | Why::Unsupported => Unknown::new(Why::NotAsked, unknown.detail),
        _ => unknown,
    }
}

/// The connections that stayed open.
fn accepted(room: &ConnectionsFacts) -> Result<Vec<&Attempt>, Unknown> {
    Ok(room.attempts.read()?.iter().filter(|attempt| attempt.accepted).collect())
}

/// The connections that were held, also those that were lost meanwhile.
fn once_held(room: &ConnectionsFacts) -> Result<Vec<&Attempt>, Unknown> {
    Ok(room.attempts.read()?.iter().filter(|attempt| attempt.accepted || attempt.ended_while_held).collect())
}

/// The first that was refused after others had been accepted.
fn refused(room: &ConnectionsFacts) -> Result<Option<&Attempt>, Unknown> {
    let attempts = room.attempts.read()?;
    let is_after = |attempt: &&Attempt| attempts.iter().any(|other| other.accepted && other.number < attempt.number);
    // What was accepted and ended later was not refused; nor was what nobody answered.
    let is_refused =
        |attempt: &&Attempt| !attempt.accepted && !attempt.ended_while_held && attempt.status.known().is_some();
    Ok(attempts.iter().filter(is_refused).find(is_after))
}

/// The reading with the most connections open.
fn fullest(room: &ConnectionsFacts) -> Result<&SpreadReading, Unknown> {
    let readings = room.readings.read()?;
    let fullest = readings.iter().rev().max_by_key(|reading| reading.open_connections);
    fullest.ok_or_else(|| Unknown::new(Why::Absent, "no reading of the GPUs was taken"))
}

/// The first reading, before any connection.
fn start(room: &ConnectionsFacts) -> Result<&SpreadReading, Unknown> {
    room.readings.read()?.first().ok_or_else(|| Unknown::new(Why::Absent, "no reading of the GPUs was taken"))
}

/// The last reading, after the release.
fn end(room: &ConnectionsFacts) -> Result<&SpreadReading, Unknown> {
    room.readings.read()?.last().ok_or_else(|| Unknown::new(Why::Absent, "no reading of the GPUs was taken"))
}

/// Whether the environment of the server names one GPU.
fn kept_to_one(facts: &Facts) -> bool {
    let variables = facts.process.environment.known();
    let names = ["CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"];
    let one = |value: &String| {
        !matches!(value.trim(), "all" | "void")
            && value.split(',').filter(|entry| !entry.trim().is_empty()).count() == 1
    };
    names.iter().any(|name| variables.and_then(|variables| variables.get(*name)).is_some_and(one))
}

/// More connections on a GPU than the server says that it takes.
fn not_enforced(room: &ConnectionsFacts) -> Result<String, Unknown> {
    let taken = accepted(room)?.len() as u64;
    let limit = *room.told_limit_per_gpu.read().map_err(optional)?;
    let told = fullest(room)?.told.read().map_err(optional)?;
    let place = room.status_url.known().map_or("the server", String::as_str);
    let over = told.iter().filter_map(|gpu| Some((gpu.index, *gpu.connections.known()?)));
    if let Some((gpu, count)) = over.filter(|(_, count)| *count > limit).max_by_key(|(_, count)| *count) {
        return Ok(format!("{place} tells a limit of {limit} connections for each GPU, and {count} on GPU {gpu}"));
    }
    let all = limit.saturating_mul(told.len() as u64);
    Ok(match taken > all {
        true => format!(
            "{place} tells a limit of {limit} connections for each of {}, {all} in all, and {taken} were accepted and held",
            words::count(told.len(), "GPU")
        ),
        false => String::new(),
    })
}

/// A refusal before the connection is accepted, the same as of a path that does not exist.
fn refused_silently(room: &ConnectionsFacts) -> Result<String, Unknown> {
    let taken = accepted(room)?.len();
    let Some(attempt) = refused(room)? else { return Ok(String::new()) };
    let Some(status) = attempt.status.known().filter(|status| **status >= 300) else { return Ok(String::new()) };
    match room.unknown_path_refused_alike.read().map_err(optional)? {
        true => Ok(format!(
            "{} held; connection {} was answered {status} before it was accepted, and so is a path that does not exist",
            words::count(taken, "connection"),
            attempt.number
        )),
        false => Ok(String::new()),
    }
}

/// GPUs in words: `GPU 0, 1 and 3`.
fn gpus_in_words(indexes: Vec<u64>) -> String {
    match indexes.is_empty() {
        true => "no GPU".into(),
        false => format!("GPU {}", numbers_in_words(indexes)),
    }
}

/// Numbers in words: `0, 1 and 3`.
fn numbers_in_words(mut numbers: Vec<u64>) -> String {
    numbers.sort_unstable();
    numbers.dedup();
    let names: Vec<String> = numbers.iter().map(u64::to_string).collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// Connections by the server's own count.
fn total(reading: &SpreadReading) -> Result<u64, Unknown> {
    let told = reading.told.read()?;
    let counts = told.iter().filter_map(|gpu| gpu.connections.known());
    match told.is_empty() {
        true => Err(Unknown::new(Why::Absent, "the server tells of no GPU")),
        false => Ok(counts.fold(0, |sum: u64, count| sum.saturating_add(*count))),
    }
}
