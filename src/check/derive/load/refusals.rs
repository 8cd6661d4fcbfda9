//! What a load shows of its neighbours: a server that refuses, a cache that answers, a doctor that cannot send more.

use super::counted;
use super::step::{JudgedStep, own_cpu_share};
use super::thresholds::figures;
use crate::snapshot::{Facts, LoadStep, Unknown};
use crate::words::grouped;

/// Statuses by which servers and proxies refuse what is too much.
const REFUSING: [&str; 2] = ["429", "503"];
/// Errors by which a full backlog or a limit of connections shows.
const TURNED_AWAY: [&str; 2] = ["connect_refused", "reset"];
/// Refusals that are no chance.
const SEVERAL: u64 = 5;
/// Requests from which on a step tells of a cache.
const ENOUGH: u64 = 50;

/// Refusals that came with the load, in words; empty if there were none. Where a lighter load, or the same one, was not
/// served at all, they come from something else.
///
/// # Errors
/// Why no steps are known.
pub fn refused(facts: &Facts, judged: &[JudgedStep]) -> Result<String, Unknown> {
    let steps = facts.load.steps.read()?;
    // Who is gone refuses nobody.
    let is_gone = facts.load.stopped_by.known().is_some_and(|by| by == "server_gone");
    let steps = if is_gone { steps.split_last().map_or(&[][..], |(_, before)| before) } else { &steps[..] };
    let share = |step: &LoadStep| refusals(step) as f64 / step.requests.max(1) as f64;
    let met = |step: &&LoadStep| refusals(step) >= SEVERAL && share(step) >= figures::refused_share();
    let Some(step) = steps.iter().filter(met).min_by_key(|step| step.users) else { return Ok(String::new()) };
    // A lighter step must have been spared where half of the requests are refused, or a single user's, else the load is not
    // why.
    let spared = steps.iter().find(|one| one.users < step.users && one.ok > 0 && share(one) < figures::refused_share());
    if spared.is_none() && (step.users < 2 || step.ok == 0 || share(step) > 0.5) {
        return Ok(String::new());
    }
    let kinds: Vec<String> = REFUSING
        .iter()
        .filter_map(|status| Some((*status, *step.by_status.get(*status)?)))
        .map(|(status, number)| format!("{} were answered {status}", grouped(number)))
        .chain(TURNED_AWAY.iter().filter_map(|error| Some((*error, *step.by_error.get(*error)?))).map(
            |(error, number)| {
                let what = if error == "reset" { "had their connection reset" } else { "were refused a connection" };
                format!("{} {what}", grouped(number))
            },
        ))
        .collect();
    let load = judged.iter().find(|one| one.users == step.users && one.rate_rps == step.rate_rps);
    let load = load.map_or_else(|| format!("{} users", step.users), JudgedStep::load);
    let few = |one: &LoadStep| if refusals(one) == 0 { "none" } else { "hardly any" };
    let before = spared.map(|one| format!("; with {} {} were", one.users, few(one))).unwrap_or_default();
    Ok(format!("with {load}, of {} requests {}{before}", grouped(step.requests), kinds.join(" and ")))
}

fn refusals(step: &LoadStep) -> u64 {
    let statuses = REFUSING.iter().filter_map(|status| step.by_status.get(*status));
    statuses
        .chain(TURNED_AWAY.iter().filter_map(|error| step.by_error.get(*error)))
        .fold(0, |sum, n| sum.saturating_add(*n))
}

/// That a cache answered under load, in words; empty if none is seen, `None` where no load was made.
pub fn cached(facts: &Facts) -> Option<String> {
    let steps = facts.load.steps.known()?;
    let bodies = match facts.load.distinct_payloads.known() {
        Some(1) => "one body that was sent again and again".into(),
        Some(number) => format!("{} bodies in turn", grouped(*number)),
        None => "bodies whose number is not known".into(),
    };
    for step in steps.iter().filter(|step| step.ok >= ENOUGH) {
        let Ok(row) = counted::row(facts, step) else { continue };
        let (ok, share) = (step.ok as f64, figures::cached_share());
        let told = format!("of {} requests with {} users, {bodies}", grouped(step.ok), step.users);
        let model = if row.model.is_empty() { "the model" } else { &row.model };
        if let Some(hits) = row.cache_hits.known().filter(|hits| **hits >= share * ok) {
            return Some(format!("{told}, {hits:.0} were answered from the response cache of {model}"));
        }
        if let Some(inferences) = row.inferences.known().filter(|inferences| **inferences < (1.0 - share) * ok) {
            return Some(format!("{told}, {model} computed {inferences:.0}: something before it answers in its place"));
        }
    }
    Some(String::new())
}

/// That the doctor's own thread was the limit, in words; empty if not, `None` where no load was made.
pub fn own_limit(facts: &Facts) -> Option<Result<String, Unknown>> {
    let steps = facts.load.steps.known()?;
    let limited = steps.iter().filter_map(|step| Some((step, own_cpu_share(step)?)));
    let limited = limited.filter(|(_, share)| *share >= figures::own_cpu_share());
    if let Some((step, share)) = limited.max_by(|a, b| a.1.total_cmp(&b.1)) {
        let busy = 100.0 * share;
        return Some(Ok(format!(
            "with {} users the doctor's own thread was busy {busy:.0} % of the time at {:.0} requests a second",
            step.users, step.throughput_rps
        )));
    }
    match steps.iter().find_map(|step| step.own_cpu_ms.reason()) {
        Some(unknown) => Some(Err(unknown.clone())),
        None => Some(Ok(String::new())),
    }
}
