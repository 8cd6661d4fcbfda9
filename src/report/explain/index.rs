//! The index of the pages in docs/checks.

use super::markdown::escaped;
use super::{Other, StagePage};
use crate::check::{Check, Checks};
use crate::snapshot::Stage;
use std::io::{Result, Write};

/// Least number of causes for which what one sees is worth an entry of its own.
const LEAST_CAUSES: usize = 5;

/// Writes the index: by what one sees, and by stage.
pub fn index(checks: &Checks, out: &mut dyn Write) -> Result<()> {
    writeln!(
        out,
        "# What gpu-doctor checks\n\n\
         A page for each of the {} causes and symptoms that are judged: what it means, how it shows, how it is told from\n\
         its neighbours, what to do, and how to verify that it helped. `gpu-doctor explain ID` shows the same at the\n\
         terminal. The pages are written from `checks/*/*.yaml`; a check of your own is told of in\n\
         [Writing a check](../writing-checks.md).\n",
        checks.iter().count()
    )?;
    writeln!(out, "- [By what you see](#by-what-you-see)")?;
    writeln!(out, "- By stage of a request's life:")?;
    let stages: Vec<Stage> =
        Stage::ALL.iter().copied().filter(|stage| checks.iter().any(|check| check.spec.stage == *stage)).collect();
    stages.iter().try_for_each(|stage| writeln!(out, "  [{stage}](#{stage})"))?;
    writeln!(out, "\n## By what you see\n\nWhat shows, and what it can come from.\n")?;
    let mut shown: Vec<(&Check, Vec<Other>)> = checks.iter().map(|check| (check, causes(check, checks))).collect();
    shown.retain(|(_, causes)| causes.len() >= LEAST_CAUSES);
    shown.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.spec.id.cmp(&b.0.spec.id)));
    for (check, causes) in shown {
        let spec = &check.spec;
        writeln!(out, "### {}\n", escaped(&spec.title))?;
        writeln!(out, "[{}]({}/{0}.md) can come from one of {}:\n", spec.id, spec.stage, causes.len())?;
        writeln!(out, "| Stage | Causes |\n| --- | --- |")?;
        for stage in Stage::ALL {
            let of_stage = causes.iter().filter(|other| other.stage == *stage);
            let links: Vec<String> = of_stage.map(|Other { id, .. }| format!("[{id}]({stage}/{id}.md)")).collect();
            if !links.is_empty() {
                writeln!(out, "| {stage} | {} |", links.join(", "))?;
            }
        }
        writeln!(out)?;
    }
    for (place, stage) in stages.into_iter().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        StagePage::of(stage, checks).markdown(out)?;
    }
    Ok(())
}

/// What explains a check.
fn causes(effect: &Check, checks: &Checks) -> Vec<Other> {
    checks.iter().filter(|check| check.spec.explains.contains(&effect.spec.id)).map(Other::of).collect()
}
