//! The server's log.

use super::{Context, Probe, Ran};
use crate::snapshot::{Facts, Stage};
use std::time::Duration;

/// Reads what is known of the sayings in the server's log.
pub const PROBE: Probe = Probe {
    id: "server_log",
    stage: Stage::Process,
    rooms: &["server_log"],
    needs: &["process"],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

fn run(_context: &Context, _facts: &mut Facts) -> Ran {
    Ran::skipped("no log was named")
}
