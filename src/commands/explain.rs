//! `explain`: one check in words.

use super::{Failure, output};
use crate::check::Checks;
use crate::cli::Explain;
use crate::{exit, report};
use anyhow::anyhow;

/// Explains the check of that id.
pub fn run(options: Explain) -> Result<u8, Failure> {
    let checks = Checks::load(options.checks.as_deref()).map_err(|error| Failure::Usage(error.into()))?;
    let Some(check) = checks.get(&options.id) else {
        let near: Vec<&str> = checks
            .iter()
            .map(|check| check.spec.id.as_str())
            .filter(|id| id.split('-').any(|word| word.len() > 2 && options.id.contains(word)))
            .collect();
        let hint = match near.as_slice() {
            [] => "\"gpu-doctor checks list\" shows all".to_string(),
            near => format!("did you mean {}?", near.join(" or ")),
        };
        return Err(Failure::Usage(anyhow!("no check has the id \"{}\"; {hint}", options.id)));
    };
    output::to_stdout(|out| report::explain(&check.spec, out))?;
    Ok(exit::HEALTHY)
}
