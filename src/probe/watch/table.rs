//! The table of a watch as a file: a row for each interval and GPU, the columns of the usual `gpu_samples.csv` first.
//! `triage` reads it back.

use super::turn::{Figure, Turn};
use crate::snapshot::Why;
use serde_json::{Map, Value};

/// The columns.
const COLUMNS: [&str; 24] = [
    "timestamp",
    "gpu_util_percent",
    "gpu_mem_used_mb",
    "power_w",
    "temperature_c",
    "gpu_index",
    "gpu_uuid",
    "gpu_name",
    "gpu_util_max_percent",
    "gpu_mem_used_percent",
    "gpu_mem_total_mb",
    "sm_clock_mhz",
    "sm_activity_percent",
    "throttle_reasons",
    "requests_gained",
    "requests_ok_gained",
    "requests_failed_gained",
    "queue_ms",
    "infer_ms",
    "request_ms",
    "requests_running",
    "requests_waiting",
    "gpu_lost",
    "note",
];
const MIB: f64 = (1u64 << 20) as f64;
/// Longest text of a cell, characters.
const TEXT_CAP: usize = 500;

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// There is nothing to tell.
    Nothing,
    /// The card, the driver or the server does not tell it.
    Unavailable,
    /// The GPU does not answer.
    Lost,
    /// A number with so many decimals.
    Number(f64, usize),
    /// Text.
    Text(String),
}

/// The header, with the end of its line.
pub fn header() -> String {
    COLUMNS.join(",") + "\n"
}

/// Whether a line is one of [`json`]'s.
pub fn is_object(line: &str) -> bool {
    line.starts_with("{\"timestamp\":") && COLUMNS.iter().all(|name| line.contains(&format!("\"{name}\":")))
}

/// The rows of a turn, one a GPU. What is told of the server stands in the first one alone, so that sums are right.
pub fn rows(turn: &Turn) -> Vec<Vec<Cell>> {
    (0..turn.gpus.len().max(1)).map(|place| row(turn, place)).collect()
}

fn row(turn: &Turn, place: usize) -> Vec<Cell> {
    let mut cells = vec![Cell::Number(turn.at_ms / 1e3, 3)];
    match turn.gpus.get(place) {
        Some(gpu) => {
            let lost = gpu.lost.is_some();
            let figure = |figure: &Figure, factor: f64, decimals: usize| match (figure, lost) {
                (_, true) => Cell::Nothing,
                // What was not read this time is no word on what the card can tell.
                (Err(unknown), _) if !matches!(unknown.why, Why::Unsupported | Why::Denied) => Cell::Nothing,
                (figure, _) => of_figure(figure, factor, decimals),
            };
            let text = |text: &Option<String>| text.as_ref().map_or(Cell::Nothing, |text| Cell::Text(text.clone()));
            let total = gpu.memory_total_bytes.map_or(Cell::Nothing, |total| Cell::Number(total as f64 / MIB, 1));
            cells.extend([
                if lost { Cell::Lost } else { figure(&gpu.utilization_percent, 1.0, 1) },
                figure(&gpu.memory_used_bytes, 1.0 / MIB, 1),
                figure(&gpu.power_milliwatts, 1e-3, 2),
                figure(&gpu.temperature_celsius, 1.0, 0),
                Cell::Number(gpu.index as f64, 0),
                text(&gpu.uuid),
                text(&gpu.name),
                figure(&gpu.utilization_max_percent, 1.0, 1),
                figure(&gpu.memory_percent(), 1.0, 1),
                total,
                figure(&gpu.sm_clock_mhz, 1.0, 0),
                figure(&gpu.sm_activity_percent, 1.0, 1),
                match &gpu.throttle_reasons {
                    Ok(reasons) => Cell::Text(reasons.join(" ")),
                    Err(unknown) if !lost && unknown.why == Why::Unsupported => Cell::Unavailable,
                    Err(_) => Cell::Nothing,
                },
            ]);
        }
        None => cells.extend(vec![Cell::Nothing; 13]),
    }
    match turn.server.as_ref().filter(|_| place == 0) {
        Some(server) => cells.extend([
            of_figure(&server.gained, 1.0, 0),
            of_figure(&server.succeeded, 1.0, 0),
            of_figure(&server.failed, 1.0, 0),
            of_figure(&server.queue_ms, 1.0, 3),
            of_figure(&server.infer_ms, 1.0, 3),
            of_figure(&server.request_ms, 1.0, 3),
            of_figure(&server.running, 1.0, 0),
            of_figure(&server.waiting, 1.0, 0),
        ]),
        None => cells.extend(vec![Cell::Nothing; 8]),
    }
    let lost = turn.gpus.get(place).and_then(|gpu| gpu.lost.as_ref());
    cells.push(lost.map_or(Cell::Nothing, |lost| Cell::Text(lost.detail.clone())));
    let noted = place == 0 && !turn.notes.is_empty();
    cells.push(if noted { Cell::Text(turn.notes.join("; ")) } else { Cell::Nothing });
    cells
}

/// A figure as a cell: a mean of nothing is nothing, what is not told is not available.
pub fn of_figure(figure: &Figure, factor: f64, decimals: usize) -> Cell {
    match figure {
        Ok(value) => Cell::Number(value * factor, decimals),
        Err(unknown) if unknown.why == Why::NotAsked => Cell::Nothing,
        Err(_) => Cell::Unavailable,
    }
}

/// A row as a line of CSV, with its end.
pub fn csv(row: &[Cell]) -> String {
    let cell = |cell: &Cell| match cell {
        Cell::Nothing => String::new(),
        Cell::Unavailable => "n/a".into(),
        Cell::Lost => "ERR!".into(),
        Cell::Number(value, decimals) => format!("{value:.decimals$}"),
        // No quotes, commas and ends of lines within, so that the simplest reader reads it.
        Cell::Text(text) => {
            let plain = crate::words::plain(text).replace(',', ";").replace('"', "'");
            plain.chars().take(TEXT_CAP).collect()
        }
    };
    row.iter().map(cell).collect::<Vec<_>>().join(",") + "\n"
}

/// A row as a JSON object on a line, with its end; `null` for what is not told, and what is lost said in `gpu_lost`.
pub fn json(row: &[Cell]) -> String {
    let value = |cell: &Cell| match cell {
        Cell::Nothing | Cell::Unavailable | Cell::Lost => Value::Null,
        Cell::Number(value, 0) => Value::from(value.round() as i64),
        Cell::Number(value, decimals) => {
            let power = 10f64.powi(*decimals as i32);
            Value::from((value * power).round() / power)
        }
        Cell::Text(text) => Value::from(crate::words::plain(text).chars().take(TEXT_CAP).collect::<String>()),
    };
    let object: Map<String, Value> =
        COLUMNS.iter().zip(row).map(|(name, cell)| ((*name).to_owned(), value(cell))).collect();
    format!("{}\n", Value::Object(object))
}

/// An instant in RFC 3339, UTC.
pub fn instant(at_ms: f64) -> String {
    jiff::Timestamp::from_millisecond(at_ms.round() as i64).map(|at| format!("{at:.3}")).unwrap_or_default()
}
