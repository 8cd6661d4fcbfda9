//! `stress`.

use super::{Output, Selection, TargetOptions, WaitOptions, duration};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// What stands below the help of `stress`.
const STRESS_HELP: &str = "\
First the server is examined as by `run`. Then its good request is sent by more and more users at once, each its next \
request when the last is answered; with --rate so many requests are started a second, whether answers come or not. \
Ctrl-C ends the load, and what was measured by then is judged and told; a second Ctrl-C ends the program at once. The load \
ends by itself when most requests fail, when a GPU gets so hot that it slows down, and when the server is gone.

The config file's keys are those of the options: load: {users: [10, 25], duration: 30s, rate: 50, think_time: 1s, \
max_requests: 10000, holds: [100/2s]}.

Exit codes: 0 nothing failed, 1 a failure was diagnosed, 2 undecided (facts are missing), 64 usage, 70 bug.";

/// `stress`.
#[derive(Debug, Args)]
#[command(after_help = STRESS_HELP)]
pub struct Stress {
    /// The load.
    #[command(flatten)]
    pub load: LoadOptions,
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

/// The load on the server.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadOptions {
    /// Users that send at once, step by step [default: 10,25,50,100; with --rate the connections, 100].
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = users)]
    pub users: Vec<u32>,
    /// How long each step lasts, for instance 30s or 2m [default: 10s].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Start so many requests a second, whether answers come or not.
    #[arg(long, value_name = "N", value_parser = rate, conflicts_with = "think_time")]
    pub rate: Option<f64>,
    /// How long each user waits between an answer and its next request, for instance 1s.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub think_time: Option<Duration>,
    /// End after so many requests of all steps together.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_requests: Option<u64>,
    /// Also say whether the server holds so many users with one request each in such a time, for instance 100/2s (may be
    /// repeated or comma-separated).
    #[arg(long, value_name = "USERS/TIME", value_delimiter = ',', value_parser = holds)]
    pub holds: Vec<(u64, Duration)>,
    /// Also write a row for each step to this file, as it ends.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// The server may be loaded although it is on another machine. Without it such a server is sent 100 requests at most.
    #[arg(long)]
    pub i_own_this_server: bool,
}

/// Users of one step, at most: each has a connection and its buffers in this one process.
const USERS_MAX: u32 = 100_000;

/// Accepts a number of users that is not 0.
pub fn users(text: &str) -> Result<u32, String> {
    match text.trim().parse() {
        Ok(0) => Err("a load needs at least one user".into()),
        Ok(users) if users > USERS_MAX => Err(format!("one machine makes {USERS_MAX} users at most")),
        Ok(users) => Ok(users),
        Err(_) => Err("write how many users, for instance 10 or 10,25,50".into()),
    }
}

/// Accepts users and the time from one request of a user to its next, such as `100/2s`.
pub fn holds(text: &str) -> Result<(u64, Duration), String> {
    let wrong = || "write users and the time from one request of a user to its next, for instance 100/2s".to_owned();
    let (users, interval) = text.split_once('/').ok_or_else(wrong)?;
    let users = users.trim().parse().ok().filter(|users| *users > 0).ok_or_else(wrong)?;
    Ok((users, duration(interval.trim()).map_err(|_| wrong())?))
}

/// Accepts requests a second.
pub fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    let possible = rate.filter(|rate| rate.is_finite() && (0.01..=1e6).contains(rate));
    possible.ok_or_else(|| "write how many requests a second, from 0.01 to 1000000".into())
}
