//! What rejections and soft failures add up to: which fields the server does not name, what it hides behind a 5xx, what it
//! waits for.

use super::Basis;
use crate::snapshot::{Exchange, Fact, Facts, SourceField, Unknown, Why, room};

room! {
    /// What the server's rejections keep to themselves.
    pub struct Complaints {
        /// Fields without which the server rejects and which its answer, a 4xx or a 200 with an error inside, does not name.
        pub fields_not_named: Vec<String>,
        /// Whether the server rejected by status alone, in Werkzeug's bare page or although its source demands a field, and
        /// it was not found what it wants.
        pub rejected_without_words: bool,
        /// Fields that the handler of the rejected request demands and the request lacks, each with its line.
        pub fields_in_source: Vec<String>,
        /// What the request did wrong although the server answered 5xx; empty if it did not, or nothing is known of it.
        pub masked_as_5xx: String,
        /// Whether that was proven by a request that was accepted.
        pub masked_as_5xx_proven: bool,
        /// Why the accepted answers can hardly have been computed; empty if they can.
        pub answers_too_fast: String,
        /// The other server that requests wait for, with the figures; empty if there is none.
        pub waits_for_other: String,
        /// Whether there was seen to be one: a server that computes nothing while it waits has no work that a GPU could lack.
        pub seen_waiting_for_other: bool,
        /// Whether the GPUs were seen to stay idle while requests were accepted.
        pub gpu_seen_idle: bool,
    }
}

impl Complaints {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let idle = matches!(basis.activity, Ok(("idle" | "loaded_not_computing", _)));
        let masked = masked(facts);
        let waits = waits_for_other(facts, basis.gpu_seen_working);
        Self {
            fields_not_named: fields_not_named(facts),
            rejected_without_words: rejected_without_words(facts),
            fields_in_source: fields_in_source(facts),
            masked_as_5xx_proven: masked.as_ref().map(|(_, proven)| *proven).map_err(Unknown::clone).into(),
            masked_as_5xx: masked.map(|(words, _)| words).into(),
            answers_too_fast: too_fast(facts, basis.gpu_seen_working),
            seen_waiting_for_other: Fact::Known(waits.known().is_some_and(|peer| !peer.is_empty())),
            waits_for_other: waits,
            gpu_seen_idle: Fact::Known(idle),
        }
    }
}

/// Werkzeug's page for a request that it refuses without a word (exceptions.py, BadRequest).
const BARE_PAGE: &str = "sent a request that this server could not understand";
/// What Python raises where an input is not there or not what it should be.
const BY_INPUT: &[&str] = &["KeyError", "StopIteration", "missing 1 required positional argument", "IndexError"];

fn status(exchange: &Exchange) -> Option<u64> {
    exchange.status.known().copied()
}

fn nothing_rejected<T: Default>(facts: &Facts) -> Option<Fact<T>> {
    let request = &facts.request;
    let down = request.reachable.known() == Some(&false);
    let accepted = request.client.known().is_some_and(|exchange| exchange.accepted);
    (down || accepted).then(|| Fact::Known(T::default()))
}

fn fields_not_named(facts: &Facts) -> Fact<Vec<String>> {
    if let Some(none) = nothing_rejected(facts) {
        return none;
    }
    let rejected = match &facts.request.rejected {
        Fact::Known(rejected) => rejected,
        Fact::Unknown(unknown) => return Fact::Unknown(unknown.clone()),
    };
    if status(rejected).is_none_or(|status| status >= 500) {
        return Fact::Known(Vec::new());
    }
    match &facts.request.missing_fields {
        Fact::Known(fields) => {
            let unnamed = fields.iter().filter(|field| !rejected.names_missing.contains(&field.name));
            Fact::Known(unnamed.map(|field| field.name.clone()).collect())
        }
        // It was sought, and none was found.
        Fact::Unknown(Unknown { why: Why::Unsupported, .. }) => Fact::Known(Vec::new()),
        Fact::Unknown(unknown) => Fact::Unknown(unknown.clone()),
    }
}

fn rejected_without_words(facts: &Facts) -> Fact<bool> {
    if let Some(none) = nothing_rejected(facts) {
        return none;
    }
    let found = facts.request.missing_fields.known().is_some_and(|fields| !fields.is_empty());
    let Some(rejected) = facts.request.rejected.known() else {
        return facts.request.rejected.as_ref().map(|_| false);
    };
    let in_source = fields_in_source(facts).known().is_some_and(|fields| !fields.is_empty());
    facts
        .request
        .rejection_kind
        .as_ref()
        .map(|kind| !found && kind == "unnamed" && (in_source || rejected.answer.contains(BARE_PAGE)))
}

fn fields_in_source(facts: &Facts) -> Fact<Vec<String>> {
    let Some(rejected) = facts.request.rejected.known() else { return Fact::Known(Vec::new()) };
    let path = rejected.path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let handles = |field: &&SourceField| {
        let route = field.route.trim_end_matches('/');
        field.demanded && (route.is_empty() || path == route || path.ends_with(route))
    };
    let lacks = |field: &&SourceField| rejected.fields.iter().all(|sent| sent.name != field.name);
    let shown = |field: &SourceField| format!("{} ({}, {})", field.name, field.place, field.at);
    facts.source.request_fields.as_ref().map(|all| all.iter().filter(handles).filter(lacks).map(shown).collect())
}

