//! `balance`.

use super::{Output, Selection, TargetOptions, WaitOptions};
use clap::Args;

/// Most connections that the server is to hold. Each is watched as it comes, which takes about a second.
pub const CONNECTIONS_MAX: u32 = 10_000;

/// What stands below the help of `balance`.
const HELP: &str = "\
It opens N connections and one more, each for real, and holds them all: WebSockets at the path of a ws:// address or of \
--operation, else at /asr, /ws and other usual paths; where the server takes none there, answers that do not end, to a GET \
or to the request that the server accepts. After each it asks NVML and, where the server has one, its own document \
(/gpu-status), and reads its log. If no GPU takes memory when a WebSocket is opened, half a second of speech is said on it. \
Then it closes them all and looks whether places and memory are free again; memory that is not gets a second round, which \
tells a leak from a cache. Ctrl-C closes all connections, and what was seen by then is told.

Names in the document that are not found by themselves are mapped in the config file; so are lines of the log:

  balance:
    connections: 16
    status: /pool
    fields: {gpus: cards, index: id, connections: load.now, used: vram_mb, limit: max_per_card}
    log: 'slot on card (?P<gpu>\\d+)'

Exit codes: 0 nothing failed, 1 a failure was diagnosed, 2 undecided (facts are missing), 64 usage, 70 bug.";

/// `balance`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Balance {
    /// Connections that the server is to hold. One more is tried, which it should refuse.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_MAX)))]
    pub connections: Option<u32>,
    /// Path of the document in which the server tells of its GPUs [default: /gpu-status and other usual ones].
    #[arg(long, value_name = "PATH")]
    pub status_path: Option<String>,
    /// Hold answers that do not end (a stream of events), in place of WebSockets; --operation names the path.
    #[arg(long)]
    pub over_http: bool,
    /// The server may be filled although it is on another machine. Without it such a server gets 100 connections at most.
    #[arg(long)]
    pub i_own_this_server: bool,
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
