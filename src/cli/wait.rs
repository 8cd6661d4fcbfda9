//! Waiting for a server that is not ready yet.

use super::duration;
use clap::Args;
use std::time::Duration;

/// How long is waited where no time is named.
const USUAL: &str = "60s";

/// Whether to wait for the server.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Target")]
pub struct WaitOptions {
    /// Wait until the server is ready, for so long at most (60s without a time), then examine it as it is. What no waiting
    /// mends ends the wait at once: refused credentials, a certificate that is not trusted.
    #[arg(long, value_name = "TIME", value_parser = duration, num_args = 0..=1, default_missing_value = USUAL)]
    pub wait: Option<Duration>,
}

/// The same for `bench`, whose `--wait` is that of its user between two requests.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Target")]
pub struct WaitReady {
    /// Wait until the server is ready, for so long at most (60s without a time), then examine it as it is: what --wait does
    /// elsewhere.
    #[arg(long, value_name = "TIME", value_parser = duration, num_args = 0..=1, default_missing_value = USUAL)]
    pub wait_ready: Option<Duration>,
}