/// What the request did wrong although the status blames the server, and whether an accepted request proves it.
fn masked(facts: &Facts) -> Result<(String, bool), Unknown> {
    let request = &facts.request;
    if let Some(Fact::Known(none)) = nothing_rejected::<String>(facts) {
        return Ok((none, false));
    }
    let rejected = request.rejected.read()?;
    if status(rejected).is_none_or(|status| status < 500) {
        return Ok((String::new(), false));
    }
    if request.good.known().is_some() {
        let fields = request.missing_fields.known().into_iter().flatten();
        let mut reasons: Vec<String> =
            fields.map(|field| format!("the {} field {:?} is missing", field.place, field.name)).collect();
        let values = request.wrong_values.known().into_iter().flatten();
        reasons.extend(
            values.map(|one| format!("{} is {:?} where the server takes {:?}", one.name, one.sent, one.accepted)),
        );
        let faults = request.content_type_faults.known().into_iter().flatten().filter(|fault| fault.accepted);
        reasons.extend(faults.map(|fault| format!("it was sent as {} and not as {}", fault.sent, fault.wanted)));
        return Ok((reasons.join("; "), true));
    }
    // Known-good requests fail too, as far as they are known: only the failure's own words can blame the input.
    let failure = request.rejection_failure.known().map(String::as_str).unwrap_or_default();
    let by_input = BY_INPUT.iter().any(|words| failure.contains(words));
    Ok((if by_input { format!("the server fails with {failure}") } else { String::new() }, false))
}

/// Memory that a machine's whole bandwidth reads in a millisecond, bytes: 400 GB/s, more than a host of today has.
const BYTES_A_MS: f64 = 400e6;
/// A model smaller than this is computed too fast to tell, bytes.
const MODEL_LEAST_BYTES: u64 = 200 << 20;
/// CPU time is counted in ticks of 10 ms: fewer requests than this tell too little.
const REQUESTS_LEAST: u64 = 20;

/// A dense model reads its parameters once for every request. Where no GPU worked, and a request took less CPU time than
/// that reading takes at the machine's full bandwidth, the model did not run in the processes that were watched.
fn too_fast(facts: &Facts, gpu_seen_working: bool) -> Fact<String> {
    let execution = &facts.execution;
    let none = Fact::Known(String::new());
    let (Some(sent), Some(cpu_ms), Some(files)) =
        (execution.requests_ok.known(), execution.server_cpu_ms.known(), execution.model_files_after.known())
    else {
        return none;
    };
    // Which of several models was asked is not known: the smallest one may have been.
    let sized: Option<Vec<(u64, &String)>> =
        files.iter().map(|file| Some((file.bytes.known().copied()?, &file.path))).collect();
    let smallest = sized.unwrap_or_default().into_iter().min();
    let Some((bytes, path)) = smallest.filter(|(bytes, _)| *bytes >= MODEL_LEAST_BYTES) else { return none };
    let (Some(each_ms), false) = (execution.request_ms_median.known(), gpu_seen_working || *sent < REQUESTS_LEAST)
    else {
        return none;
    };
    let watched = execution.gpus.known().is_some_and(|gpus| !gpus.is_empty());
    let floor_ms = bytes as f64 / BYTES_A_MS;
    let cpu_each_ms = cpu_ms / *sent as f64;
    if !watched || *each_ms >= floor_ms || cpu_each_ms >= floor_ms {
        return none;
    }
    Fact::Known(format!(
        "a request takes {each_ms:.2} ms and {cpu_each_ms:.2} ms of CPU time while no GPU works, and only to read {path} \
         ({} MiB) once takes {floor_ms:.1} ms",
        bytes >> 20
    ))
}

/// A request shorter than this waits for nothing that matters, milliseconds.
const WAIT_LEAST_MS: f64 = 200.0;
/// Cores up to which a server does not compute.
const IDLE_CORES: f64 = 0.3;
/// Share of the window's readings in which the connection stood, percent.
const CONNECTED_PERCENT: f64 = 30.0;

/// The peer of a connection that the server opened during the requests, where it neither computes nor uses a GPU.
fn waits_for_other(facts: &Facts, gpu_seen_working: bool) -> Fact<String> {
    let execution = &facts.execution;
    if facts.request.reachable.known() == Some(&false) || execution.requests_ok.known() == Some(&0) {
        return Fact::Known(String::new());
    }
    let long = execution.request_ms_median.as_ref().map(|median| *median >= WAIT_LEAST_MS);
    let idle = execution.cores_busy.as_ref().map(|cores| *cores <= IDLE_CORES);
    match (long, idle) {
        _ if gpu_seen_working => Fact::Known(String::new()),
        (Fact::Known(false), _) | (_, Fact::Known(false)) => Fact::Known(String::new()),
        (Fact::Unknown(unknown), _) | (_, Fact::Unknown(unknown)) => Fact::Unknown(unknown),
        (Fact::Known(true), Fact::Known(true)) => match &execution.outbound_connections {
            Fact::Known(all) => {
                let waiting = all.iter().filter(|one| one.opened_in_window && one.present_percent >= CONNECTED_PERCENT);
                let longest = waiting.max_by(|a, b| a.present_percent.total_cmp(&b.present_percent));
                Fact::Known(longest.map_or_else(String::new, |one| {
                    format!(
                        "a connection that it opens to {} stands {:.0} % of the time",
                        one.peer, one.present_percent
                    )
                }))
            }
            Fact::Unknown(unknown) if unknown.why == Why::NotAsked => Fact::Unknown(unknown.clone()),
            // Seen by everybody are only the symptoms, which busy gateways and queues show as well.
            Fact::Unknown(unknown) => Fact::unknown(Why::NotAsked, unknown.detail.clone()),
        },
    }
}
