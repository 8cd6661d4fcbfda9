//! Floor 0: the facts, as plain serde types with units in their names.
//!
//! A snapshot is all that the judgement sees. The same bytes give the same report, on any machine.

mod connections;
mod container;
mod counters;
mod cuda;
mod device_nodes;
mod docker;
mod engine;
mod execution;
mod expect;
mod fact;
mod host;
mod imports;
mod kernel_log;
mod kubernetes;
mod linker;
mod load;
mod loaded;
mod model;
mod nvml;
mod ort;
mod packages;
mod placement;
mod process;
mod recorded;
mod request;
mod server_log;
mod smoke;
mod source;
mod stage;

pub use connections::*;
pub use container::*;
pub use counters::*;
pub use cuda::*;
pub use device_nodes::*;
pub use docker::*;
pub use engine::*;
pub use execution::*;
pub use expect::*;
pub(crate) use fact::room;
pub use fact::{Fact, Room, Unknown, Why};
pub use host::*;
pub use imports::*;
pub use kernel_log::*;
pub use kubernetes::*;
pub use linker::*;
pub use load::*;
pub use loaded::*;
pub use model::*;
pub use nvml::*;
pub use ort::*;
pub use packages::*;
pub use placement::*;
pub use process::*;
pub use recorded::*;
pub use request::*;
pub use server_log::*;
pub use smoke::*;
pub use source::*;
pub use stage::Stage;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name and major version of the snapshot's format.
pub const SCHEMA: &str = "gpu-doctor/snapshot/v1";
/// Minor version of the snapshot's format: how often members or values were added to it since a release.
pub const SCHEMA_MINOR: u32 = 0;

/// Everything that was found out about one target, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Minor version of the schema, which adds members and values and changes none; 0 if it is left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub schema_minor: u32,
    /// Program and version that took the snapshot: `gpu-doctor 0.1.0`.
    pub tool: String,
    /// When the first probe started, RFC 3339.
    pub taken_at: String,
    /// What was asked about.
    pub target: Target,
    /// How each probe went, in the order in which they ran.
    pub probes: Vec<ProbeRecord>,
    /// The facts, by room.
    pub facts: Facts,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What the user asked about. Secrets (tokens, headers) are never part of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Root of the examined file tree, `/` for this machine.
    pub root: String,
    /// The server's URL, without credentials; null if no server was named.
    pub server: Option<String>,
    /// Whether the server runs on this machine; null without a server or when its name does not resolve.
    pub server_is_local: Option<bool>,
    /// The model's file; null if none was named.
    pub model: Option<String>,
    /// The onnxruntime library that was named; null if it is to be found.
    pub onnxruntime: Option<String>,
    /// The Python interpreter of the deployment; null if none was named.
    pub python: Option<String>,
    /// Where the client's own request came from; null if none was given.
    pub client_request: Option<String>,
    /// Logs of the server that were named.
    #[serde(default)]
    pub logs: Vec<String>,
    /// The kernel log that was named; null if this machine's is to be read.
    pub kernel_log: Option<String>,
    /// The output of `docker inspect` that was named.
    pub docker_inspect: Option<String>,
    /// The outputs of `kubectl get ... -o json` that were named.
    #[serde(default)]
    pub kubectl: Vec<String>,
    /// The output of `nvidia-smi -q -x` that was named; it stands for NVML then.
    pub nvidia_smi: Option<String>,
    /// Whether the doctor's own kernel was asked for.
    #[serde(default)]
    pub smoke: bool,
    /// Python modules that were asked to be imported.
    #[serde(default)]
    pub imports: Vec<String>,
    /// Callable of the deployment that loads its model, `module:callable`; null if none was named.
    pub loader: Option<String>,
    /// Callable that runs one inference with what the loader returned; null if none was named.
    pub forward: Option<String>,
    /// What the user expects of the machine.
    #[serde(default)]
    pub expect: Expectations,
    /// The subcommand that was run and its options, without secrets: `run`, `--server`, ...; empty if it was not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The wait for the server to become ready, before anything was examined; null if none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited: Option<Waited>,
}

/// A wait for the server, before the run (`--wait`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waited {
    /// How long it was, milliseconds.
    pub waited_ms: u64,
    /// Whether the server became ready.
    pub ready: bool,
    /// What it said or did when last asked: `connection refused`, `GET /health answers 503`.
    pub last: String,
}

