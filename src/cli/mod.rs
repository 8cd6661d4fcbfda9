//! The command line, as clap types.

mod balance;
mod bench;
mod checks;
mod diff;
mod output;
mod schema;
mod setting_up;
mod stress;
mod values;
mod wait;
mod watch;

pub use balance::{Balance, CONNECTIONS_MAX};
pub use bench::{Bench, BenchOptions};
pub use checks::{Checks, Explain, ExplainFormat, LintFormat};
pub use diff::Diff;
pub use output::{FailOn, Output, OutputFile, ReportFormat};
pub use schema::{Schema, SchemaOf};
pub use setting_up::{Completions, Init, Man};
pub use stress::{LoadOptions, Stress, holds, rate, users};
pub use values::{callable, duration, named_value, sample_rate, server_url, utc_offset, version};
pub use wait::{WaitOptions, WaitReady};
pub use watch::Watch;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Says in seconds why the GPU behind an inference server stays idle, with proof and fix.
#[derive(Debug, Parser)]
#[command(name = "gpu-doctor", version, max_term_width = 110, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 nothing failed, 1 a failure was diagnosed, 2 undecided (facts are missing), 64 usage, 70 bug."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Examine this machine and, where named, the server, its model and its onnxruntime; say what is wrong.
    Run(Run),
    /// Examine the server as `run` does, then load it with more and more users: where it slows down, and what limits it.
    Stress(Stress),
    /// Examine the server as `run` does, then measure it with one user: how long a request takes, and the model in it.
    Bench(Box<Bench>),
    /// Read a model's file: what is in it, and which of its nodes onnxruntime runs on CUDA and which on the CPU.
    Model(Model),
    /// Print the requests that the doctor would send to a server, or by an OpenAPI document, without sending them.
    Request(Request),
    /// Collect the facts only and print them as a snapshot (JSON).
    Collect(Collect),
    /// Open connections, hold them, and say on which GPU each came, at how many the server refuses, and whether all is
    /// given back.
    Balance(Balance),
    /// Judge recorded facts, on any machine.
    Diagnose(Diagnose),
    /// Judge files that you already have: results of a load test, GPU samples, logs, metrics, snapshots.
    Triage(Triage),
    /// Watch the GPUs and a server's own counters, a line a second, and say at the end what is wrong.
    Watch(Watch),
    /// Compare two snapshots or reports, before and after a fix or of two machines: causes gone, new and still there, and
    /// facts that changed and matter.
    Diff(Diff),
    /// Start a built-in speech server with a typical fault on 127.0.0.1, then examine it for real.
    Demo(Demo),
    /// List the checks, or verify your own: `lint` and `test`.
    #[command(subcommand)]
    Checks(Checks),
    /// Explain one check, or the checks of a stage: what it means, how it is told, what to do.
    Explain(Explain),
    /// Print the JSON Schema of a report, a snapshot, a difference or the config file.
    Schema(Schema),
    /// Look at this machine and a server, and write a commented config file.
    Init(Init),
    /// Print the completions of a shell.
    Completions(Completions),
    /// Print the manual page, or write all of them into a folder.
    Man(Man),
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// What to examine.
    #[command(flatten)]
    pub target: TargetOptions,
    /// Whether to wait for the server.
    #[command(flatten)]
    pub wait: WaitOptions,
    /// Which checks to use.
    #[command(flatten)]
    pub selection: Selection,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// What stands below the help of `model`.
const MODEL_HELP: &str = "\
Placement is where each node of an ONNX model runs, on CUDA or on the CPU, and where its parameters lie. It is predicted \
from tables of the CUDA provider's kernels, without any onnxruntime and without a GPU. With --onnxruntime or --python the \
library itself is also asked, in a process of its own; the two then stand side by side.

Exit codes: 0 the file was read, whatever was found; 64 usage, or no model that could be read; 70 bug.";

