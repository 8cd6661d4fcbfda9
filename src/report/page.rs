//! Where the text of a report is written: how wide it is, and what may stand in it.

use super::Style;
use crate::words::{ascii, columns, padded, plain, wrap};
use std::io::{Result, Write};

/// Spaces between two columns of a table.
const GAP: usize = 2;
/// A column is not made narrower than this.
const NARROWEST: usize = 8;
/// Columns that a paragraph keeps, however far in it stands.
const LEAST: usize = 20;
/// Letters of one paragraph that are shown; with `-v` far more. Servers may say anything at any length.
const LETTERS_MAX: usize = 4_000;
const LETTERS_MAX_VERBOSE: usize = 200_000;

/// A text that is being written.
///
/// Whatever goes through it keeps to ASCII and stays without colours where the style asks for that, also what is written
/// by `writeln!`.
pub struct Page<'a> {
    out: &'a mut dyn Write,
    style: Style,
}

impl<'a> Page<'a> {
    /// A page of this style.
    pub fn new(style: &Style, out: &'a mut dyn Write) -> Self {
        Self { out, style: *style }
    }

    /// Columns of a line.
    pub fn width(&self) -> usize {
        self.style.width
    }

    /// Whether everything is told.
    pub fn verbose(&self) -> bool {
        self.style.verbose
    }

    /// Whether nothing beyond ASCII may stand here.
    pub fn ascii(&self) -> bool {
        self.style.ascii
    }

    /// Text from anywhere as it may stand here: harmless to the terminal, and in ASCII where that was asked for.
    pub fn safe(&self, text: &str) -> String {
        let text = plain(text);
        if self.style.ascii { ascii(&text) } else { text }
    }

    /// Lines of a text that stands so far in.
    pub fn wrapped(&self, indent: usize, text: &str) -> Vec<String> {
        let most = if self.style.verbose { LETTERS_MAX_VERBOSE } else { LETTERS_MAX };
        let text = match text.char_indices().nth(most) {
            Some((end, _)) => &format!("{} [... cut here; --format json has all]", text.get(..end).unwrap_or_default()),
            None => text,
        };
        wrap(&self.safe(text), self.style.width.saturating_sub(indent).max(LEAST))
    }

    /// A text in lines behind an indent.
    pub fn paragraph(&mut self, indent: &str, text: &str) -> Result<()> {
        self.wrapped(indent.len(), text).iter().try_for_each(|line| writeln!(self.out_as_is(), "{indent}{line}"))
    }

    /// A text behind a head of its own columns; its further lines stand below its first. `shown` is the head as it is
    /// written, with its colours.
    pub fn hanging(&mut self, shown: &str, columns: usize, text: &str) -> Result<()> {
        let lines = self.wrapped(columns, text);
        // A word that is too long stands alone, below the head.
        if lines.first().is_some_and(|first| columns + crate::words::columns(first) > self.style.width) {
            writeln!(self, "{}", shown.trim_end())?;
            let indent = shown.len() - shown.trim_start_matches(' ').len() + 4;
            return self.paragraph(&" ".repeat(indent), text);
        }
        writeln!(self, "{}", format!("{shown}{}", lines.first().map_or("", String::as_str)).trim_end())?;
        lines.iter().skip(1).try_for_each(|line| writeln!(self.out_as_is(), "{:columns$}{line}", ""))
    }

    /// A command, to be copied: whole, on a line of its own. One of several lines stands at the margin, since spaces in
    /// front of its lines could change what it does.
    pub fn command(&mut self, indent: &str, run: &str) -> Result<()> {
        use colored::Colorize;
        let run = run.trim_end_matches(['\n', '\r', ' ']);
        let indent = if run.contains('\n') { "" } else { indent };
        for line in run.split('\n') {
            let line = self.safe(line.trim_end_matches('\r'));
            writeln!(self, "{indent}{}", line.cyan())?;
        }
        match self.style.ascii && !run.is_ascii() {
            true => self.paragraph("         ", "(without --ascii this command can be copied)"),
            false => Ok(()),
        }
    }

