//! Opens connections, one more than the server is to hold, and finds out on which GPU each comes, which one is refused
//! and how, and whether everything is given back when they are closed.

mod attempt;
mod gpus;
mod landing;
mod reading;
mod release;
mod status;
mod visit;
mod way;

use super::service::held::Holder;
use super::{Context, LoadPlan, Probe, Ran, open_files};
use crate::snapshot::{ConnectionsFacts, Fact, Facts, Room, Stage, Unknown, Why};
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;
use visit::{Visit, interrupted};

/// Files that the doctor needs beside its connections.
const FILES_BESIDE: u64 = 64;
/// Left of the probe's time to bring home what was found.
const SPARE: Duration = Duration::from_millis(500);

/// Fills the room `connections`, if connections are asked for.
pub const PROBE: Probe = Probe {
    id: "balance",
    stage: Stage::Load,
    rooms: &["connections"],
    needs: &["process", "nvml"],
    this_machine: false,
    budget: Duration::from_secs(5),
    run,
};

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let not_asked = |detail: &str| Unknown::new(Why::NotAsked, detail);
    facts.connections = ConnectionsFacts::all_unknown(&not_asked("connections are opened by gpu-doctor balance alone"));
    let Some(ask) = &context.ask.balance else {
        return Ran::skipped("only gpu-doctor balance opens connections and holds them");
    };
    let tries = u64::from(ask.connections) + 1;
    match found(context, tries, facts) {
        Ok(room) => {
            facts.connections = room;
            Ran::ok()
        }
        Err(unknown) => {
            facts.connections = ConnectionsFacts::all_unknown(&unknown);
            facts.connections.asked = Fact::Known(tries);
            Ran::from(&unknown)
        }
    }
}

fn found(context: &Context, tries: u64, facts: &Facts) -> Result<ConnectionsFacts, Unknown> {
    let forwarded = facts.process.forwarded_by.known().is_some_and(|by| !by.is_empty());
    let owned = context.ask.balance.as_ref().is_some_and(|ask| ask.owned);
    if forwarded && !owned && tries > LoadPlan::STRANGE_REQUESTS_MAX {
        let detail = "the server is behind a tunnel, on another machine; if it is yours, add --i-own-this-server";
        return Err(Unknown::new(Why::NotAsked, detail));
    }
    files_for(tries)?;
    let holder = Holder::new(&context.ask)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Unknown::from_io(&error, "starting the connections' loop"))?;
    let until = context.deadline.checked_sub(SPARE).unwrap_or(context.deadline);
    let wished = context.ask.balance.as_ref().map(|ask| ask.interrupted.clone()).unwrap_or_default();
    let room = runtime.block_on(async {
        let visit = match select(pin!(Visit::begin(context, &holder, facts, until)), pin!(interrupted(&wished))).await {
            Either::Left((visit, _)) => visit?,
            Either::Right(_) => {
                return Err(Unknown::new(Why::NotAsked, "it was interrupted before a connection was opened"));
            }
        };
        visit.run(tries).await
    });
    // A name that does not resolve must not hold up the end.
    runtime.shutdown_background();
    room
}

/// Whether this process may open so many connections, after its limit was raised for them as far as may be.
///
/// # Errors
/// How many files they need, and how many may be opened.
pub fn files_for(connections: u64) -> Result<(), Unknown> {
    let wanted = connections.saturating_add(FILES_BESIDE);
    match open_files::raised_to(wanted) {
        Some(limit) if limit < wanted => {
            let detail = format!(
                "{connections} connections need {wanted} open files, and this shell allows {limit} (ulimit -n)"
            );
            Err(Unknown::new(Why::Denied, detail))
        }
        _ => Ok(()),
    }
}