/// `model`.
#[derive(Debug, Args)]
#[command(after_help = MODEL_HELP, group = clap::ArgGroup::new("runtime"))]
pub struct Model {
    /// The model's file, or a folder that holds one model. Of ONNX the graph, the tensors and the placement are told; of
    /// safetensors (also by the index of its shards) and GGUF the tensors. Nothing is unpickled.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The deployment's onnxruntime library (libonnxruntime.so...), or its folder: it then places the model itself.
    #[arg(long, value_name = "LIB", group = "runtime")]
    pub onnxruntime: Option<PathBuf>,
    /// The deployment's Python interpreter, or the folder of its environment: the onnxruntime installed there places the
    /// model. The interpreter is run only for an onnxruntime before 1.19, which no other program can load.
    #[arg(long, value_name = "EXE", group = "runtime")]
    pub python: Option<PathBuf>,
    /// How the placement is found out.
    #[command(flatten)]
    pub placement: PlacementOptions,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// List every node on the CPU, with the reason, not only the worst groups of them.
    #[arg(long, short)]
    pub verbose: bool,
    /// Longest time it may take, for instance 60s or 2m.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    pub timeout: std::time::Duration,
}

/// How the model's placement is found out.
#[derive(Debug, Default, Args)]
pub struct PlacementOptions {
    /// Predict for this version of onnxruntime, for instance 1.23 [default: the deployment's, else the newest whose tables
    /// are built in].
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub for_onnxruntime: Option<String>,
    /// Let onnxruntime create a whole session, with every parameter on the GPU. Without it the session is dry: it places
    /// the nodes, and takes GPU memory for CUDA itself and the largest tensor only.
    #[arg(long, requires = "runtime")]
    pub whole_session: bool,
    /// Also run the model, on inputs made up of zeros and ones, and tell the time that its nodes took on CUDA and on the
    /// CPU. Implies --whole-session.
    #[arg(long, requires = "runtime")]
    pub profile: bool,
}

/// What stands below the help of `request`.
const REQUEST_HELP: &str = "\
Of a server only the description is asked for (its OpenAPI document, or the metadata of its models); no inference is \
sent. With --schema nothing is sent at all. Every value says where it comes from: yours, the schema, or a guess.

Exit codes: 0 the requests were printed, whether or not they validate; 64 usage, or nothing to print; 70 bug.";

/// `request`.
#[derive(Debug, Args)]
#[command(after_help = REQUEST_HELP)]
pub struct Request {
    /// The server's base URL, for instance http://127.0.0.1:8000. With --schema it is only written into the commands.
    // Read by `commands`: clap would repeat a wrong value in its message, and a password with it.
    #[arg(long, value_name = "URL", required_unless_present_any = ["schema", "config"])]
    pub server: Option<String>,
    /// An OpenAPI document in a file, JSON or YAML: 3.0, 3.1 or Swagger 2.0.
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// Path of the operation, for instance /asr [default: the one that looks most like an inference].
    #[arg(long, value_name = "PATH")]
    pub operation: Option<String>,
    /// Every operation.
    #[arg(long, conflicts_with = "operation")]
    pub all: bool,
    /// A value for a field, for instance lang=hi (may be repeated); @FILE stands for a file's content.
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = named_value)]
    pub fields: Vec<(String, String)>,
    /// A config file (YAML) with the same settings as for `run`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Longest time that asking the server may take, for instance 10s [default: 60s].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<std::time::Duration>,
    /// How the server is reached.
    #[command(flatten)]
    pub connection: ConnectionOptions,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `collect`.
#[derive(Debug, Args)]
pub struct Collect {
    /// What to examine.
    #[command(flatten)]
    pub target: TargetOptions,
    /// Whether to wait for the server.
    #[command(flatten)]
    pub wait: WaitOptions,
    /// Which checks to use.
    #[command(flatten)]
    pub selection: Selection,
    /// Keep host names, addresses, users' folders, serial numbers and UUIDs where they would be replaced by tokens. Secrets
    /// are never kept.
    #[arg(long, help_heading = "Output")]
    pub include_identifiers: bool,
}

