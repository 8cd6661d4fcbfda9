//! The table of steps as columns: those that nothing tells are left out, and where the line would be too long those that
//! matter least; what matters goes on in a second table then.

use super::Step;
use crate::words::grouped;

/// Left of the first column, and between two.
const MARGIN: usize = 2;
const GAP: usize = 2;

/// Columns by which a step is known.
const LOAD: [&str; 2] = ["users", "rate"];

/// A column: its name, its unit, and what stands in it.
struct Column {
    name: &'static str,
    unit: &'static str,
    /// The higher, the sooner it is left out; 0 never is.
    spare: u8,
    cell: fn(&Step) -> Option<String>,
}

const COLUMNS: &[Column] = &[
    Column { name: "users", unit: "", spare: 0, cell: |step| Some(grouped(step.users)) },
    Column { name: "rate", unit: "/s", spare: 0, cell: |step| step.rate.map(|rate| format!("{rate:.0}")) },
    Column { name: "verdict", unit: "", spare: 0, cell: |step| Some(verdict(step).to_owned()) },
    Column { name: "requests", unit: "", spare: 0, cell: |step| Some(grouped(step.requests)) },
    Column { name: "failed", unit: "", spare: 0, cell: |step| Some(grouped(step.failed + step.unfinished)) },
    Column { name: "answers", unit: "/s", spare: 0, cell: |step| Some(format!("{:.1}", step.throughput_rps)) },
    Column { name: "median", unit: "ms", spare: 0, cell: |step| Some(ms(step.latency_ms.as_ref().map(|l| l.median))) },
    Column { name: "p90", unit: "ms", spare: 6, cell: |step| Some(ms(step.latency_ms.as_ref().map(|l| l.p90))) },
    Column { name: "p99", unit: "ms", spare: 0, cell: |step| Some(ms(step.latency_ms.as_ref().map(|l| l.p99))) },
    Column { name: "max", unit: "ms", spare: 5, cell: |step| Some(ms(step.latency_ms.as_ref().map(|l| l.max))) },
    Column { name: "server", unit: "ms", spare: 1, cell: |step| step.server_ms.as_ref().map(|t| ms(Some(t.median))) },
    Column { name: "queue", unit: "ms", spare: 0, cell: |step| step.queue_ms.map(|queue| ms(Some(queue))) },
    Column { name: "model", unit: "ms", spare: 2, cell: |step| step.inference_ms.map(|model| ms(Some(model))) },
    Column { name: "batch", unit: "", spare: 0, cell: |step| step.batch_size.map(|size| format!("{size:.1}")) },
    Column {
        name: "GPU",
        unit: "%",
        spare: 0,
        cell: |step| step.busiest_gpu()?.utilization_percent.map(|percent| format!("{percent:.0}")),
    },
    Column {
        name: "mem",
        unit: "GiB",
        spare: 0,
        cell: |step| step.busiest_gpu()?.memory_used_bytes.map(|bytes| format!("{:.1}", bytes / f64::from(1 << 30))),
    },
    Column {
        name: "temp",
        unit: "C",
        spare: 4,
        cell: |step| step.busiest_gpu()?.temperature_celsius.map(|celsius| format!("{celsius:.0}")),
    },
    Column { name: "CPU", unit: "cores", spare: 3, cell: |step| step.server_cores.map(|cores| format!("{cores:.1}")) },
];

/// The verdict as people read it.
pub fn verdict(step: &Step) -> &str {
    match step.verdict.as_str() {
        known @ ("healthy" | "degraded" | "overloaded") => known,
        _ => "unknown",
    }
}

fn ms(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(ms) if ms < 100.0 => format!("{ms:.1}"),
        Some(ms) => grouped(ms.round() as u64),
    }
}

/// A column with its cells: how soon it is left out, and its name, its unit and a cell for each step.
type Filled = (u8, Vec<String>);

/// The lines of the table: names, units, then a line for each step. No line is wider than the page.
pub fn lines(steps: &[Step], page: usize) -> Vec<String> {
    let mut shown: Vec<Filled> = Vec::new();
    for column in COLUMNS {
        let cells: Vec<Option<String>> = steps.iter().map(column.cell).collect();
        if cells.iter().any(Option::is_some) {
            let head = [column.name, column.unit].map(str::to_owned).into_iter();
            let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".into()));
            shown.push((column.spare, head.chain(cells).collect()));
        }
    }
    while all(&shown) > page {
        let most = shown.iter().map(|(spare, _)| *spare).max().unwrap_or(0);
        if most == 0 {
            break;
        }
        shown.retain(|(spare, _)| *spare != most);
    }
    // The load itself stands in front of every table.
    let load = shown.iter().filter(|(_, column)| column.first().is_some_and(|name| LOAD.contains(&name.as_str())));
    let load: Vec<Filled> = load.cloned().collect();
    let mut tables: Vec<Vec<Filled>> = vec![Vec::new()];
    for column in shown {
        let Some(table) = tables.last_mut() else { break };
        table.push(column);
        if all(table) > page && table.len() > load.len() + 1 {
            let further = load.iter().cloned().chain(table.pop()).collect();
            tables.push(further);
        }
    }
    let mut lines = Vec::new();
    for table in &tables {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend((0..steps.len() + 2).map(|row| line(table, row)));
    }
    lines
}

fn width(column: &[String]) -> usize {
    column.iter().map(|cell| cell.chars().count()).max().unwrap_or(0) + GAP
}

fn all(shown: &[Filled]) -> usize {
    (MARGIN + shown.iter().map(|(_, column)| width(column)).sum::<usize>()).saturating_sub(GAP)
}

fn line(table: &[Filled], row: usize) -> String {
    let cells = table.iter().enumerate().map(|(place, (_, column))| {
        let cell = column.get(row).map(String::as_str).unwrap_or_default();
        let width = width(column) - if place == 0 { GAP } else { 0 };
        format!("{cell:>width$}")
    });
    format!("{:MARGIN$}{}", "", cells.collect::<String>()).trim_end().to_owned()
}