/// How one probe went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeRecord {
    /// The probe's id.
    pub id: String,
    /// `ok`, `timed_out`, `crashed`, `failed` or `skipped`.
    pub outcome: Outcome,
    /// What happened, for every outcome but `ok`; empty then.
    pub detail: String,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// How long it took, milliseconds.
    pub duration_ms: f64,
}

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran to its end. Single facts may still be unknown.
    Ok,
    /// It was stopped at its budget.
    TimedOut,
    /// The foreign code died.
    Crashed,
    /// It could not do its work: bad input, nothing to ask.
    Failed,
    /// It does not apply, or was not asked for.
    Skipped,
}

impl Outcome {
    /// The outcome in words.
    pub fn words(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::TimedOut => "timed out",
            Outcome::Crashed => "crashed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        }
    }
}

macro_rules! facts {
    ($($(#[$meta:meta])* $field:ident: $ty:ty,)*) => {
        /// All facts, one field a room.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct Facts {
            $($(#[$meta])* #[serde(default)]
            pub $field: $ty,)*
        }

        impl Facts {
            /// Names of the rooms, in order.
            pub const ROOMS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// Facts of which nothing is known, for one reason.
            pub fn all_unknown(unknown: &Unknown) -> Self {
                Self { $($field: <$ty as Room>::all_unknown(unknown),)* }
            }

            /// Takes one room from `other`.
            pub fn take_room(&mut self, room: &str, other: &Facts) {
                match room {
                    $(stringify!($field) => self.$field = other.$field.clone(),)*
                    _ => unreachable!("no room is called {room}"),
                }
            }

            /// Makes every fact of one room unknown.
            pub fn forget_room(&mut self, room: &str, unknown: &Unknown) {
                match room {
                    $(stringify!($field) => self.$field = <$ty as Room>::all_unknown(unknown),)*
                    _ => unreachable!("no room is called {room}"),
                }
            }
        }
    };
}

facts! {
    /// The machine, without loading anything.
    host: HostFacts,
    /// The kernel's log.
    kernel_log: KernelLogFacts,
    /// The driver's device nodes, opened.
    device_nodes: DeviceNodesFacts,
    /// The container around the deployment.
    container: ContainerFacts,
    /// Docker's record of it.
    docker: DockerFacts,
    /// The pod and its node.
    kubernetes: KubernetesFacts,
    /// The driver's management library.
    nvml: NvmlFacts,
    /// The CUDA driver library.
    cuda: CudaFacts,
    /// The doctor's own kernel.
    smoke: SmokeFacts,
    /// The process behind the port.
    process: ProcessFacts,
    /// The deployment's Python packages.
    packages: PackagesFacts,
    /// The server's own Python sources.
    source: SourceFacts,
    /// Python modules, imported.
    imports: ImportsFacts,
    /// The dynamic linker's view of the runtimes.
    linker: LinkerFacts,
    /// The deployment's onnxruntime.
    ort: OrtFacts,
    /// The model's file.
    model: ModelFacts,
    /// Where onnxruntime puts the model.
    placement: PlacementFacts,
    /// Where onnxruntime's CUDA provider would put it.
    prediction: PredictionFacts,
    /// The conversation with the server.
    request: RequestFacts,
    /// Counters while requests ran.
    execution: ExecutionFacts,
    /// The server's own counters while requests ran.
    counters: CountersFacts,
    /// What the serving software says of itself.
    engine: EngineFacts,
    /// The server's log.
    server_log: ServerLogFacts,
    /// The model as the deployment's own code loads it.
    loaded: LoadedFacts,
    /// What files say that were given to `triage`.
    recorded: RecordedFacts,
    /// Load that the doctor made.
    load: LoadFacts,
    /// Connections that the doctor opened and held, and the GPU that each came to.
    connections: ConnectionsFacts,
}

/// The JSON Schema of a snapshot.
pub fn json_schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Snapshot)).expect("a schema is plain JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_version_did_not_record_is_unknown_and_what_nobody_knows_is_an_error() {
        let facts: Facts = serde_json::from_str(r#"{"host": {"os_name": {"known": "Debian"}}}"#).unwrap();
        assert_eq!(facts.host.os_name, Fact::Known("Debian".into()));
        assert_eq!(facts.host.kernel_release.reason().map(|unknown| unknown.why), Some(Why::NotAsked));
        assert_eq!(facts.nvml.gpus.reason().map(|unknown| unknown.why), Some(Why::NotAsked));
        let misspelt = serde_json::from_str::<Facts>(r#"{"host": {"os_nam": {"known": "Debian"}}}"#).unwrap_err();
        assert!(misspelt.to_string().contains("unknown field `os_nam`"), "{misspelt}");
    }

    #[test]
    fn facts_survive_being_written_and_read() {
        let facts = Facts::all_unknown(&Unknown::new(Why::Denied, "a \"quoted\" place"));
        let text = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
    }
}
