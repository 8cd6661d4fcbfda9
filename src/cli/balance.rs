//! `balance`.

use super::{Output, Selection, TargetOptions};
use clap::Args;

/// What stands below the help of `balance`.
const HELP: &str = "\
It opens N connections and one more, each for real: WebSockets at the path of a ws:// address or of --operation, else at \
/asr, /ws and other usual paths. After each it asks NVML and, where the server has one, its own document (/gpu-status). \
Then it closes them all and looks whether places and memory are free again. Nothing is sent on them. Names in the \
document that are not found by themselves are mapped in the config file:

  balance:
    status: /pool
    fields: {gpus: cards, index: id, connections: load.now, used: vram_mb, limit: max_per_card}

Exit codes: 0 nothing failed, 1 a failure was diagnosed, 2 undecided (facts are missing), 64 usage, 70 bug.";

/// `balance`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Balance {
    /// Connections that the server is to hold. One more is tried, which it should refuse.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    pub connections: u32,
    /// Path of the document in which the server tells of its GPUs [default: /gpu-status and other usual ones].
    #[arg(long, value_name = "PATH")]
    pub status_path: Option<String>,
    /// Hold answers to a GET that do not end (a stream of events), in place of WebSockets; --operation names the path.
    #[arg(long)]
    pub over_http: bool,
    /// The server is on another machine, and it is mine to be filled with connections.
    #[arg(long)]
    pub i_own_this_server: bool,
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
