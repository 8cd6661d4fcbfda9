//! The dynamic linker's view of the deployment's runtimes: what they need, and what would not be found. Nothing is
//! loaded; the files are read.

mod deployment;
mod driver;
mod elf;
mod ld_cache;
mod mapped;
pub mod needed;
mod runtimes;
pub mod search;
#[cfg(test)]
mod tests;
mod wheels;

pub use deployment::Deployment;

use super::{Context, Probe, Ran};
use crate::snapshot::{Facts, LinkerFacts, Stage};
use std::time::Duration;

/// Walks what the runtimes need, without loading anything.
pub const PROBE: Probe = Probe {
    id: "linker",
    stage: Stage::Cuda,
    rooms: &["linker"],
    needs: &["process", "packages"],
    this_machine: true,
    budget: Duration::from_secs(10),
    run,
};

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let deployment = Deployment::of(context, facts);
    let runtimes = deployment.runtimes(context, facts);
    let ran = runtimes.as_ref().err().map_or_else(Ran::ok, Ran::from);
    facts.linker = LinkerFacts {
        runtimes: runtimes.into(),
        mapped: deployment.mapped.as_ref().map(mapped::Mapped::told).map_err(Clone::clone).into(),
        cuda_driver: deployment.cuda_driver(context).into(),
    };
    ran
}
