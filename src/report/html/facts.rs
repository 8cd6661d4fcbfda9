//! Every fact of the snapshot, path by path, to be searched.

use super::escape::{Clipped, Text};
use super::frame::part;
use crate::snapshot::{Facts, Snapshot};
use serde_json::Value;
use std::io::{Result, Write};

/// Characters of a value.
const VALUE_MAX: usize = 160;
/// Items of a list that are told one by one.
const ITEMS_MAX: usize = 12;
/// Members of an object that are.
const MEMBERS_MAX: usize = 64;
/// Bytes of the whole list; a page of 400 kB is to hold the pictures too.
const BYTES_MAX: usize = 200_000;
/// Levels of a value.
const DEPTH_MAX: usize = 24;

/// Writes the list.
pub fn write(snapshot: &Snapshot, out: &mut dyn Write) -> Result<()> {
    let facts = serde_json::to_value(&snapshot.facts)?;
    let mut rooms = Vec::new();
    for room in Facts::ROOMS {
        let mut list = List::default();
        list.room(room, facts.get(*room).unwrap_or(&Value::Null))?;
        rooms.push(list);
    }
    // Where all together are too long, the longest are cut, and none of the others.
    let lengths: Vec<usize> = rooms.iter().map(|room| room.html.len()).collect();
    let most = share(&lengths, BYTES_MAX);
    rooms.iter_mut().for_each(|room| room.cut(most));
    let told: usize = rooms.iter().map(|room| room.ends.len()).sum();
    let left_out: usize = rooms.iter().map(|room| room.left_out).sum();
    part("facts", "All facts", out)?;
    write!(
        out,
        "<p>What the probes found out, {} facts by path. Long values are cut and long lists begun only{}; the whole is in the snapshot \
         (<code>--save FILE</code>), and the judgement in <code>--output json=FILE</code>.</p>\n\
         <form id=\"search\" role=\"search\" hidden><label for=\"query\">Search paths and values</label>\
         <input id=\"query\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\" placeholder=\"nvml driver\">\
         <p id=\"found\" role=\"status\"></p></form>\n\
         <noscript><p>Without scripts, the browser's own search finds them.</p></noscript>\n\
         <details id=\"list\"><summary>Show all facts</summary>\n<table class=\"facts\"><caption>Facts by path; an unknown one with its reason</caption>\
         <thead><tr><th scope=\"col\">Fact<th scope=\"col\">Value</thead>\n",
        told,
        match left_out {
            0 => String::new(),
            left_out => format!(", and {left_out} facts in long lists are left out"),
        }
    )?;
    rooms.iter().try_for_each(|room| out.write_all(&room.html))?;
    writeln!(
        out,
        "</table></details>\n<p class=\"paper\">The facts are not printed; they stand in the file.</p>\n</section>"
    )
}

/// The length to which each is to be cut, so that all together are no longer than `most`.
fn share(lengths: &[usize], most: usize) -> usize {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    let mut left = most;
    for (place, length) in sorted.iter().enumerate() {
        let share = left / (sorted.len() - place);
        if *length > share {
            return share;
        }
        left -= length;
    }
    most
}

/// The rows of a room.
#[derive(Default)]
struct List {
    html: Vec<u8>,
    /// Where each row ends.
    ends: Vec<usize>,
    left_out: usize,
}

