//! `demo`: a server with a fault, then a real run against it.

use super::Failure;
use crate::cli::Demo;

/// Starts the built-in server and examines it.
pub fn run(_options: Demo) -> Result<u8, Failure> {
    Err(Failure::Usage(anyhow::anyhow!("the demo is not built yet")))
}
