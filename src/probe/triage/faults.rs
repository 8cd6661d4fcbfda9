//! What is wrong in a file, counted by kind: the first place of each, and how often.

use super::table::rows::Rows;

/// Kinds that are told, at most.
const KINDS: usize = 24;

/// Faults of one file.
#[derive(Debug, Default)]
pub struct Faults(Vec<(String, u64, u64)>);

impl Faults {
    /// Notes a fault of this kind in a line. The words follow "line 12: ".
    pub fn note(&mut self, line: u64, kind: &str) {
        if let Some((_, _, count)) = self.0.iter_mut().find(|(known, ..)| known == kind) {
            *count += 1;
        } else if self.0.len() < KINDS {
            self.0.push((kind.into(), line, 1));
        }
    }

    /// Takes the faults of the rows as such.
    pub fn take_of(&mut self, rows: &Rows) {
        rows.faults().iter().for_each(|(line, kind)| self.note(*line, kind));
    }

    /// One sentence each, in the order of the lines.
    pub fn told(mut self) -> Vec<String> {
        self.0.sort_by_key(|(_, line, _)| *line);
        let told = |(kind, line, count): (String, u64, u64)| match count {
            1 => format!("line {line}: {kind}"),
            count => format!("line {line}: {kind} (so in {count} lines)"),
        };
        self.0.into_iter().map(told).collect()
    }
}
