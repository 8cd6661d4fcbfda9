//! `bench`.

use super::{Output, Selection, TargetOptions, WaitReady, duration};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// What stands below the help of `bench`.
const BENCH_HELP: &str = "\
First the server is examined as by `run`. Then its good request is sent by one user, each when the last is answered: \
first a warm-up that is left out, then what is measured. Told are the time of the whole request, and the server's own \
time where its answers tell one, each with mean, deviation and percentiles and the range in which they lie with 95 % \
confidence; a figure that needs more requests than were measured is left open.

--csv writes a table with one row, as a benchmark of several GPUs is put together:
  GPU,Avg Inference Time (ms),Requests Per Second
of which the last is 1000 / the average. --requests-csv writes a row for each request while it runs:
  timestamp,status,latency_ms,inference_time_ms,error
Ctrl-C ends the benchmark; what was measured by then is written, judged and told.

  gpu-doctor bench --server URL --duration 120s --wait 1s --bearer-env TOKEN --csv t4_benchmark.csv
  gpu-doctor bench --server URL --count 200 --save before.json
  gpu-doctor bench --server URL --count 200 --against before.json
  gpu-doctor bench --server URL --baseline \"Whisper large-v3\" --gpu T4

Exit codes: 0 nothing failed, 1 a failure was diagnosed, 2 undecided (facts are missing), 64 usage, 70 bug. That a run \
is slower than another or than a baseline is told and is no failure.";

/// `bench`.
#[derive(Debug, Args)]
#[command(after_help = BENCH_HELP)]
pub struct Bench {
    /// What is measured.
    #[command(flatten)]
    pub bench: BenchOptions,
    /// What to examine.
    #[command(flatten)]
    pub target: TargetOptions,
    /// Whether to wait for the server.
    #[command(flatten)]
    pub ready: WaitReady,
    /// Which checks to use.
    #[command(flatten)]
    pub selection: Selection,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// What is measured, and what it is held against.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Benchmark")]
pub struct BenchOptions {
    /// How long requests are sent, for instance 30s or 2m [default: 120s; with --count until they were sent, an hour at
    /// most].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Requests to measure.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// How long the user waits between an answer and the next request, for instance 1s [default: not at all].
    #[arg(long, value_name = "TIME", value_parser = wait)]
    pub wait: Option<Duration>,
    /// Requests before those that are measured, which are left out [default: as many as a warm-up takes].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub warm_up: Option<u64>,
    /// Longest wait for one answer of the benchmark.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "120s")]
    pub answer_timeout: Duration,
    /// The field of the JSON answers that tells the server's own time, with the unit where its name does not tell it:
    /// inference_time_ms, timing.model:s [default: what fits, of the names in use].
    #[arg(long, value_name = "PATH[:UNIT]")]
    pub server_time: Option<String>,
    /// The header of the answers that tells it: X-Process-Time (seconds), x-inference:ms, Server-Timing.infer.
    #[arg(long, value_name = "NAME[:UNIT]", conflicts_with = "server_time")]
    pub server_time_header: Option<String>,
    /// Write the benchmark's row to this file, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write a row for each measured request to this file, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    pub requests_csv: Option<PathBuf>,
    /// The GPU that the server works on, for the table and the baseline [default: what the driver calls it].
    #[arg(long, value_name = "NAME")]
    pub gpu: Option<String>,
    /// Say how the run compares with what such a model usually takes on such a GPU; the model is named where the server
    /// does not tell it.
    #[arg(long, value_name = "MODEL", num_args = 0..=1, default_missing_value = "")]
    pub baseline: Option<String>,
    /// A file with further rows of that table (YAML); its models win over those that are built in. Implies --baseline.
    #[arg(long, value_name = "FILE")]
    pub baselines: Option<PathBuf>,
    /// Compare with an earlier run that `bench --save FILE` wrote, and say what is more than noise.
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// The server may be loaded although it is on another machine. Without it such a server is sent 100 requests at most.
    #[arg(long)]
    pub i_own_this_server: bool,
}

/// Accepts a time that may be none.
fn wait(text: &str) -> Result<Duration, String> {
    match text {
        "0" | "0s" | "0ms" => Ok(Duration::ZERO),
        text => duration(text),
    }
}
