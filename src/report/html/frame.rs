//! The page around the parts: policy, style, headline, what was asked.

use super::escape::{Clipped, Text};
use crate::diagnosis::Verdict;
use crate::exit;
use crate::report::bounded::shortened;
use crate::report::{MASKED, Report, Style};
use crate::snapshot::{Fact, Snapshot};
use crate::words::{bytes, count};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};
use std::io::{Result, Write};

/// Characters of the window's title, of what was asked, and of a name of the machine's.
const TITLE_MAX: usize = 200;
const VALUE_MAX: usize = 600;
const NAME_MAX: usize = 120;
/// Names of GPUs that are told, and GPUs that are counted by name.
const NAMES_MAX: usize = 4;
const GPUS_MAX: usize = 1024;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// The shapes of a standing, so that no colour is needed to tell them apart.
const SHAPES: &str = include_str!("shapes.svg");

/// Writes all up to the first part.
pub fn open(report: &Report, snapshot: &Snapshot, style: &Style, out: &mut dyn Write) -> Result<()> {
    let hash = |text: &str| BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes()));
    // Only this style and this script, as they are: what a server said can be neither, whatever it holds.
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{}'; \
         script-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>gpu-doctor: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{SHAPES}\n",
        hash(STYLE),
        hash(SCRIPT),
        Clipped(&report.headline, TITLE_MAX)
    )?;
    let (class, word) = verdict(report.counted());
    let outcome = report.outcome(style.fail_on);
    let class = if outcome.exit_code() == exit::UNHEALTHY { "fail" } else { class };
    let by = outcome.by_option().map_or(String::new(), |by| format!(", {by}"));
    write!(
        out,
        "<header>\n<p class=\"verdict {class}\">{}{word}{by}</p>\n<h1>{}</h1>\n",
        shape(class),
        Text(&report.headline)
    )?;
    asked(report, snapshot, out)?;
    contents(report, snapshot, out)?;
    writeln!(out, "</header>\n<main>")
}

/// Writes what stands after the last part.
pub fn close(report: &Report, style: &Style, out: &mut dyn Write) -> Result<()> {
    let masked = if style.masked { format!(" {MASKED}") } else { String::new() };
    write!(
        out,
        "</main>\n<footer><p>Written by {} from facts taken at <time>{}</time>. This file needs no network and sends nothing. \
         What is secret was left out before it was written.{masked}</p></footer>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        Text(&report.tool),
        Text(&report.taken_at)
    )
}

/// A shape of [`SHAPES`].
pub fn shape(class: &str) -> String {
    format!("<svg class=\"shape {class}\" aria-hidden=\"true\"><use href=\"#shape-{class}\"/></svg>")
}

/// Opens a part of the page. `id` is what the list of contents leads to.
pub fn part(id: &str, title: &str, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>")
}

fn verdict(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Healthy => ("pass", "Healthy"),
        Verdict::Unhealthy => ("fail", "Unhealthy"),
        Verdict::Undecided => ("unknown", "Undecided"),
    }
}

/// When, which machine, which version, what was asked.
fn asked(report: &Report, snapshot: &Snapshot, out: &mut dyn Write) -> Result<()> {
    let target = &report.target;
    let mut rows: Vec<(&str, String)> = vec![("Taken", moment(&report.taken_at))];
    if let Some(server) = &target.server {
        let place = match target.server_is_local {
            Some(true) => " (on this machine)",
            Some(false) => " (on another machine)",
            None => "",
        };
        rows.push(("Server", format!("{server}{place}")));
    }
    if report.recorded.is_none() {
        rows.push(("Machine", machine(snapshot)));
    }
    if let Some(model) = &target.model {
        rows.push(("Model", model.clone()));
    }
    if let Some(request) = &target.client_request {
        rows.push(("Client's request", request.clone()));
    }
    if target.root != "/" && !target.root.is_empty() {
        rows.push(("Root", target.root.clone()));
    }
    if !target.command.is_empty() {
        let quoted = shlex::try_join(target.command.iter().map(String::as_str));
        rows.push(("Command", format!("gpu-doctor {}", quoted.unwrap_or_else(|_| target.command.join(" ")))));
    }
    let taken_by = if snapshot.tool == report.tool { String::new() } else { format!("; facts by {}", snapshot.tool) };
    rows.push(("Version", format!("{}{taken_by}", report.tool)));
    writeln!(out, "<dl class=\"asked\">")?;
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", Clipped(value, VALUE_MAX))?;
    }
    writeln!(out, "</dl>")
}

/// A moment without its fractions of a second; as it is where it is none.
fn moment(at: &str) -> String {
    match at.parse::<jiff::Timestamp>() {
        Ok(moment) => moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => at.to_owned(),
    }
}

fn machine(snapshot: &Snapshot) -> String {
    let (host, nvml) = (&snapshot.facts.host, &snapshot.facts.nvml);
    let text = |fact: &Fact<String>| fact.known().map(|text| shortened(text, NAME_MAX)).filter(|text| !text.is_empty());
    let mut parts: Vec<String> = Vec::new();
    if let Some(gpus) = nvml.gpus.known() {
        let mut names: Vec<(&str, usize)> = Vec::new();
        for gpu in gpus.iter().take(GPUS_MAX) {
            let name = gpu.name.known().map_or("GPU of unknown name", String::as_str);
            match names.iter_mut().find(|(known, _)| *known == name) {
                Some((_, number)) => *number += 1,
                None => names.push((name, 1)),
            }
        }
        parts.extend(names.iter().take(NAMES_MAX).map(|(name, number)| match number {
            1 => shortened(name, NAME_MAX),
            number => format!("{number} × {}", shortened(name, NAME_MAX)),
        }));
        if names.len() > NAMES_MAX {
            let rest: usize = names.iter().skip(NAMES_MAX).map(|(_, number)| number).sum();
            parts.push(format!("and {}", count(rest, "more GPU")));
        }
        if gpus.is_empty() {
            parts.push("no GPU listed by NVML".into());
        }
    }
    parts.extend(text(&nvml.driver_version).map(|version| format!("driver {version}")));
    parts.extend(text(&host.os_name));
    parts.extend(text(&host.kernel_release).map(|kernel| format!("Linux {kernel}")));
    parts.extend(host.cpu_count.known().map(|cpus| count(*cpus as usize, "CPU")));
    parts.extend(host.memory_total_bytes.known().map(|memory| format!("{} of memory", bytes(*memory as f64))));
    parts.join(", ")
}

/// Links to the parts that there are.
fn contents(report: &Report, snapshot: &Snapshot, out: &mut dyn Write) -> Result<()> {
    let parts = [
        ("stages", "Stages", !report.stages.is_empty()),
        ("causes", "Causes", !report.diagnoses.is_empty()),
        ("requests", "Request", report.exchanges.is_some()),
        ("timeline", "Timeline", super::timeline::has(snapshot)),
        ("load", "Load", report.load.is_some()),
        ("connections", "Connections", report.connections.is_some()),
        ("placement", "Model", super::placement::has(snapshot)),
        ("files", "Files", report.recorded.is_some()),
        ("missing", "Not known", !report.unknown.is_empty()),
        ("facts", "All facts", true),
    ];
    write!(out, "<nav aria-label=\"Parts of this report\"><ul>")?;
    for (id, title, _) in parts.iter().filter(|(_, _, there)| *there) {
        write!(out, "<li><a href=\"#{id}\">{title}</a></li>")?;
    }
    writeln!(out, "</ul></nav>")
}
