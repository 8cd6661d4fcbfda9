//! A stage and its checks.

use super::text::{heading, paragraph};
use crate::check::Checks;
use crate::snapshot::Stage;
use colored::Colorize;
use serde::Serialize;
use std::io::{Result, Write};

/// What is told of a stage.
#[derive(Debug, Serialize)]
pub struct StagePage {
    /// The stage.
    pub stage: Stage,
    /// What it is.
    pub about: &'static str,
    /// Its checks.
    pub checks: Vec<Line>,
}

/// One check in a list.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Its id.
    pub id: String,
    /// How bad it is.
    pub severity: &'static str,
    /// A few words.
    pub title: String,
}

impl StagePage {
    /// The page of a stage.
    pub fn of(stage: Stage, checks: &Checks) -> StagePage {
        let of_stage = checks.iter().map(|check| &check.spec).filter(|spec| spec.stage == stage);
        let line = |spec: &crate::check::Spec| Line {
            id: spec.id.clone(),
            severity: spec.severity.name(),
            title: spec.title.clone(),
        };
        StagePage { stage, about: about(stage), checks: of_stage.map(line).collect() }
    }

    /// Writes the page for people at a terminal of so many columns.
    pub fn text(&self, width: usize, out: &mut dyn Write) -> Result<()> {
        writeln!(out, "{}, a stage of a request's life", self.stage.name().bold())?;
        paragraph(out, width, self.about, "  ", "  ")?;
        heading(out, "Its checks")?;
        let widest = self.checks.iter().map(|check| check.id.len()).max().unwrap_or_default();
        for Line { id, severity, title } in &self.checks {
            paragraph(out, width, title, &format!("  {id:<widest$}  {severity}  "), &" ".repeat(widest + 10))?;
        }
        writeln!(out)?;
        let more =
            format!("`gpu-doctor explain ID` explains one; `gpu-doctor run --only {}` judges these alone.", self.stage);
        paragraph(out, width, &more, "", "")
    }

    /// Writes the page as Markdown: a heading and a line for each check.
    pub fn markdown(&self, out: &mut dyn Write) -> Result<()> {
        writeln!(out, "## {}\n\n{}\n", self.stage, super::markdown::escaped(self.about))?;
        for Line { id, severity, title } in &self.checks {
            let title = super::markdown::escaped(title);
            writeln!(out, "- [{id}]({}/{id}.md) ({severity}): {title}", self.stage)?;
        }
        Ok(())
    }
}

/// What a stage is about.
fn about(stage: Stage) -> &'static str {
    match stage {
        Stage::Hardware => "The GPU itself: on the bus, healthy, powered and cooled.",
        Stage::Driver => "The kernel's NVIDIA driver and its management library, NVML.",
        Stage::Container => {
            "What the container around the server gets of GPU and driver: Docker, containerd, Kubernetes."
        }
        Stage::Cuda => "The CUDA driver library, and the CUDA libraries that the runtime needs.",
        Stage::Packages => {
            "The deployment's Python packages: which builds are installed, and whether they fit together."
        }
        Stage::Runtime => "The inference runtime, for instance onnxruntime, and its execution providers.",
        Stage::Model => "The model, and on which device its nodes and parameters are.",
        Stage::Process => "The server's process: its environment, its code, its memory, its port.",
        Stage::Request => "The request and its answer: what the client sends, and what the server makes of it.",
        Stage::Execution => "The work that a request causes: whether a GPU does it, and how long it takes.",
        Stage::Load => "Many requests at once: where the server slows down, and what limits it.",
        Stage::Measurement => "What was measured wrong, so that a number says something else than it seems to.",
    }
}
