//! Waivers: read early, so that a wrong one is told before any time is spent.

use super::Failure;
use crate::check::{Checks, Waiver};
use crate::cli::{Output, Selection};
use crate::config::Config;
use crate::report::{did_you_mean, nearest_ids};
use anyhow::anyhow;

/// Puts the waivers of the config and of `--waivers` into `output`.
///
/// # Errors
/// A file that cannot be read, an id that no check has, two waivers of one id.
pub fn take(output: &mut Output, by_config: Vec<Waiver>, selection: &Selection) -> Result<(), Failure> {
    output.waivers = by_config;
    if let Some(file) = &output.waivers_file {
        let read =
            Config::read(file).map_err(|error| Failure::Usage(anyhow::Error::new(error).context("--waivers")))?;
        // The same file may be named twice, as config and for its waivers.
        let is_there = |new: &Waiver| output.waivers.iter().any(|one| one.says_the_same(new));
        let new: Vec<Waiver> = read.waivers.into_iter().filter(|one| !is_there(one)).collect();
        output.waivers.extend(new);
    }
    if output.waivers.is_empty() {
        return Ok(());
    }
    let checks = Checks::load(selection.checks.as_deref()).map_err(|error| Failure::Usage(error.into()))?;
    for (number, waiver) in output.waivers.iter().enumerate() {
        let refuse = |problem: String| Err(Failure::Usage(anyhow!("{}: {problem}", waiver.place)));
        if checks.get(&waiver.id).is_none() {
            let near: Vec<String> = nearest_ids(&waiver.id, &checks).into_iter().map(|near| near.id).collect();
            return refuse(format!("no check has the id \"{}\"; {}", waiver.id, did_you_mean(&near)));
        }
        if let Some(other) = output.waivers.iter().take(number).find(|other| other.id == waiver.id) {
            return refuse(format!("{} is waived twice; the first is at {}", waiver.id, other.place));
        }
    }
    Ok(())
}
