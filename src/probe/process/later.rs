//! What the server's processes have loaded by a later moment: some load their runtime with the first request.

use super::{maps, weights};
use crate::snapshot::{ModelFile, Unknown, Why};
use procfs::process::Process;
use std::collections::{BTreeMap, BTreeSet};

/// Libraries of GPU runtimes mapped by any of the processes: kind to one path. Processes that have ended are left out.
///
/// # Errors
/// Why the maps could not be read: one process that refuses leaves the whole unknown.
pub fn gpu_libraries(pids: &[u64]) -> Result<BTreeMap<String, String>, Unknown> {
    let mut union = BTreeMap::new();
    for mapped in of_each(pids, |process| maps::mapped(process).map(|mapped| mapped.libraries))? {
        for (kind, path) in mapped {
            union.entry(kind).or_insert(path);
        }
    }
    Ok(union)
}

/// Files of models' weights that any of the processes has mapped or open.
///
/// # Errors
/// Why the maps or the descriptors could not be read.
pub fn model_files(pids: &[u64]) -> Result<Vec<ModelFile>, Unknown> {
    let all = of_each(pids, |process| maps::mapped(process).and_then(|mapped| maps::models(process, &mapped)))?;
    Ok(weights::union(all.iter().map(Vec::as_slice)))
}

/// Device nodes of GPUs that any of the processes holds open.
///
/// # Errors
/// Why the descriptors could not be read.
pub fn device_nodes(pids: &[u64]) -> Result<Vec<String>, Unknown> {
    let all: BTreeSet<String> = of_each(pids, maps::nodes)?.into_iter().flatten().collect();
    Ok(all.into_iter().collect())
}

fn of_each<T>(pids: &[u64], read: impl Fn(&Process) -> Result<T, Unknown>) -> Result<Vec<T>, Unknown> {
    let mut all = Vec::new();
    for pid in pids {
        let process = i32::try_from(*pid).ok().and_then(|pid| Process::new(pid).ok());
        match process.map(|process| read(&process)) {
            Some(Ok(one)) => all.push(one),
            Some(Err(unknown)) if unknown.why != Why::Absent => return Err(unknown),
            _ => {}
        }
    }
    match all.is_empty() {
        true => Err(Unknown::new(Why::Absent, "the server's processes ended while requests ran")),
        false => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_read_and_ended_ones_are_left_out() {
        let own = u64::from(std::process::id());
        assert_eq!(gpu_libraries(&[own, u64::from(u32::MAX)]), Ok(BTreeMap::new()));
        assert_eq!(device_nodes(&[own]), Ok(Vec::new()));
        assert_eq!(gpu_libraries(&[u64::MAX]).unwrap_err().why, Why::Absent);
    }
}