    /// Columns side by side, as wide as what stands in them. Where that is too wide for the page, the widest gives way:
    /// what stands in it is broken into lines of its own column.
    pub fn table<const N: usize>(&mut self, indent: usize, rows: &[[String; N]]) -> Result<()> {
        let rows: Vec<[String; N]> = rows.iter().map(|row| row.clone().map(|cell| self.safe(&cell))).collect();
        let mut widths = [0; N];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns(cell));
            }
        }
        let page = self.style.width.saturating_sub(indent + GAP * N.saturating_sub(1));
        while widths.iter().sum::<usize>() > page {
            let Some(widest) = widths.iter_mut().max_by_key(|width| **width) else { break };
            if *widest <= NARROWEST {
                break;
            }
            *widest -= 1;
        }
        for row in &rows {
            let cells: Vec<Vec<String>> = row.iter().zip(widths).map(|(cell, width)| broken(cell, width)).collect();
            for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
                let mut text = " ".repeat(indent);
                for (cell, width) in cells.iter().zip(widths) {
                    text.push_str(&padded(cell.get(line).map_or("", String::as_str), width + GAP));
                }
                writeln!(self.out_as_is(), "{}", text.trim_end())?;
            }
        }
        Ok(())
    }

    /// What was made safe already.
    fn out_as_is(&mut self) -> &mut dyn Write {
        &mut *self.out
    }
}

/// A cell's lines. A word that is wider than its column is broken: in a table the next column must find its place.
fn broken(cell: &str, width: usize) -> Vec<String> {
    if columns(cell) <= width {
        return vec![cell.to_owned()];
    }
    let mut lines = Vec::new();
    for line in wrap(cell, width) {
        let mut part = String::new();
        for c in line.chars() {
            let mut longer = part.clone();
            longer.push(c);
            if columns(&longer) > width && !part.is_empty() {
                lines.push(std::mem::take(&mut part));
            }
            part.push(c);
        }
        lines.push(part);
    }
    lines
}

impl Write for Page<'_> {
    /// Takes the colours out where there are to be none. Texts from outside hold no escape character: see [`plain`].
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.out.write_all(bytes)?;
            return Ok(bytes.len());
        };
        let uncoloured = if self.style.colour { None } else { without_colours(text) };
        let text = uncoloured.as_deref().unwrap_or(text);
        match self.style.ascii && !text.is_ascii() {
            true => self.out.write_all(ascii(text).as_bytes())?,
            false => self.out.write_all(text.as_bytes())?,
        }
        Ok(bytes.len())
    }

    /// As a whole: a colour is written in pieces.
    fn write_fmt(&mut self, text: std::fmt::Arguments<'_>) -> Result<()> {
        self.write_all(text.to_string().as_bytes())
    }

    fn flush(&mut self) -> Result<()> {
        self.out.flush()
    }
}

/// A text without its colours; nothing if it has none.
fn without_colours(text: &str) -> Option<String> {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        kept.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    if kept.is_empty() && rest.len() == text.len() { None } else { Some(kept + rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(style: &Style, write: impl FnOnce(&mut Page) -> Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut Page::new(style, &mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tables_keep_to_the_page() {
        let style = Style { width: 40, ..Style::default() };
        let cell = |text: &str| text.to_owned();
        let rows = [
            [cell("name"), cell("日本語の長い説明がここにあります"), cell("no")],
            [cell("b"), cell("some words that need more than a line"), cell("yes")],
        ];
        let text = written(&style, |page| page.table(2, &rows));
        assert!(text.lines().all(|line| columns(line) <= 40), "{text}");
        let place = |line: &str, word: &str| line.find(word).map(|at| columns(&line[..at]));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(place(lines[0], "no"), place(&text[text.find("  b").unwrap()..], "yes"), "{text}");
    }

    #[test]
    fn commands_stand_whole_and_alone() {
        let style = Style { width: 60, ..Style::default() };
        let long = format!("curl {}", "x".repeat(100));
        assert_eq!(written(&style, |page| page.command("   ", &long)), format!("   {long}\n"));
        let heredoc = "cat > a <<EOF\n  b\nEOF\n";
        assert_eq!(written(&style, |page| page.command("   ", heredoc)), heredoc);
        let ascii = Style { ascii: true, ..style };
        assert!(written(&ascii, |page| page.command("", "cat é")).starts_with("cat \\u{e9}\n"));
    }

    #[test]
    fn colours_are_taken_out_where_there_are_to_be_none() {
        assert_eq!(without_colours("a\u{1b}[1;31mb\u{1b}[0m c").as_deref(), Some("ab c"));
        assert_eq!(without_colours("plain"), None);
        assert_eq!(without_colours("a\u{1b}[").as_deref(), Some("a"));
        assert_eq!(written(&Style::default(), |page| write!(page, "\u{1b}[1mx\u{1b}[0m")), "x");
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let text = written(&Style::default(), |page| page.paragraph("  ", &"word ".repeat(10_000)));
        assert!(text.len() < 6_000 && text.trim_end().ends_with("--format json has all]"), "{}", text.len());
    }
}
