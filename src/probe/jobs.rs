//! The jobs that run in a child: every place where foreign code is loaded.

use super::isolation::{self, Reporter};
use super::{cuda, device_nodes, nvml, onnxruntime, smoke};
use serde_json::Value;

/// A job takes its argument, names its stages as it goes, and returns its result.
type Job = fn(&Value, &mut Reporter) -> Value;

/// Every job by name.
const JOBS: &[(&str, Job)] = &[
    ("device-nodes", device_nodes::child::job),
    ("nvml", nvml::child::job),
    ("nvml-samples", nvml::sampling::job),
    ("cuda", cuda::child::job),
    ("smoke", smoke::child::job),
    ("onnxruntime", onnxruntime::child::onnxruntime),
    ("placement", onnxruntime::session::placement),
];

/// Runs the job that the parent named, on the arguments after the hidden subcommand, and ends the process with it.
///
/// Returns an exit code only if the arguments are not such as a parent writes.
pub fn run_child(arguments: &[String]) -> u8 {
    let [name, parent, argument] = arguments else { return crate::exit::USAGE };
    let (Ok(parent), Ok(argument)) = (parent.parse(), serde_json::from_str::<Value>(argument)) else {
        return crate::exit::USAGE;
    };
    let Some((_, job)) = JOBS.iter().find(|(job, _)| job == name) else { return crate::exit::USAGE };
    let mut reporter = isolation::enter(parent);
    let result = job(&argument, &mut reporter);
    reporter.finish(&result)
}
