//! How a report is printed, where else it goes, and what counts as failure.

use crate::check::Waiver;
use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use std::path::{Path, PathBuf};

/// How to print, and what counts as failure.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// How to print the report. Every form but text goes to standard output alone.
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
    /// Also write the report in this form to this file, for instance html=report.html (may be repeated). A file that is
    /// there is replaced; only its owner may read it, metrics aside.
    #[arg(id = "report_files", long = "output", value_name = "FORM=FILE", value_parser = output_file)]
    pub files: Vec<OutputFile>,
    /// What makes the exit code 1: a failure, also a warning, also a fact that could not be known [default: fail].
    #[arg(long, value_enum)]
    pub fail_on: Option<FailOn>,
    /// A file with waivers (YAML, the list `waivers` as in a config file): causes that are known and accepted until a day. They
    /// are told, and do not make the exit code 1; one whose day is past does. Those of --config count too.
    #[arg(long = "waivers", value_name = "FILE")]
    pub waivers_file: Option<PathBuf>,
    /// The waivers themselves, once the files were read.
    #[arg(skip)]
    pub waivers: Vec<Waiver>,
    /// Also write the snapshot to this file, to be judged again with `gpu-doctor diagnose`.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Show every check and every fact's obstacle, not only what matters.
    #[arg(long, short, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Print the headline and the causes' names only; nothing if all is well.
    #[arg(long, short)]
    pub quiet: bool,
    /// Use no characters beyond ASCII.
    #[arg(long)]
    pub ascii: bool,
    /// Keep host names, addresses, users' folders, serial numbers and UUIDs where they would be replaced by tokens: in
    /// files, pipes and every form for programs. Secrets are never kept.
    #[arg(long)]
    pub include_identifiers: bool,
}

impl Output {
    /// The files that it names, each with its option.
    pub fn paths(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let save = self.save.iter().map(|file| ("--save", file.as_path()));
        save.chain(self.files.iter().map(|file| ("--output", file.path.as_path())))
    }
}

/// A file that the report is also written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// In which form.
    pub format: ReportFormat,
    /// Where.
    pub path: PathBuf,
}

/// Forms of the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    Text,
    /// For people: a line for the verdict and one for each cause.
    Short,
    /// For programs: everything, by `gpu-doctor schema report`.
    Json,
    /// For tickets.
    Markdown,
    /// For pipelines: a test case for each check.
    Junit,
    /// For browsers: one file, which loads nothing.
    Html,
    /// For GitHub Actions: annotations, at most ten of a kind.
    Github,
    /// For Prometheus: a file for the node exporter's textfile collector.
    Openmetrics,
    /// For the node problem detector and Nagios: one line of at most 80 bytes. The exit code is the detector's; Nagios takes
    /// 2 for critical and 3 for unknown, which are 1 and 2 here
    Npd,
}

/// The least thing that makes the exit code 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailOn {
    /// A diagnosed failure.
    #[default]
    Fail,
    /// Also a warning.
    Warn,
    /// Also an answer that could not be decided.
    Unknown,
}

/// `FORM=FILE`.
fn output_file(text: &str) -> Result<OutputFile, String> {
    let forms = || {
        let names = ReportFormat::value_variants().iter().filter_map(|form| form.to_possible_value());
        names.map(|name| name.get_name().to_owned()).collect::<Vec<_>>().join(", ")
    };
    let Some((form, file)) = text.split_once('=').filter(|(_, file)| !file.is_empty()) else {
        return Err(format!("expected FORM=FILE, for instance json=report.json; the forms are {}", forms()));
    };
    let format =
        ReportFormat::from_str(form, true).map_err(|_| format!("\"{form}\" is no form; there are {}", forms()))?;
    Ok(OutputFile { format, path: file.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_with_its_form() {
        let html = OutputFile { format: ReportFormat::Html, path: "a=b.html".into() };
        assert_eq!(output_file("html=a=b.html"), Ok(html));
        assert!(output_file("html").unwrap_err().contains("FORM=FILE"));
        assert!(output_file("json=").unwrap_err().contains("FORM=FILE"));
        let wrong = output_file("pdf=x").unwrap_err();
        assert!(wrong.contains("\"pdf\"") && wrong.contains("markdown, junit"), "{wrong}");
    }
}
