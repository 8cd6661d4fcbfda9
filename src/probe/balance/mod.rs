//! Opens connections, one more than the server is to hold, and finds out on which GPU each comes, which one is refused
//! and how, and whether everything is given back when they are closed.

mod landing;
mod reading;
mod status;
mod visit;

use super::service::held::Holder;
use super::{Context, Probe, Ran};
use crate::snapshot::{ConnectionsFacts, Fact, Facts, Room, Stage, Unknown, Why};
use std::time::{Duration, Instant};
use visit::Visit;

/// Most connections that are tried, the one too many among them.
pub const CONNECTIONS_MAX: u32 = 256;
/// Longest time for all of it.
pub const LONGEST: Duration = Duration::from_secs(60);
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
    budget: Duration::from_secs(65),
    run,
};

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let not_asked = |detail: &str| Unknown::new(Why::NotAsked, detail);
    facts.connections = ConnectionsFacts::all_unknown(&not_asked("connections are opened by gpu-doctor balance alone"));
    let Some(ask) = &context.ask.balance else {
        return Ran::skipped("only gpu-doctor balance opens connections and holds them");
    };
    match found(context, ask.connections.saturating_add(1).min(CONNECTIONS_MAX), facts) {
        Ok(room) => {
            facts.connections = room;
            Ran::ok()
        }
        Err(unknown) => {
            facts.connections = ConnectionsFacts::all_unknown(&unknown);
            facts.connections.asked = Fact::Known(u64::from(ask.connections) + 1);
            Ran::from(&unknown)
        }
    }
}

fn found(context: &Context, tries: u32, facts: &Facts) -> Result<ConnectionsFacts, Unknown> {
    enough_files(u64::from(tries))?;
    let holder = Holder::new(&context.ask)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Unknown::from_io(&error, "starting the connections' loop"))?;
    let until = (Instant::now() + LONGEST).min(context.deadline.checked_sub(SPARE).unwrap_or(context.deadline));
    let room = runtime.block_on(async {
        let visit = Visit::begin(context, &holder, facts, until).await?;
        visit.run(u64::from(tries)).await
    });
    // A name that does not resolve must not hold up the end.
    runtime.shutdown_background();
    room
}

/// Whether this process may open so many connections.
fn enough_files(connections: u64) -> Result<(), Unknown> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes to a live structure.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0;
    let allowed = limit.rlim_cur;
    match read && allowed < connections + FILES_BESIDE {
        true => {
            let detail = format!(
                "{connections} connections need {} open files, and this shell allows {allowed} (ulimit -n)",
                connections + FILES_BESIDE
            );
            Err(Unknown::new(Why::Denied, detail))
        }
        false => Ok(()),
    }
}
