//! `explain`: one check in words, or a stage and its checks.

use super::{Failure, output, terminal};
use crate::check::{Checks, is_known_cause};
use crate::cli::{Explain, ExplainFormat};
use crate::report::{Page, StagePage, did_you_mean, nearest_ids};
use crate::snapshot::Stage;
use crate::{exit, words};
use anyhow::anyhow;
use serde::Serialize;
use std::io::Write;

/// Explains the check or the stage of that name.
pub fn run(options: Explain) -> Result<u8, Failure> {
    let checks = Checks::load(options.checks.as_deref()).map_err(|error| Failure::Usage(error.into()))?;
    if let Some(check) = checks.get(&options.id) {
        let page = Page::of(check, &checks);
        return told(options.format, &page, |width, out| page.text(width, out), |out| page.markdown(out));
    }
    if let Some(stage) = Stage::from_name(&options.id) {
        let page = StagePage::of(stage, &checks);
        return told(options.format, &page, |width, out| page.text(width, out), |out| page.markdown(out));
    }
    Err(Failure::Usage(anyhow!("{}", unknown(&options.id, &checks))))
}

/// Writes a page in the form asked for.
fn told(
    format: ExplainFormat,
    page: &impl Serialize,
    text: impl FnOnce(usize, &mut dyn Write) -> std::io::Result<()>,
    markdown: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<u8, Failure> {
    output::to_stdout(|out| match format {
        ExplainFormat::Text => text(terminal::width(std::io::stdout()), out),
        ExplainFormat::Markdown => markdown(out),
        ExplainFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, page)?;
            writeln!(out)
        }
    })?;
    Ok(exit::HEALTHY)
}

/// What is said of an id that no check has.
fn unknown(id: &str, checks: &Checks) -> String {
    let shown = words::plain(id);
    if shown.trim().is_empty() {
        return "the id of a check is empty; \"gpu-doctor checks list\" shows all ids".into();
    }
    if is_known_cause(id) {
        return format!(
            "{shown} is a known cause, but no check judges it yet; \"gpu-doctor checks list\" shows those that do"
        );
    }
    let mut near: Vec<String> = nearest_ids(id, checks).into_iter().map(|near| near.id).collect();
    let stages = Stage::ALL.iter().map(|stage| stage.name());
    if let Some(stage) = words::nearest(id, stages, 0.9).filter(|_| !id.contains('-')) {
        near = vec![stage.to_owned()];
    }
    format!("no check has the id \"{shown}\"; {}", did_you_mean(&near))
}
