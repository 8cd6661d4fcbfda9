//! The options of `watch`.

use super::{Output, Selection, TargetOptions};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// What stands below the help of `watch`.
const WATCH_HELP: &str = "\
Nothing is sent to the server but questions what it is and requests for its metrics pages; without --server only the GPUs \
are watched. \"n/a\" stands for what a card or the server does not tell, \"-\" for what there was none of. Ctrl-C, or the \
count, ends it with a summary, and with the diagnosis of what was seen; a second Ctrl-C ends that too.

The columns of a line
  GPU%      share of the time with a kernel running, on average of the interval
  Mem%      share of the card's memory in use, and MemUsed how much, in MiB
  Temp      temperature of the GPU, Power what it draws, on average
  Requests  requests that ended since the line before, by the server's own counters (+5)
  QueueMs   mean time that they waited in the server's queue
  InferMs   mean time that they were in the model

Exit codes: 0 nothing failed, 1 a failure was diagnosed, 2 undecided (facts are missing), 64 usage (also a file that \
cannot be written), 70 bug.";

/// `watch`.
#[derive(Debug, Args)]
#[command(after_help = WATCH_HELP)]
pub struct Watch {
    /// Time between two lines, from 100ms to an hour.
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub interval: Duration,
    /// End after so many lines of each GPU [default: go on until Ctrl-C].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Fill the screen: a row of bars for each counter of each GPU and of the server. q or Ctrl-C ends it. Where the output
    /// is no terminal, the plain lines are written.
    #[arg(long)]
    pub tui: bool,
    /// Also write a table (CSV), for instance gpu_samples.csv: timestamp, gpu_util_percent, gpu_mem_used_mb, power_w,
    /// temperature_c, and more columns behind them. `gpu-doctor triage` reads it. Rows are added to a table of an earlier
    /// watch; any other file that is there is left as it is.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Also write one JSON object a line, with the same names; the same holds for a file that is there.
    #[arg(long, value_name = "FILE")]
    pub jsonl: Option<PathBuf>,
    /// A metrics page of the server (may be repeated) [default: where software of its kind has it].
    // Read by `commands`: clap would repeat a wrong value in its message, and a password with it.
    #[arg(long = "metrics", value_name = "URL")]
    pub metrics: Vec<String>,
    /// What to examine.
    #[command(flatten)]
    pub target: TargetOptions,
    /// Which checks to use.
    #[command(flatten)]
    pub selection: Selection,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// Accepts the time between two lines.
fn interval(text: &str) -> Result<Duration, String> {
    super::duration(text).and_then(|interval| match interval < Duration::from_millis(100) {
        true => Err("it must be 100ms at least: the driver's own counters change a few times a second".into()),
        false => Ok(interval),
    })
}
