//! `diagnose`: judge recorded facts.

use super::{Failure, output};
use crate::cli::Diagnose;
use crate::regular_file;
use crate::snapshot::{SCHEMA, Snapshot};
use anyhow::{Context as _, anyhow, bail};
use std::io::Read;
use std::path::Path;

/// Largest snapshot that is read, bytes.
const LIMIT_BYTES: u64 = 256 << 20;

/// Reads a snapshot, judges it and prints the report.
pub fn run(options: Diagnose) -> Result<u8, Failure> {
    output::verify_save(&options.output)?;
    let checks = output::checks(&options.selection)?;
    let place = options.snapshot.display().to_string();
    let snapshot = read(&options.snapshot).with_context(|| format!("snapshot {place}")).map_err(Failure::Usage)?;
    output::tell(&snapshot, &checks, &options.output)
}

/// Reads a snapshot, as `--save` writes it.
pub fn read(path: &Path) -> anyhow::Result<Snapshot> {
    if path != Path::new("-") {
        return parse(&regular_file::read_text(path, LIMIT_BYTES)?);
    }
    let mut text = String::new();
    let count = std::io::stdin().lock().take(LIMIT_BYTES + 1).read_to_string(&mut text)?;
    if count as u64 > LIMIT_BYTES {
        bail!("it is larger than {LIMIT_BYTES} bytes");
    }
    parse(&text)
}

fn parse(text: &str) -> anyhow::Result<Snapshot> {
    // The schema's name first: the shape of another version would only give confusing errors.
    let value: serde_json::Value =
        serde_json::from_str(text).context("it is not JSON; expected the output of \"gpu-doctor collect\"")?;
    match value.get("schema").and_then(|schema| schema.as_str()) {
        Some(SCHEMA) => {}
        Some(other) => bail!("its schema is \"{other}\"; this version reads \"{SCHEMA}\""),
        None => bail!("it has no \"schema\"; expected \"{SCHEMA}\", the output of \"gpu-doctor collect\""),
    }
    serde_json::from_str(text).map_err(|error| anyhow!("{error}; expected the output of \"gpu-doctor collect\""))
}
