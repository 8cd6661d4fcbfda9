//! One metrics page: of all its samples those that the table of families names.

use super::exposition::{Sample, sample};
use super::families::{START, TABLE};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Read};

/// Bytes read of a page, of one line and of one label's value.
const PAGE_BYTES: u64 = 64 << 20;
const LINE_BYTES: usize = 64 << 10;
const VALUE_BYTES: usize = 300;
/// Samples kept, and faults told.
const KEPT_MAX: usize = 50_000;
const FAULTS_MAX: usize = 5;

/// A name with its labels, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Name, with its suffix.
    pub name: String,
    /// Labels.
    pub labels: Vec<(String, String)>,
}

impl Series {
    /// The value of the first of these labels that it has.
    pub fn label(&self, names: &[String]) -> Option<&str> {
        let value = |name: &String| self.labels.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        names.iter().find_map(value)
    }

    /// The name with its labels.
    pub fn in_words(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        if labels.is_empty() { self.name.clone() } else { format!("{}{{{}}}", self.name, labels.join(",")) }
    }
}

/// A page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The samples that the table names. Not a number where the page gives no finite value, or two.
    pub series: BTreeMap<Series, f64>,
    /// Samples on the page.
    pub samples: u64,
    /// Software whose names stand on it.
    pub software: BTreeSet<&'static str>,
    /// What is wrong with it, with the line; at most 5.
    pub faults: Vec<String>,
}

impl Page {
    /// Reads a page. What is no sample is passed over and told in `faults`.
    ///
    /// # Errors
    /// The bytes cannot be read.
    pub fn read(input: impl BufRead) -> std::io::Result<Self> {
        let mut page = Self::default();
        let mut input = input.take(PAGE_BYTES);
        let (mut line, mut number) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            if input.by_ref().take(LINE_BYTES as u64).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            number += 1;
            if line.contains(&0) {
                page.fault(number, "not text");
                break;
            }
            if line.len() == LINE_BYTES && line.last() != Some(&b'\n') {
                page.fault(number, "longer than 64 KiB, passed over");
                if !pass_over(&mut input)? {
                    break;
                }
                continue;
            }
            match std::str::from_utf8(&line)
                .map_err(|_| "not UTF-8")
                .and_then(|text| sample(text.trim_end_matches('\n')))
            {
                Ok(Some(sample)) => page.keep(&sample, number),
                Ok(None) => {}
                Err(fault) => page.fault(number, fault),
            }
            // A page of something else, such as HTML.
            if page.samples == 0 && page.faults.len() == FAULTS_MAX {
                break;
            }
        }
        if input.limit() == 0 {
            page.fault(number, "the page is longer than 64 MiB; the rest was not read");
        }
        Ok(page)
    }

    /// Whether anything on it is a sample.
    pub fn is_metrics(&self) -> bool {
        self.samples > 0
    }

    /// When the process that serves the page started, seconds since 1970; prometheus_client tells it.
    pub fn started(&self) -> Option<f64> {
        let start = self.series.iter().find(|(series, _)| series.name == START && series.labels.is_empty());
        start.map(|(_, value)| *value).filter(|value| value.is_finite())
    }

    fn keep(&mut self, sample: &Sample, line: u64) {
        self.samples += 1;
        for software in TABLE.iter() {
            if !self.software.contains(software.software.as_str())
                && software.signs.iter().any(|sign| sample.name.starts_with(sign))
            {
                self.software.insert(&software.software);
            }
        }
        if !super::families::is_read(sample.name) {
            return;
        }
        if self.series.len() == KEPT_MAX {
            self.fault(line, "more than 50,000 samples; the rest was not read");
            return;
        }
        let cut = |value: &str| -> String {
            let plain = value.chars().map(|c| if crate::words::unprintable(c) { ' ' } else { c });
            plain.take(VALUE_BYTES).collect()
        };
        let mut labels: Vec<(String, String)> =
            sample.labels.iter().map(|(name, value)| ((*name).to_owned(), cut(value))).collect();
        labels.sort();
        let series = Series { name: sample.name.to_owned(), labels };
        let finite = if sample.value.is_finite() { sample.value } else { f64::NAN };
        match self.series.get_mut(&series) {
            Some(value) => {
                *value = f64::NAN;
                self.fault(line, &format!("{} stands twice", series.in_words()));
            }
            None => drop(self.series.insert(series, finite)),
        }
    }

    fn fault(&mut self, line: u64, fault: &str) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(format!("line {line}: {fault}"));
        }
    }
}

/// Reads on to the end of a line; false at the end of all.
fn pass_over(input: &mut impl BufRead) -> std::io::Result<bool> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(buffer.len(), |end| end + 1);
        input.consume(length);
        if end.is_some() {
            return Ok(true);
        }
    }
}