impl List {
    /// Leaves rows out at the end, so that the rest is no longer than that.
    fn cut(&mut self, most: usize) {
        let fit = self.ends.partition_point(|end| *end <= most);
        if fit < self.ends.len() {
            self.left_out += self.ends.len() - fit;
            self.html.truncate(fit.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0));
            self.ends.truncate(fit);
        }
    }

    fn room(&mut self, room: &str, facts: &Value) -> Result<()> {
        writeln!(self.html, "<tbody><tr><th colspan=\"2\" scope=\"rowgroup\">{room}")?;
        if let Value::Object(members) = facts {
            let mut path = room.to_owned();
            for (name, value) in members {
                self.member(&mut path, name, value, 0)?;
            }
        }
        Ok(())
    }

    fn member(&mut self, path: &mut String, name: &str, value: &Value, depth: usize) -> Result<()> {
        let length = path.len();
        path.push('.');
        path.push_str(name);
        let written = self.value(path, value, depth + 1);
        path.truncate(length);
        written
    }

    fn value(&mut self, path: &mut String, value: &Value, depth: usize) -> Result<()> {
        match value {
            Value::Object(members) => match (members.get("known"), members.get("unknown")) {
                (Some(known), None) if members.len() == 1 => self.value(path, known, depth),
                (None, Some(unknown)) if members.len() == 1 => self.unknown(path, unknown),
                _ if members.is_empty() => self.row(path, "none"),
                _ if depth > DEPTH_MAX => self.row(path, "nested too deeply to be told here"),
                _ => {
                    for (name, value) in members.iter().take(MEMBERS_MAX) {
                        self.member(path, name, value, depth)?;
                    }
                    self.left_out += members.len().saturating_sub(MEMBERS_MAX);
                    Ok(())
                }
            },
            Value::Array(items) if items.is_empty() => self.row(path, "none"),
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                self.items(path, items, depth)
            }
            Value::Array(items) => self.row(path, &joined(items)),
            Value::String(text) => self.row(path, text),
            other => self.row(path, &other.to_string()),
        }
    }

    fn items(&mut self, path: &mut String, items: &[Value], depth: usize) -> Result<()> {
        let length = path.len();
        for (number, item) in items.iter().take(ITEMS_MAX).enumerate() {
            path.push_str(&format!("[{number}]"));
            let written = self.value(path, item, depth + 1);
            path.truncate(length);
            written?;
        }
        match items.len().saturating_sub(ITEMS_MAX) {
            0 => Ok(()),
            more => {
                self.left_out += more;
                path.push_str("[..]");
                let written = self.row(path, &format!("and {more} more, {} in all", items.len()));
                path.truncate(length);
                written
            }
        }
    }

    fn unknown(&mut self, path: &str, unknown: &Value) -> Result<()> {
        let text = |name: &str| unknown.get(name).and_then(Value::as_str).unwrap_or_default();
        let why = text("why").replace('_', " ");
        let detail = Clipped(text("detail"), VALUE_MAX);
        self.add(format_args!("<tr class=\"u\"><td>{}<td>unknown ({}): {detail}", Text(path), Text(&why)))
    }

    fn row(&mut self, path: &str, value: &str) -> Result<()> {
        let value = if value.is_empty() { "\"\"" } else { value };
        self.add(format_args!("<tr><td>{}<td>{}", Text(path), Clipped(value, VALUE_MAX)))
    }

    fn add(&mut self, row: std::fmt::Arguments) -> Result<()> {
        if self.html.len() > BYTES_MAX {
            self.left_out += 1;
            return Ok(());
        }
        writeln!(self.html, "{row}")?;
        self.ends.push(self.html.len());
        Ok(())
    }
}

/// A list of plain values on one line, no longer than is told.
fn joined(items: &[Value]) -> String {
    let mut text = String::new();
    for (number, item) in items.iter().enumerate() {
        if text.len() > VALUE_MAX {
            let more = items.len() - number;
            // Cut here, so that what is said of the rest is not cut with it.
            let end = (0..=VALUE_MAX - 40).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            text.push_str(&format!("… ({} values, {more} of them not begun)", items.len()));
            return text;
        }
        if number > 0 {
            text.push_str(", ");
        }
        match item {
            Value::String(item) => text.push_str(item),
            other => text.push_str(&other.to_string()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_longest_are_cut() {
        assert_eq!(share(&[10, 20, 30], 100), 100);
        assert_eq!(share(&[10, 20, 90, 80], 100), 35);
        assert_eq!(share(&[], 100), 100);
    }

    #[test]
    fn lists_of_plain_values_stand_on_one_line() {
        assert_eq!(joined(&[Value::from(1), Value::from("a")]), "1, a");
        let long = joined(&vec![Value::from(123_456); 1000]);
        assert!(long.starts_with("123456, 123456") && long.contains("(1000 values, "), "{long}");
    }

    #[test]
    fn rows_are_left_out_whole() {
        let mut list = List::default();
        list.room("host", &serde_json::json!({"a": {"known": 1}, "b": {"known": [2]}, "c": {"unknown": {"why": "denied", "detail": "<d>"}}}))
            .unwrap();
        let all = String::from_utf8(list.html.clone()).unwrap();
        assert!(
            all.ends_with("<tr><td>host.b<td>2\n<tr class=\"u\"><td>host.c<td>unknown (denied): &lt;d&gt;\n"),
            "{all}"
        );
        list.cut(all.len() - 1);
        assert!(list.html.ends_with(b"<td>host.b<td>2\n"));
        assert_eq!((list.ends.len(), list.left_out), (2, 1));
    }
}
