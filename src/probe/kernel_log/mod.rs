//! The kernel's log: what the driver reported there.

mod line;
mod reports;
mod source;
#[cfg(test)]
mod tests;
mod xids;

use super::tree::Tree;
use super::{Context, Probe, Ran};
use crate::snapshot::{Fact, Facts, KernelLogFacts, Room, Stage, Unknown, Why};
use reports::Reports;
use source::Source;
use std::time::Duration;

/// Reads the kernel's log from a file, or from this machine where that is allowed.
pub const PROBE: Probe = Probe {
    id: "kernel_log",
    stage: Stage::Driver,
    rooms: &["kernel_log"],
    needs: &[],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

fn run(context: &Context, facts: &mut Facts) -> Ran {
    match read(context) {
        Ok((name, reports)) => {
            facts.kernel_log = KernelLogFacts {
                source: Fact::Known(name),
                reaches_start: Fact::Known(reports.reaches_start),
                lines: Fact::Known(reports.lines),
                xids: Fact::Known(reports.xids),
            };
            Ran::ok()
        }
        Err(unknown) => {
            facts.kernel_log = KernelLogFacts::all_unknown(&unknown);
            // Most users may not read it. That is no failure of this run; a check that needs it says so.
            match context.ask.kernel_log {
                None if matches!(unknown.why, Why::Denied | Why::Absent) => Ran::skipped(unknown.detail),
                _ => Ran::from(&unknown),
            }
        }
    }
}

fn read(context: &Context) -> Result<(String, Reports), Unknown> {
    let told = |source: Source| (source.name, reports::read(&source.text));
    if let Some(path) = &context.ask.kernel_log {
        return source::named(path).map(told);
    }
    let tree = Tree::new(&context.ask.root);
    if !tree.is_whole() {
        return source::in_tree(&tree).map(told);
    }
    choose(source::ring_buffer().map(told), || source::in_tree(&tree).map(told))
}

/// Of this machine's two sources the ring buffer, which is about the running kernel for certain, unless its beginning was
/// written over and a file still has it.
fn choose(
    ring: Result<(String, Reports), Unknown>,
    file: impl FnOnce() -> Result<(String, Reports), Unknown>,
) -> Result<(String, Reports), Unknown> {
    match ring {
        Ok(ring) if ring.1.reaches_start => Ok(ring),
        // A container's image may bring a file of another machine: it counts only if it tells all that the ring tells.
        Ok(ring) => Ok(match file() {
            Ok(file) if file.1.reaches_start && covers(&file.1, &ring.1) => file,
            _ => ring,
        }),
        // Where the ring is refused, that is the obstacle to tell: no file needs to be there.
        Err(refused) => file().map_err(|_| refused),
    }
}

/// Whether one log has every report of the other.
fn covers(file: &Reports, ring: &Reports) -> bool {
    let has = |code, address: &str| file.xids.iter().any(|xid| xid.code == code && xid.pci_address == address);
    ring.xids.iter().all(|xid| has(xid.code, &xid.pci_address))
        && ring.lines.iter().all(|line| file.lines.contains(line))
}
