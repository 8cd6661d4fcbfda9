//! Facts that follow from facts: what CEL cannot say well. Derived anew at each judgement, never recorded.
//!
//! One file a subject: its facts, and how they follow. Paths in checks name them all alike: `derived.gpu_visible`.

mod activity;
mod budget;
mod claims;
mod collective;
mod complaint;
mod connections;
mod container;
mod content_of_request;
mod contradictions;
mod copies;
mod device_order;
mod docker_daemon;
mod driver;
mod engine;
mod expectations;
mod failures;
mod gpu;
mod gpu_sharing;
mod gpu_spread;
mod growth;
mod health;
mod illness;
mod image;
mod image_requirement;
mod limits;
mod linker;
pub mod load;
mod loaded;
mod measurement;
mod memory;
mod model_devices;
mod packages;
mod pod;
mod port;
mod recorded;
mod refusal;
mod request_phases;
mod request_split;
mod residence;
mod served;
mod server;
mod shapes;
mod sharing;
mod sources;
mod sources_text;
mod start_failure;
mod state;
mod target_of_request;
mod traffic;
mod trouble;

pub use budget::{CONTEXT_BYTES, mebibytes};
pub use connections::{
    ChecklistLine, ChecklistOutcome, Figures as ConnectionFigures, cached as connection_cache,
    checklist as connection_checklist, figures as connection_figures, numbers as connection_numbers,
    processes as connection_processes,
};
pub use loaded::loaded_in_words;

use engine::EngineSaying;

use crate::snapshot::{Expectations, Fact, Facts, Unknown};
use schemars::JsonSchema;
use serde::Serialize;

/// What the subjects derive from: the facts, and what several of them ask first.
pub struct Basis<'a> {
    facts: &'a Facts,
    expect: &'a Expectations,
    /// Whether this machine has a GPU.
    gpu_visible: Fact<bool>,
    /// Whether the driver's parts are of different versions.
    driver_versions_differ: Fact<bool>,
    /// What the GPUs did while requests ran, and the counters that say so.
    activity: Result<(&'static str, String), Unknown>,
    /// The same GPU by GPU.
    watched: activity::Judged,
    /// Whether the GPU was seen to work for the server.
    gpu_seen_working: bool,
}

macro_rules! subjects {
    ($($file:ident: $name:ident,)*) => {
        /// What follows from the facts.
        #[derive(Debug, Clone, Serialize, JsonSchema)]
        pub struct Derived {
            $(#[serde(flatten)]
            $file: $file::$name,)*
        }

        impl Derived {
            /// Derives everything.
            fn from(basis: &Basis) -> Derived {
                Derived { $($file: $file::$name::of(basis),)* }
            }
        }
    };
}

subjects! {
    gpu: Presence,
    driver: Driver,
    health: Health,
    sharing: Sharing,
    illness: Illness,
    expectations: Expected,
    container: Container,
    docker_daemon: DockerDaemons,
    image: Images,
    image_requirement: ImageRequirement,
    start_failure: StartFailures,
    pod: Pod,
    gpu_sharing: DividedNodes,
    linker: Linker,
    packages: Packages,
    server: Server,
    port: Port,
    state: ServerState,
    target_of_request: TargetOfRequest,
    content_of_request: ContentOfRequest,
    complaint: Complaints,
    memory: Memory,
    budget: Budget,
    residence: Residence,
    copies: Copies,
    recorded: Recorded,
    failures: Failures,
    refusal: Refusals,
    request_phases: RequestPhases,
    request_split: RequestSplit,
    gpu_spread: GpuSpread,
    connections: ConnectionSpread,
    device_order: DeviceOrder,
    collective: Collective,
    shapes: Shapes,
    activity: Activity,
    measurement: Measurement,
    load: UnderLoad,
    served: Served,
    traffic: Traffic,
    limits: Limits,
    engine: Engine,
    loaded: Loaded,
    model_devices: ModelDevices,
    sources: Sources,
    contradictions: Contradictions,
}

impl Derived {
    /// Rooms that the derived facts are made from. All of them for each: what was seen to work decides about almost any.
    pub const NEEDS: &'static [&'static str] = &[
        "host",
        "kernel_log",
        "device_nodes",
        "container",
        "docker",
        "kubernetes",
        "nvml",
        "cuda",
        "smoke",
        "process",
        "packages",
        "source",
        "linker",
        "ort",
        "model",
        "placement",
        "prediction",
        "request",
        "execution",
        "counters",
        "engine",
        "server_log",
        "loaded",
        "recorded",
        "load",
        "connections",
    ];

    /// Derives everything from the facts.
    pub fn of(facts: &Facts, expect: &Expectations) -> Derived {
        let gpu_visible = gpu::visible(facts);
        let watched = activity::judge(facts, &gpu_visible);
        let activity = recorded::activity(facts).unwrap_or_else(|| watched.overall.clone());
        let gpu_seen_working = matches!(activity, Ok(("active", _)));
        let driver_versions_differ = gpu::versions_differ(facts);
        Derived::from(&Basis {
            facts,
            expect,
            gpu_visible,
            driver_versions_differ,
            activity,
            watched,
            gpu_seen_working,
        })
    }
}

/// A verdict and its reason, as two facts.
fn told(judged: Result<(&'static str, String), Unknown>) -> (Fact<String>, Fact<String>) {
    match judged {
        Ok((verdict, because)) => (Fact::Known(verdict.to_owned()), Fact::Known(because)),
        Err(unknown) => (Fact::Unknown(unknown.clone()), Fact::Unknown(unknown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A room that is read here and not named would not be taken with `--only`, and what follows from it would be missing.
    #[test]
    fn every_room_that_is_read_here_is_needed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check/derive");
        let mut read = 0;
        let rooms = [folder.clone(), folder.join("activity"), folder.join("measurement"), folder.join("load")];
        let entries = rooms.iter().flat_map(|room| std::fs::read_dir(room).unwrap());
        let paths = entries.map(|entry| entry.unwrap().path());
        for path in paths.filter(|path| path.extension().is_some_and(|kind| kind == "rs")) {
            let text: String = std::fs::read_to_string(&path).unwrap().split_whitespace().collect();
            for room in Facts::ROOMS {
                let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
                if text.split(&format!("facts.{room}")).skip(1).any(is_end) {
                    read += 1;
                    assert!(Derived::NEEDS.contains(room), "{} reads the room {room}", path.display());
                }
            }
        }
        assert!(read > 50, "{read} rooms were found");
    }
}