/// `diagnose`.
#[derive(Debug, Args)]
pub struct Diagnose {
    /// A snapshot from `gpu-doctor collect`; `-` reads standard input.
    pub snapshot: PathBuf,
    /// Which checks to use.
    #[command(flatten)]
    pub selection: Selection,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// What stands below the help of `triage`.
const TRIAGE_HELP: &str = "\
Files are told apart by what is in them, not by their names. Read are
  requests     tables with a row for each (CSV, JSON Lines; hey -o csv, k6 --out csv or json),
               Locust's --csv, oha's JSON, k6's --summary-export,
               what wrk, ab, hey, oha and k6 print at the end
  GPU samples  tables with a row for each (CSV, JSON Lines),
               nvidia-smi --query-gpu=... --format=csv, nvidia-smi dmon and pmon
  the server   its log, its metrics page (two make a difference),
               docker inspect, kubectl get -o json
  the machine  nvidia-smi, nvidia-smi -q -x
  gpu-doctor   its snapshots and reports
and the same packed: gzip, zip, tar, tar.gz.

Exit codes: 0 nothing failed, 1 a failure was diagnosed, 2 undecided (the files do not tell enough), 64 usage, 70 bug.";

/// `triage`.
#[derive(Debug, Args)]
#[command(after_help = TRIAGE_HELP)]
pub struct Triage {
    /// The files, best of all of one load test; `-` reads standard input.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Zone of the times that name none, as nvidia-smi's, for instance +05:30 or -08:00 or Z.
    #[arg(long, value_name = "+HH:MM", value_parser = utc_offset, allow_hyphen_values = true)]
    pub utc_offset: Option<i32>,
    /// Which checks to use.
    #[command(flatten)]
    pub selection: Selection,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// What to examine. Flags win over the config file.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Target")]
pub struct TargetOptions {
    /// The server's base URL, for instance http://127.0.0.1:8000; grpc://127.0.0.1:8001 for KServe v2 over gRPC,
    /// ws://127.0.0.1:8000/asr for a WebSocket; https, grpcs and wss with TLS.
    // Read by `commands`: clap would repeat a wrong value in its message, and a password with it.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// The model's file, or a folder with one model: ONNX, safetensors, GGUF.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// The deployment's onnxruntime library (libonnxruntime.so...), or its folder, loaded in a process of its own [default:
    /// the one in --python's packages, else the one that the server's process has mapped].
    #[arg(long, value_name = "LIB")]
    pub onnxruntime: Option<PathBuf>,
    /// The deployment's Python interpreter, or the folder of its environment. Its packages are read; it is not run unless
    /// --import or --loader asks for that.
    #[arg(long, value_name = "EXE")]
    pub python: Option<PathBuf>,
    /// The client's own request: a file with its curl command line, a HAR that a browser saved, a Postman collection, or the
    /// Python (requests, httpx, aiohttp, Locust) or JavaScript (fetch) that sends it. It is read, not run, and names the
    /// server, if --server does not.
    #[arg(long, value_name = "FILE")]
    pub client_request: Option<PathBuf>,
    /// A log of the server (may be repeated); without it the file that its output goes to is read, if it is one. What it
    /// gains while a request is rejected may name what the answer does not.
    #[arg(long = "log", value_name = "FILE")]
    pub logs: Vec<PathBuf>,
    /// The kernel's log in a file (`dmesg`, `journalctl -k`); without it this machine's is read where that is allowed.
    #[arg(long, value_name = "FILE")]
    pub kernel_log: Option<PathBuf>,
    /// The output of `docker inspect CONTAINER`, for the deployment's container.
    #[arg(long, value_name = "FILE")]
    pub docker_inspect: Option<PathBuf>,
    /// The output of `kubectl get pod,node,event -o json` (may be repeated).
    #[arg(long, value_name = "FILE")]
    pub kubectl: Vec<PathBuf>,
    /// The output of `nvidia-smi -q -x`, which then stands for asking NVML.
    #[arg(long, value_name = "FILE")]
    pub nvidia_smi: Option<PathBuf>,
    /// Run a kernel of the doctor's own on each CUDA device, verify it, and see whether the counters of idle GPUs rise with it.
    #[arg(long)]
    pub smoke: bool,
    /// Import this Python module with --python's interpreter, in a process of its own, and report what it prints (may be
    /// repeated). `--import onnxruntime` also lets an onnxruntime before 1.19, which no other program can load, tell its
    /// providers and place the model.
    #[arg(long = "import", value_name = "MODULE", requires = "python")]
    pub imports: Vec<String>,
    /// Run this function of the deployment's code, with --python's interpreter and in a process of its own: it loads the
    /// model as the server does, and its parameters are counted by device. Written module:callable, as in app.models:load;
    /// the module is imported from the server's working directory, else from this one. It runs with gpu-doctor's own
    /// rights, and needs memory for a second model.
    #[arg(long, value_name = "MODULE:CALLABLE", value_parser = callable)]
    pub loader: Option<String>,
    /// Then call this function with what the loader returned: it runs one inference, and on which devices is watched.
    #[arg(long, value_name = "MODULE:CALLABLE", value_parser = callable)]
    pub forward: Option<String>,
    /// Longest time that --loader and --forward may take together [default: 2m].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub loader_timeout: Option<std::time::Duration>,
    /// A config file (YAML) with the same settings; unknown keys are errors.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Examine the file tree under this folder instead of / (a mounted disk, a container's root).
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Longest time the whole run may take, for instance 60s or 2m [default: 60s, and with --loader its time more].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<std::time::Duration>,
    /// Requests of the measuring window, one after the other within 3 s, at most [default: 200].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub requests: Option<u32>,
    /// Samples of every GPU's counters a second while the window's requests run, 1 to 100 [default: 20].
    #[arg(long, value_name = "HZ", value_parser = sample_rate, allow_hyphen_values = true)]
    pub sample_rate: Option<u32>,
    /// Path of the operation to try, for instance /asr, where the server has several.
    #[arg(long, value_name = "PATH")]
    pub operation: Option<String>,
    /// A value for a field of the doctor's request, for instance lang=hi (may be repeated); @FILE sends a file's content.
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = named_value)]
    pub fields: Vec<(String, String)>,
    /// Also send requests that break the server's contract in one place each (a field left out, of a wrong type, with an
    /// unknown value), at most 24, and report what it answers.
    #[arg(long)]
    pub contract: bool,
    /// How the server is reached.
    #[command(flatten)]
    pub connection: ConnectionOptions,
}

