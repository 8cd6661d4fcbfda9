//! The job that creates a session of the user's model to hear where its nodes go. It runs in a child.

use super::child::{Logger, environment};
use super::device_block;
use super::error_text::cause;
use super::execution::{self, Execution};
use super::placement_log::PlacementLog;
use super::profile;
use super::profile_file::ProfileFile;
use crate::probe::isolation::Reporter;
use crate::probe::model::structure;
use crate::snapshot::{PlacedNode, Unknown, Why};
use ort::environment::Environment;
use ort::ep;
use ort::logging::LogLevel;
use ort::session::Session;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// GPU memory that a session may take for tensors: enough to place nodes, not to copy parameters.
pub const DRY_LIMIT_BYTES: usize = 1 << 20;
/// Tensors from this size on are written beside the execution graph, that is, nowhere; bytes.
const OUTSIDE_BYTES: &str = "1024";

/// Key of the part that holds the answer as it is before the model runs.
pub const PLACED: &str = "placed";

/// What the job is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The library.
    pub library: String,
    /// The model's file.
    pub model: String,
    /// Whether CUDA is to be registered.
    pub cuda: bool,
    /// Whether the parameters are to be copied to the GPU.
    #[serde(default)]
    pub whole: bool,
    /// Whether a dry session is to be had by too little memory alone, since the other way killed the process: a tensor
    /// larger than the block may get crashes onnxruntime.
    #[serde(default)]
    pub plain: bool,
    /// Whether the execution graph is to be written and read.
    #[serde(default)]
    pub execution_graph: bool,
    /// Whether every node is to be told, not only those on the CPU.
    #[serde(default)]
    pub every_node: bool,
    /// Whether a run is to be profiled.
    #[serde(default)]
    pub profile: bool,
}

/// What the job answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What the log said.
    pub placement: PlacementLog,
    /// Nodes that the log lists, where there is no execution graph.
    pub listed: Vec<PlacedNode>,
    /// What the execution graph tells.
    pub execution: Option<Execution>,
    /// Why there is no execution graph; empty if there is, or if none was asked for.
    pub no_execution: String,
    /// Whether the parameters were kept from the GPU.
    pub dry: bool,
    /// Time to create the session, milliseconds; null if it was not created.
    pub session_ms: Option<f64>,
    /// Why it was not, in onnxruntime's words.
    pub error: Option<String>,
    /// Time of one run by provider, milliseconds, where asked for.
    pub run_ms: Option<BTreeMap<String, f64>>,
    /// Why the run failed; empty if it did not, or if none was asked for.
    pub run_error: String,
}

/// Job `placement`, argument [`Order`]. Part, where a run is asked for: `{"placed": Answer}`. The result is [`Answer`], or `{"obstacle": Unknown}`.
pub fn placement(argument: &Value, reporter: &mut Reporter) -> Value {
    let Ok(order) = serde_json::from_value::<Order>(argument.clone()) else {
        return super::child::obstacle(Unknown::new(Why::Malformed, "the job's argument names no library or no model"));
    };
    // A model larger than memory must cost this process its life and no other's.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    // A file that reaches its limit gives an error instead of a signal.
    // SAFETY: sets a disposition of this process.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    match place(&order, reporter) {
        Ok(answer) => serde_json::to_value(answer).unwrap_or_default(),
        Err(unknown) => super::child::obstacle(unknown),
    }
}

/// How a session meets the GPU.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Device {
    /// Not at all.
    Cpu,
    /// On one block that is given out again and again.
    Block,
    /// With too little memory to be created.
    Limit,
    /// As in the deployment.
    Whole,
}

fn place(order: &Order, reporter: &mut Reporter) -> Result<Answer, Unknown> {
    let log = Arc::new(Mutex::new(PlacementLog::default()));
    let heard = log.clone();
    let logger: Logger = Arc::new(move |_, _, _, _, message: &str| lock(&heard).hear(message));
    reporter.stage(&format!("dlopen of {}", order.library));
    let environment = environment(Path::new(&order.library), reporter, logger)?;
    let graph = if order.execution_graph { GraphFile::new() } else { None };
    let profile = if order.profile { Some(ProfileFile::new()?) } else { None };
    let ways: &[Device] = match (order.cuda, order.whole) {
        (false, _) => &[Device::Cpu],
        (true, true) => &[Device::Whole],
        (true, false) if order.plain => &[Device::Limit],
        (true, false) => &[Device::Block, Device::Limit],
    };
    let mut answer = Answer::default();
    for (at, way) in ways.iter().enumerate() {
        *lock(&log) = PlacementLog::default();
        let started = Instant::now();
        let made = session(&environment, order, *way, graph.as_ref(), profile.as_ref(), reporter);
        let took_ms = started.elapsed().as_secs_f64() * 1e3;
        let seen = lock(&log).seen;
        // A way that this library does not know leaves another; the last one's obstacle counts.
        if at + 1 < ways.len() && !seen && made.is_err() {
            continue;
        }
        answer.dry = matches!(way, Device::Block | Device::Limit);
        let mut session = match made {
            Ok(session) => Some(session),
            Err(Failed::Before(unknown)) => return Err(unknown),
            Err(Failed::Creating(error)) => {
                answer.error = Some(cause(&error));
                None
            }
        };
        answer.session_ms = session.is_some().then_some(took_ms);
        let created = session.is_some();
        let mut log = std::mem::take(&mut *lock(&log)).finish();
        reporter.stage("the execution graph");
        let file = |graph| Ok((graph, structure(Path::new(&order.model)).map_err(|unknown| unknown.detail)?));
        match graph.as_ref().map(|graph| graph.read(created).and_then(file)) {
            Some(Ok((graph, file))) => {
                answer.execution = Some(execution::join(&graph, &file, &log, order.every_node));
                log.nodes.clear();
            }
            Some(Err(why)) => answer.no_execution = why,
            None if order.execution_graph => answer.no_execution = "no memory for it".into(),
            None => {}
        }
        if answer.execution.is_none() {
            answer.listed = execution::listed(&log, order.every_node);
        }
        answer.placement = log;
        if let (Some(session), Some(profile)) = (&mut session, &profile) {
            // What is known already outlives a run that crashes or takes too long.
            reporter.part(json!({ PLACED: answer }));
            reporter.stage("a run of the model");
            match profile::run(session, profile) {
                Ok(run_ms) => answer.run_ms = Some(run_ms),
                Err(error) => answer.run_error = error,
            }
        }
        // The session is left to the process's end: destructors of providers can hang.
        std::mem::forget(session);
        break;
    }
    std::mem::forget(environment);
    Ok(answer)
}

