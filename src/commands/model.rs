//! `model`: what is in a model's file, and where onnxruntime runs it.

use super::{Failure, output, progress, terminal};
use crate::cli::Model;
use crate::probe::{Ask, PlacementAsk};
use crate::redact::{Identifiers, redacted};
use crate::report::{Audit, Style};
use crate::{exit, probe};
use anyhow::anyhow;
use std::collections::BTreeSet;

/// Rooms that the audit tells.
const ROOMS: [&str; 4] = ["model", "ort", "placement", "prediction"];

/// Audits the model and prints what was found.
pub fn run(options: Model) -> Result<u8, Failure> {
    for (flag, path) in [("--onnxruntime", &options.onnxruntime), ("--python", &options.python)] {
        if let Some(path) = path.as_ref().filter(|path| path.try_exists().is_ok_and(|there| !there)) {
            return Err(Failure::Usage(anyhow!("{flag} {}: there is no such file", path.display())));
        }
    }
    let ask = Ask {
        model: Some(options.file),
        onnxruntime: options.onnxruntime,
        python: options.python,
        placement: PlacementAsk {
            for_version: options.placement.for_onnxruntime,
            whole_session: options.placement.whole_session || options.placement.profile,
            profile: options.placement.profile,
            every_node: true,
            run_python: true,
        },
        timeout: options.timeout,
        ..Ask::default()
    };
    let snapshot = probe::collect(&ask, &BTreeSet::from(ROOMS), progress::observer().as_mut());
    // Of a model whose other files are missing the rest is told, and what is wrong with them.
    let model = &snapshot.facts.model;
    if let (Err(unreadable), false) = (model.parameters.read(), model.external_files.known().is_some()) {
        return Err(Failure::Usage(anyhow!("{}", unreadable.detail)));
    }
    // A model and where it runs: what is asked about on this machine stays named, and secrets go.
    let audit = Audit::of(&redacted(&snapshot, Identifiers::Kept));
    let style = Style { verbose: options.verbose, ..terminal::style() };
    output::to_stdout(|out| audit.write(options.format, &style, out))?;
    Ok(exit::HEALTHY)
}
