//! Splits a stream into rows and cells (RFC 4180, and what is written in its stead), line numbers kept.
//!
//! Cells are parts of the block that was fed, nothing is copied. That, the numbers of lines, and going on at the next line
//! after a quote that is never closed are why no crate for CSV is used here.

use memchr::{memchr, memchr_iter};
use std::borrow::Cow;

/// Longest row, bytes; of a longer one only its place is told.
const ROW_BYTES: usize = 1 << 20;
/// Lines that one quoted cell may span. After as many it is taken for a quote that is not closed.
const QUOTED_LINES: usize = 64;
/// Most cells of a row that are looked at.
const CELLS: usize = 1024;

/// What stands between cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// One byte.
    Byte(u8),
    /// White space, any amount of it.
    Blank,
}

/// Makes rows of blocks.
pub struct Rows {
    delimiter: Delimiter,
    /// Cells of a row that are wanted: those behind need not be split.
    wanted: usize,
    /// The beginning of a row whose end was not fed yet.
    carry: Vec<u8>,
    /// Whether the rest of a line is left out, since it is too long.
    skipping: bool,
    /// Number of the line that comes next.
    line: u64,
    cells: Vec<(u32, u32)>,
    faults: Vec<(u64, &'static str)>,
}

/// One row.
pub struct Row<'a> {
    /// Number of its (first) line, from 1.
    pub line: u64,
    bytes: &'a [u8],
    cells: &'a [(u32, u32)],
}

impl Rows {
    /// Rows of this delimiter, of which the first `wanted` cells are looked at.
    pub fn new(delimiter: Delimiter, wanted: usize) -> Self {
        let wanted = wanted.min(CELLS);
        let (carry, cells, faults) = (Vec::new(), Vec::new(), Vec::new());
        Self { delimiter, wanted, carry, skipping: false, line: 1, cells, faults }
    }

    /// Takes the next bytes and calls `each` for every row that is complete.
    pub fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(&Row)) {
        let mut rest = bytes;
        if self.skipping {
            let Some(end) = memchr(b'\n', rest) else { return };
            self.skipping = false;
            self.line += 1;
            rest = &rest[end + 1..];
        }
        while !self.carry.is_empty() {
            let Some(end) = memchr(b'\n', rest) else { return self.keep(rest) };
            self.carry.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            if self.is_open(&self.carry) && !self.too_much(&self.carry) {
                self.carry.push(b'\n');
                continue;
            }
            let row = std::mem::take(&mut self.carry);
            self.complete(&row, each);
        }
        let rest = self.whole_rows(rest, each);
        self.keep(rest);
    }

    /// The stream has ended: what is left is the last row. Returns whether its end was cut: there was no line feed.
    pub fn end(&mut self, each: &mut impl FnMut(&Row)) -> bool {
        let row = std::mem::take(&mut self.carry);
        let cut = !row.is_empty();
        if cut {
            self.complete(&row, each);
        }
        cut
    }

    /// What is wrong with lines as such, at most 16 of them.
    pub fn faults(&self) -> &[(u64, &'static str)] {
        &self.faults
    }

    /// Hands over the rows that are whole in `bytes`, and returns the rest.
    fn whole_rows<'b>(&mut self, bytes: &'b [u8], each: &mut impl FnMut(&Row)) -> &'b [u8] {
        let mut start = 0;
        let mut quote = memchr(b'"', bytes).unwrap_or(usize::MAX);
        while let Some(length) = memchr(b'\n', &bytes[start..]) {
            let mut end = start + length;
            if quote < end {
                // A quoted cell may hold line feeds.
                let mut lines = 1;
                while self.is_open(&bytes[start..end]) {
                    let Some(more) = memchr(b'\n', &bytes[end + 1..]) else {
                        return &bytes[start..];
                    };
                    (end, lines) = (end + 1 + more, lines + 1);
                    if lines > QUOTED_LINES || end - start > ROW_BYTES {
                        break;
                    }
                }
                self.complete(&bytes[start..end], each);
                start = end + 1;
                quote = memchr(b'"', &bytes[start..]).map_or(usize::MAX, |at| start + at);
                continue;
            }
            self.row(&bytes[start..end], false, each);
            self.line += 1;
            start = end + 1;
        }
        &bytes[start..]
    }

    /// A row that may hold quotes and line feeds. If a quote in it is never closed, its lines are rows of their own.
    fn complete(&mut self, bytes: &[u8], each: &mut impl FnMut(&Row)) {
        let quoted = memchr(b'"', bytes).is_some();
        if quoted && self.is_open(bytes) {
            self.fault("a quote is not closed");
            for line in bytes.split(|byte| *byte == b'\n') {
                self.row(line, false, each);
                self.line += 1;
            }
            return;
        }
        self.row(bytes, quoted, each);
        self.line += 1 + if quoted { memchr_iter(b'\n', bytes).count() as u64 } else { 0 };
    }

    fn row(&mut self, bytes: &[u8], quoted: bool, each: &mut impl FnMut(&Row)) {
        if bytes.len() > ROW_BYTES {
            return self.fault("the line is longer than 1 MiB and was left out");
        }
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        self.cells.clear();
        match self.delimiter {
            Delimiter::Byte(delimiter) if quoted => split_quoted(bytes, delimiter, self.wanted, &mut self.cells),
            Delimiter::Byte(delimiter) => split(bytes, delimiter, self.wanted, &mut self.cells),
            Delimiter::Blank => split_blank(bytes, self.wanted, &mut self.cells),
        }
        each(&Row { line: self.line, bytes, cells: &self.cells });
    }

    /// Whether a quoted cell has no end in these bytes.
    fn is_open(&self, bytes: &[u8]) -> bool {
        let Delimiter::Byte(delimiter) = self.delimiter else { return false };
        let mut at = 0;
        while let Some(found) = memchr(b'"', &bytes[at..]) {
            let quote = at + found;
            if quote > 0 && !is_start(&bytes[..quote], delimiter) {
                // A quote inside a cell that is not quoted is a character like any other.
                at = quote + 1;
                continue;
            }
            match closing(bytes, quote + 1) {
                Some(end) => at = end + 1,
                None => return true,
            }
        }
        false
    }

    fn too_much(&self, bytes: &[u8]) -> bool {
        bytes.len() > ROW_BYTES || memchr_iter(b'\n', bytes).count() >= QUOTED_LINES
    }

    fn keep(&mut self, rest: &[u8]) {
        if self.carry.len() + rest.len() > ROW_BYTES {
            self.fault("the line is longer than 1 MiB and was left out");
            self.line += memchr_iter(b'\n', &self.carry).count() as u64;
            self.carry = Vec::new();
            self.skipping = true;
            return;
        }
        self.carry.extend_from_slice(rest);
    }

    fn fault(&mut self, what: &'static str) {
        if self.faults.len() < 16 {
            self.faults.push((self.line, what));
        }
    }
}