fn lock(log: &Mutex<PlacementLog>) -> MutexGuard<'_, PlacementLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a session could not be had.
enum Failed {
    /// Its options were refused.
    Before(Unknown),
    /// Its creation failed, in onnxruntime's words.
    Creating(String),
}

fn session(
    environment: &Environment,
    order: &Order,
    device: Device,
    graph: Option<&GraphFile>,
    profile: Option<&ProfileFile>,
    reporter: &mut Reporter,
) -> Result<Session, Failed> {
    reporter.stage("session options");
    let say =
        |what: &str, error: &str| Failed::Before(Unknown::new(Why::Unsupported, format!("{what}: {}", cause(error))));
    let mut builder = Session::builder(environment).map_err(|error| say("CreateSessionOptions", error.message()))?;
    let mut cuda = ep::CUDA::default();
    match device {
        Device::Cpu | Device::Whole => {}
        Device::Limit => cuda = cuda.with_memory_limit(DRY_LIMIT_BYTES),
        // Where the block is not taken after all, the limit stands.
        Device::Block => {
            cuda = cuda.with_memory_limit(DRY_LIMIT_BYTES);
            device_block::register(environment).map_err(|error| say("RegisterAllocator", &error))?;
            builder = builder.with_env_allocators().map_err(|error| say("use_env_allocators", error.message()))?;
        }
    }
    if device != Device::Cpu {
        reporter.stage("registration of the CUDA execution provider");
        builder = builder
            .with_execution_providers([cuda.build().error_on_failure()])
            .map_err(|error| say("registration of the CUDA execution provider", error.message()))?;
    }
    // Times by provider are those of the deployment only with as many threads as it has.
    if profile.is_none() {
        builder = builder.with_intra_threads(1).map_err(|error| say("SetIntraOpNumThreads", error.message()))?;
    }
    builder = builder.with_log_level(LogLevel::Verbose).map_err(|error| say("log level", error.message()))?;
    if let Some(graph) = graph {
        builder = builder
            .with_optimized_model_path(graph.path())
            .map_err(|error| say("SetOptimizedModelFilePath", error.message()))?;
        for (key, value) in [
            ("session.optimized_model_external_initializers_file_name", graph.beside.as_raw_fd().to_string()),
            ("session.optimized_model_external_initializers_min_size_in_bytes", OUTSIDE_BYTES.to_string()),
        ] {
            builder = builder.with_config_entry(key, value).map_err(|error| say(key, error.message()))?;
        }
    }
    if let Some(profile) = profile {
        builder = builder.with_profiling(profile.prefix()).map_err(|error| say("EnableProfiling", error.message()))?;
    }
    reporter.stage("creation of the session");
    builder.commit_from_file(&order.model).map_err(|error| Failed::Creating(error.message().to_string()))
}

/// A file in memory for the execution graph, and a sink for the parameters that would be written beside it: nothing
/// reaches a disk. The limit on files of a child bounds it.
struct GraphFile {
    file: File,
    beside: File,
}

impl GraphFile {
    fn new() -> Option<Self> {
        // SAFETY: makes a descriptor that nobody else has. It stays open in no other program.
        let fd = unsafe { libc::memfd_create(c"execution graph".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return None;
        }
        // SAFETY: the descriptor was just made.
        let file = unsafe { File::from_raw_fd(fd) };
        Some(Self { file, beside: File::options().write(true).open("/dev/null").ok()? })
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// The graph that was written, if the session came that far.
    fn read(&self, created: bool) -> Result<crate::probe::model::Structure, String> {
        if !created {
            return Err("the session was given up before onnxruntime wrote it".into());
        }
        structure(&self.path()).map_err(|unknown| unknown.detail)
    }
}
