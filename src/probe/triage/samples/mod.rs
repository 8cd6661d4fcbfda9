//! Samples of GPUs as scripts, `nvidia-smi --query-gpu --format=csv` and `nvidia-smi dmon` write them.

mod columns;
pub mod dmon;
mod tally;
pub mod watch;

pub use tally::Tally;

use super::evidence::{Counter, Evidence};
use super::form::{Head, Recognized};
use super::reader::Reader;
use super::table::header::Table;
use super::table::number::{self, Cell};
use super::table::rows::{Row, Rows};
use super::table::time;
use crate::snapshot::RecordedFile;
use columns::Columns;

/// A table with a counter of GPUs in a column.
pub fn recognize(head: &Head) -> Option<Recognized> {
    recognized(head, false)
}

/// The same, by the headings of `nvidia-smi --query-gpu`.
pub fn recognize_smi(head: &Head) -> Option<Recognized> {
    recognized(head, true)
}

fn recognized(head: &Head, smi: bool) -> Option<Recognized> {
    let table = Table::find(head)?;
    let columns = Columns::of(&table)?;
    let dotted = table.columns.iter().any(|column| {
        ["utilization.", "memory.", "power.draw", "clocks.", "temperature."]
            .iter()
            .any(|part| column.title.starts_with(part))
    });
    if smi != (dotted || columns.by_values) {
        return None;
    }
    let by = match columns.by_values {
        true => "its values, which have the units of nvidia-smi, without a header".into(),
        false => format!("its columns {}", table.titles(&columns.recognized())),
    };
    Some(Recognized { by, certain: dotted, reader: Box::new(SampleRows::new(table, columns)) })
}

struct SampleRows {
    rows: Rows,
    table: Table,
    columns: Columns,
    tally: Tally,
}

impl SampleRows {
    fn new(table: Table, columns: Columns) -> Self {
        Self { rows: Rows::new(table.delimiter, columns.wanted()), table, columns, tally: Tally::default() }
    }
}

impl Reader for SampleRows {
    fn feed(&mut self, bytes: &[u8]) {
        let Self { rows, table, columns, tally } = self;
        rows.feed(bytes, &mut |row| sample(row, table, columns, tally));
    }

    fn end(self: Box<Self>, file: &mut RecordedFile) -> Vec<Evidence> {
        let Self { mut rows, table, columns, mut tally } = *self;
        let before = tally.rows();
        let mut last = 0;
        let cut = rows.end(&mut |row| {
            last = row.line;
            sample(row, &table, &columns, &mut tally);
        });
        if cut && last > table.header_line && tally.rows() == before {
            tally.faults.note(last, "the last line is cut short");
        }
        tally.faults.take_of(&rows);
        columns.told(&table, file);
        tally.end(file)
    }
}

fn sample(row: &Row, table: &Table, columns: &Columns, tally: &mut Tally) {
    if row.line <= table.header_line || row.is_blank() {
        return;
    }
    let line = row.line;
    let whole = row.line_bytes();
    if row.len() <= columns.last_needed {
        // nvidia-smi writes its complaint in place of a row.
        if is_complaint(whole) {
            return tally.lost_row(line, super::evidence::failure_text(whole));
        }
        return tally.faults.note(line, "it has fewer cells than the header and was left out");
    }
    let title = |column: usize| table.columns.get(column).map_or("", |column| column.title.as_str());
    let is_title = row.cell(columns.first).first().is_some_and(u8::is_ascii_alphabetic);
    if table.header_line > 0 && is_title && row.text(columns.first) == title(columns.first) {
        return tally.faults.note(line, "the header stands here again");
    }
    let moment = columns.time.map(|column| time::read(row.cell(column), table.day_order).ok_or(column));
    let moment = match moment {
        Some(Err(column)) => {
            tally.faults.note(line, &format!("{} is no time, the row was left out", title(column)));
            return;
        }
        Some(Ok(moment)) => Some(moment),
        None => None,
    };
    let moment = tally.when(line, moment, columns.relative_factor);
    let Ok(moment) = moment else { return };
    let index = columns.index.map(|column| number::read(row.cell(column), false));
    let index = match index {
        Some(Cell::Number(index, None)) if (0.0..=4096.0).contains(&index) && index.fract() == 0.0 => {
            Some(index as u64)
        }
        Some(_) => columns.index.and_then(|column| columns::index_in(&row.text(column))),
        None => None,
    };
    let uuid =
        columns.uuid.map(|column| row.text(column)).filter(|uuid| uuid.starts_with("GPU-") || uuid.starts_with("MIG-"));
    let name = columns.name.map(|column| row.text(column));
    tally.row();
    for counter in &columns.counters {
        let factor = |unit: Option<super::table::unit::Unit>| unit.map_or(counter.factor, |unit| unit.factor());
        let cell = row.cell(counter.column);
        let cell = match counter.counter {
            // P0 to P15.
            Some(Counter::PState) => cell.strip_prefix(b"P").unwrap_or(cell),
            _ => cell,
        };
        let cell = number::read(cell, table.decimal_comma);
        // A row in which nothing is told of a GPU is none of its samples.
        if cell == Cell::Empty {
            continue;
        }
        let Some(at) = tally.gpu(counter.gpu.or(index), uuid.as_deref(), name.as_deref()) else { continue };
        match cell {
            Cell::Number(number, unit) => {
                let value = number * factor(unit);
                match counter.counter {
                    Some(kind) => tally.note(line, at, kind, value, moment, title(counter.column)),
                    None => tally.total(at, value),
                }
            }
            Cell::Empty => {}
            Cell::NotSupported => tally.unsupported(at, counter.counter, title(counter.column)),
            Cell::Lost => tally.lost(line, at, moment),
            Cell::Invalid => tally.faults.note(line, &format!("{} is no number", title(counter.column))),
        }
    }
}

/// What nvidia-smi writes in place of a row where a GPU cannot be asked.
fn is_complaint(line: &[u8]) -> bool {
    let text = super::table::rows::text(line).to_lowercase();
    ["gpu is lost", "device handle", "reboot", "unknown error"].iter().any(|says| text.contains(says))
}