impl<'a> Row<'a> {
    /// The cell of this number, without white space and quotes around it; empty if the row is shorter.
    pub fn cell(&self, number: usize) -> &'a [u8] {
        match self.cells.get(number) {
            Some((start, end)) => trimmed(&self.bytes[*start as usize..*end as usize]),
            None => b"",
        }
    }

    /// The cell as text: doubled quotes are one, and bytes that are not UTF-8 are read as Windows-1252.
    pub fn text(&self, number: usize) -> Cow<'a, str> {
        let text = text(self.cell(number));
        if text.contains("\"\"") { Cow::Owned(text.replace("\"\"", "\"")) } else { text }
    }

    /// How many cells it has, counted up to those that are wanted.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there is nothing in it.
    pub fn is_blank(&self) -> bool {
        self.bytes.iter().all(u8::is_ascii_whitespace)
    }

    /// All of it.
    pub fn line_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Text in UTF-8, else in Windows-1252, of which Latin-1 is a part.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

fn trimmed(cell: &[u8]) -> &[u8] {
    let cell = cell.trim_ascii();
    match cell {
        [b'"', inside @ .., b'"'] => inside,
        cell => cell,
    }
}

fn split(bytes: &[u8], delimiter: u8, wanted: usize, cells: &mut Vec<(u32, u32)>) {
    let mut start = 0;
    for end in memchr_iter(delimiter, bytes) {
        cells.push((start, end as u32));
        start = end as u32 + 1;
        if cells.len() >= wanted {
            return;
        }
    }
    cells.push((start, bytes.len() as u32));
}

fn split_quoted(bytes: &[u8], delimiter: u8, wanted: usize, cells: &mut Vec<(u32, u32)>) {
    let mut start = 0;
    while cells.len() < wanted {
        let blanks = bytes[start..].iter().take_while(|byte| **byte == b' ').count();
        let inside = match bytes.get(start + blanks) {
            Some(b'"') => closing(bytes, start + blanks + 1).unwrap_or(bytes.len()),
            _ => start,
        };
        match memchr(delimiter, &bytes[inside.min(bytes.len())..]) {
            Some(found) => {
                cells.push((start as u32, (inside + found) as u32));
                start = inside + found + 1;
            }
            None => return cells.push((start as u32, bytes.len() as u32)),
        }
    }
}

fn split_blank(bytes: &[u8], wanted: usize, cells: &mut Vec<(u32, u32)>) {
    let mut at = 0;
    while cells.len() < wanted {
        at += bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let length = bytes[at..].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        if length == 0 {
            return;
        }
        cells.push((at as u32, (at + length) as u32));
        at += length;
    }
}

/// Whether a cell begins after these bytes.
fn is_start(before: &[u8], delimiter: u8) -> bool {
    let before = before.trim_ascii_end();
    before.last().is_none_or(|byte| *byte == delimiter) || delimiter.is_ascii_whitespace()
}

/// Where the quote that closes a cell stands; a doubled one is part of the cell.
fn closing(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let quote = at + memchr(b'"', bytes.get(at..)?)?;
        match bytes.get(quote + 1) {
            Some(b'"') => at = quote + 2,
            _ => return Some(quote),
        }
    }
}