/// How the server is reached.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionOptions {
    /// A file of certificates (PEM) that are trusted besides the system's: a private CA, or a self-signed certificate.
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// The client's certificate (PEM), for servers that want one.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The private key of --cert (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// The server listens at this Unix socket; --server then names the host for the Host header.
    #[arg(long, value_name = "PATH")]
    pub unix_socket: Option<PathBuf>,
    /// Send the requests through this proxy. Proxies of the environment are used with --proxy env only, and always said.
    #[arg(long, value_name = "URL|env")]
    pub proxy: Option<String>,
    /// Speak HTTP/2 without TLS.
    #[arg(long)]
    pub http2: bool,
    /// The environment variable that holds the bearer token. No option takes the token itself: it would show in `ps`.
    #[arg(long, value_name = "VARIABLE", conflicts_with_all = ["bearer_file", "basic_env"])]
    pub bearer_env: Option<String>,
    /// The file that holds the bearer token.
    #[arg(long, value_name = "FILE", conflicts_with = "basic_env")]
    pub bearer_file: Option<PathBuf>,
    /// The environment variable that holds user:password.
    #[arg(long, value_name = "VARIABLE")]
    pub basic_env: Option<String>,
}

/// Which checks to use.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct Selection {
    /// Use only these checks: a stage, or the beginning of a check's id. May be repeated or comma-separated.
    #[arg(long, value_name = "STAGE|ID", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Leave these checks out: a stage, or the beginning of a check's id.
    #[arg(long, value_name = "STAGE|ID", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// A folder with checks of your own, used beside the built-in ones.
    #[arg(long, value_name = "DIR")]
    pub checks: Option<PathBuf>,
}

/// Forms of lists and tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}
