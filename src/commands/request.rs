//! `request`: the requests that the doctor would send, without sending them.

use super::{Failure, output, target};
use crate::cli::{Request, Selection, TargetOptions};
use crate::exit;
use crate::probe::service::requests::{self, Requests};
use crate::regular_file;
use crate::report;
use anyhow::{Context as _, anyhow};
use std::path::Path;

/// Largest document that is read, bytes.
const LIMIT_BYTES: u64 = 32 << 20;

/// Makes the requests and prints them.
pub fn run(options: Request) -> Result<u8, Failure> {
    let target = TargetOptions {
        server: options.server,
        operation: options.operation,
        fields: options.fields,
        config: options.config,
        timeout: options.timeout,
        connection: options.connection,
        ..TargetOptions::default()
    };
    let ask = target::resolve(target, &mut Selection::default(), None)?;
    let made = match &options.schema {
        Some(path) => {
            let bytes = read(path).map_err(Failure::Usage)?;
            requests::of_document(&path.display().to_string(), &bytes, &ask, options.all)
        }
        None => requests::of_server(&ask, options.all),
    };
    let made: Requests = made.map_err(|problem| Failure::Usage(anyhow!("{problem}")))?;
    output::to_stdout(|out| report::requests(&made, options.format, out))?;
    Ok(exit::HEALTHY)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    regular_file::read(path, LIMIT_BYTES).with_context(|| format!("--schema {}", path.display()))
}
