//! The header of a table: where it stands, what separates its cells, what its columns are called.

use super::super::form::Head;
use super::rows::{Delimiter, Rows};
use super::unit::Unit;
use super::{number, time};

/// Rows of the beginning by which units and orders are told.
const SAMPLE_ROWS: usize = 200;
/// Most columns.
const COLUMNS: usize = 512;

/// A table's columns and its first rows.
#[derive(Debug, Clone)]
pub struct Table {
    /// What separates cells.
    pub delimiter: Delimiter,
    /// The line of the header; 0 if there is none.
    pub header_line: u64,
    /// The columns.
    pub columns: Vec<Column>,
    /// The first rows below the header.
    pub sample: Vec<Vec<String>>,
    /// Whether numbers have a comma for the decimal point.
    pub decimal_comma: bool,
    /// Which of day and month stands first in dates.
    pub day_order: time::DayOrder,
}

/// The heading of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// As it is written.
    pub title: String,
    /// In lower case, letters and digits only, without its unit: `gpu_util_percent` is `gpuutil`.
    pub name: String,
    /// The unit that it names.
    pub unit: Option<Unit>,
}

impl Table {
    /// The table that the head holds; none where no two rows are alike.
    pub fn find(head: &Head) -> Option<Table> {
        let delimiters = [b',', b';', b'\t', b'|'].map(Delimiter::Byte);
        let (delimiter, rows, _) = delimiters
            .into_iter()
            .map(|delimiter| {
                let rows = first_rows(head, delimiter);
                let regular = regularity(&rows);
                (delimiter, rows, regular)
            })
            .max_by(|a, b| a.2.total_cmp(&b.2))
            .filter(|(.., regular)| *regular > 0.0)?;
        let mut rows = rows.into_iter().filter(|(_, cells)| !skipped(cells));
        let (line, first) = rows.next()?;
        let titled = first.iter().all(|cell| !is_value(cell)) && first.iter().any(|cell| !cell.is_empty());
        let mut sample: Vec<Vec<String>> = rows.map(|(_, cells)| cells).take(SAMPLE_ROWS).collect();
        let (header_line, columns) = match titled {
            true => (line, first.iter().map(|title| Column::new(title)).collect()),
            false => {
                let columns = first.iter().map(|_| Column::new("")).collect();
                sample.insert(0, first);
                (0, columns)
            }
        };
        let mut table = Table {
            delimiter,
            header_line,
            columns,
            sample,
            decimal_comma: false,
            day_order: time::DayOrder::default(),
        };
        table.decimal_comma = delimiter != Delimiter::Byte(b',') && table.has_decimal_commas();
        if table.has_days_first() {
            table.day_order = time::DayOrder::DayFirst;
        }
        Some(table)
    }

    /// The first column with one of these names; those that stand first are sought first.
    pub fn column(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.columns.iter().position(|column| column.name == *name))
    }

    /// The sampled numbers of a column.
    pub fn numbers(&self, column: usize) -> impl Iterator<Item = f64> {
        let cells = self.sample.iter().filter_map(move |row| row.get(column));
        cells.filter_map(|cell| number::value(cell.as_bytes(), self.decimal_comma))
    }

    /// Titles of columns, for people.
    pub fn titles(&self, columns: &[usize]) -> String {
        let titles = columns.iter().filter_map(|column| self.columns.get(*column));
        titles.map(|column| column.title.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn has_decimal_commas(&self) -> bool {
        let is_one = |cell: &String| {
            cell.split_once(',').is_some_and(|(whole, fraction)| {
                let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
                digits(whole.trim_start_matches('-')) && digits(fraction.trim_end_matches([' ', '%', 'W']))
            })
        };
        self.sample.iter().flatten().any(is_one)
    }

    fn has_days_first(&self) -> bool {
        self.sample.iter().flatten().any(|cell| {
            let mut parts = cell.split(['/', '-']);
            let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            first.len() <= 2 && second.len() <= 2 && first.parse::<u8>().is_ok_and(|first| (13..=31).contains(&first))
        })
    }
}

impl Column {
    /// A column of this title.
    pub fn new(title: &str) -> Self {
        // `[MiB]`, `(ms)`: what stands in brackets at the end is a unit or says nothing.
        let (plain, bracketed) =
            match title.trim_end().strip_suffix([']', ')']).and_then(|rest| rest.rsplit_once(['[', '('])) {
                Some((plain, inside)) => (plain, Unit::named(&inside.trim().to_lowercase())),
                None => (title, None),
            };
        let plain = if bracketed.is_some() { plain } else { title };
        let mut words: Vec<String> = Vec::new();
        let mut previous = ' ';
        for c in plain.chars() {
            // `latencyMs` and `GPU%` are two words.
            let starts = (previous.is_lowercase() && c.is_uppercase()) || c == '%';
            match c.is_alphanumeric() || c == '%' || c == '°' {
                true if starts || !(previous.is_alphanumeric() || previous == '°') => {
                    words.push(c.to_lowercase().collect());
                }
                true => words.last_mut().into_iter().for_each(|word| word.extend(c.to_lowercase())),
                false => {}
            }
            previous = c;
        }
        let mut unit = bracketed;
        if words.len() > 1
            && let Some(last) = words.last().and_then(|word| Unit::named(word))
        {
            unit = unit.or(Some(last));
            words.pop();
        }
        Self { title: title.chars().take(60).collect(), name: words.concat(), unit }
    }
}

/// How much alike the first rows are: the cells that most of them have, or 0 if they have one.
fn regularity(rows: &[(u64, Vec<String>)]) -> f64 {
    let lengths: Vec<usize> = rows.iter().filter(|(_, cells)| !skipped(cells)).map(|(_, cells)| cells.len()).collect();
    let Some(first) = lengths.first().filter(|length| **length > 1) else { return 0.0 };
    let alike = lengths.iter().filter(|length| *length == first).count() as f64 / lengths.len() as f64;
    if alike < 0.5 { 0.0 } else { alike * (*first as f64).min(50.0) }
}

fn first_rows(head: &Head, delimiter: Delimiter) -> Vec<(u64, Vec<String>)> {
    let mut found = Vec::new();
    let mut rows = Rows::new(delimiter, COLUMNS);
    let mut each = |row: &super::rows::Row| {
        if found.len() < SAMPLE_ROWS && !row.is_blank() {
            let cells = (0..row.len()).map(|cell| row.text(cell).into_owned()).collect();
            found.push((row.line, cells));
        }
    };
    rows.feed(head.bytes, &mut each);
    if head.whole {
        rows.end(&mut each);
    }
    found
}

/// Lines that are no rows: comments, and Excel's `sep=;`.
fn skipped(cells: &[String]) -> bool {
    cells.first().is_some_and(|first| first.starts_with('#') || first.starts_with("sep="))
}

/// Whether a cell holds a value, so that its row is no header.
fn is_value(cell: &str) -> bool {
    let bytes = cell.as_bytes();
    match number::read(bytes, false) {
        // Percentiles are headings: 50%.
        number::Cell::Number(_, Some(Unit::Percent)) => cell.contains(' '),
        number::Cell::Invalid | number::Cell::Empty => time::read(bytes, time::DayOrder::default()).is_some(),
        _ => true,
    }
}
