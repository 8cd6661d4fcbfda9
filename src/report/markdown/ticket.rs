//! A text of so many bytes at most. What is added first matters most; what has no room is named at the end.

/// Bytes that are kept for naming what has no room.
const TAIL: usize = 600;
/// Least bytes of a folded part that are worth showing without the rest.
const WORTH: usize = 1_500;

/// The text as it grows.
pub struct Ticket {
    text: String,
    bytes_max: usize,
    /// Names of what was left out, with how much.
    left_out: Vec<(&'static str, String)>,
}

impl Ticket {
    /// An empty one.
    pub fn new(bytes_max: usize) -> Self {
        Self { text: String::new(), bytes_max, left_out: Vec::new() }
    }

    fn room(&self) -> usize {
        self.bytes_max.saturating_sub(self.text.len() + TAIL)
    }

    /// Adds a block whole, if so many bytes are left behind it. Whether it was added.
    pub fn add(&mut self, block: &str, behind: usize) -> bool {
        let fits = block.len().saturating_add(behind) <= self.room();
        if fits {
            self.text += block;
        }
        fits
    }

    /// Notes that something was left out, and how much of it.
    pub fn lacks(&mut self, name: &'static str, much: String) {
        self.left_out.push((name, much));
    }

    /// Adds a folded part, cut at the end of a line where it does not fit. `body` writes it with so many of its lines.
    pub fn folded(&mut self, name: &'static str, summary: &str, body: Folded) {
        let around = format!("<details>\n<summary>{summary}</summary>\n\n\n</details>\n\n").len();
        let room = self.room().saturating_sub(around);
        let lines = body.lines.len();
        // A fence may be longer than usual, so that what it holds cannot close it.
        let mut left = room.saturating_sub(200 + body.longest_line_extra());
        let fitting = body.lines.iter().take_while(|line| {
            let fits = line.len() < left;
            left = left.saturating_sub(line.len() + 1);
            fits
        });
        let fitting = fitting.count();
        if lines == 0 {
            return;
        }
        if fitting < lines {
            let cut = match fitting {
                _ if room < WORTH => 0,
                fitting => fitting,
            };
            self.lacks(name, format!("{} of {lines} lines", lines - cut));
            if cut == 0 {
                return;
            }
            return self.fold(summary, &body.shown(cut));
        }
        self.fold(summary, &body.shown(lines));
    }

    fn fold(&mut self, summary: &str, body: &str) {
        self.text += &format!("<details>\n<summary>{summary}</summary>\n\n{body}\n</details>\n\n");
    }

    /// The whole, with what was left out.
    pub fn end(mut self) -> String {
        if !self.left_out.is_empty() {
            let named = self.left_out.iter().map(|(name, much)| match much.as_str() {
                "" => (*name).to_owned(),
                much => format!("{name} ({much})"),
            });
            let named: Vec<String> = named.collect();
            self.text += &format!("Left out for its length: {}. The report as JSON has all of it.\n", named.join(", "));
        }
        let mut text = self.text.trim_end().to_owned();
        text.push('\n');
        text
    }
}

/// The inside of a folded part, by lines.
pub struct Folded {
    /// Its lines: of text that stands in a fence, else of Markdown.
    pub lines: Vec<String>,
    /// Whether it stands in a fence.
    pub fenced: bool,
}

impl Folded {
    fn shown(&self, lines: usize) -> String {
        let text = self.lines.get(..lines).unwrap_or_default().join("\n");
        match self.fenced {
            true => super::prose::fence(&text, "", usize::MAX),
            false => format!("{}\n", text.trim_end()),
        }
    }

    /// What a fence takes beyond the usual, bytes.
    fn longest_line_extra(&self) -> usize {
        let run = |line: &String| line.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        if self.fenced { 2 * self.lines.iter().map(run).max().unwrap_or(0) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Folded {
        Folded { lines: vec!["x".repeat(99); count], fenced: true }
    }

    #[test]
    fn what_does_not_fit_is_cut_at_a_line_and_said() {
        let mut ticket = Ticket::new(6_000);
        assert!(ticket.add("# short\n\n", 0) && !ticket.add(&"x".repeat(5_000), 500));
        ticket.folded("load", "Load", lines(20));
        ticket.folded("checks", "Checks", lines(500));
        ticket.folded("probes", "Probes", lines(50));
        let text = ticket.end();
        assert!(text.len() <= 6_000, "{}", text.len());
        assert!(text.ends_with("probes (50 of 50 lines). The report as JSON has all of it.\n"), "{text}");
        assert!(text.contains("checks (") && text.contains(" of 500 lines)"), "{text}");
        assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
        assert_eq!(text.matches("```").count() % 2, 0);
    }

    #[test]
    fn a_fence_of_any_length_fits() {
        let mut ticket = Ticket::new(20_000);
        let body = Folded { lines: vec!["`".repeat(5_000), "x".repeat(9_000)], fenced: true };
        ticket.folded("load", "Load", body);
        assert!(ticket.end().len() <= 20_000);
    }
}
