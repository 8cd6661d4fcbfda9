//! The page as Markdown, for docs/checks.

use super::{Other, Page};
use crate::words::wrap;
use std::io::{Result, Write};

/// Columns of the source.
const WIDTH: usize = 120;
/// Characters that mean something in Markdown, for which a word becomes code.
const MARKS: &[char] = &['_', '*', '<', '>', '[', ']', '{', '}', '$', '|', '\\', '~', '#', '&', '='];

impl Page {
    /// Writes the page as Markdown. Other checks are linked as `../<stage>/<id>.md`.
    pub fn markdown(&self, out: &mut dyn Write) -> Result<()> {
        writeln!(out, "# {}\n", self.id)?;
        writeln!(out, "**{}**\n", escaped(&self.title))?;
        writeln!(out, "Stage [{0}](../README.md#{0}); {1}.\n", self.stage, self.kind())?;
        self.section(out, "What it means", &self.means)?;
        self.section(out, "How it shows", &format!("... because {}", self.brief))?;
        if self.because != self.brief {
            self.prose(out, &self.because)?;
        }
        self.section(out, "How it is told from its neighbours", &self.told_apart)?;
        code(out, Some("It holds when"), "cel", &wrap(&self.when, 100))?;
        if let Some(warn_if) = &self.warn_if {
            code(out, Some("It is only a warning when"), "cel", &wrap(warn_if, 100))?;
        }
        if let Some(proven_if) = &self.proven_if {
            code(out, Some("It is proven when"), "cel", &wrap(proven_if, 100))?;
        }
        let evidence: Vec<String> = self.evidence.iter().map(|path| format!("`{path}`")).collect();
        writeln!(out, "The facts that prove it:\n")?;
        lines(out, &evidence.join(", "))?;
        others(out, "It explains", "While it holds, these need no explanation of their own:", &self.explains)?;
        others(out, "It is explained by", "While one of these holds, it is no cause of its own:", &self.explained_by)?;
        writeln!(out, "## What to do\n")?;
        for step in &self.fix {
            if !step.say.is_empty() {
                self.prose(out, &step.say)?;
            }
            if !step.run.is_empty() {
                code(out, None, "sh", std::slice::from_ref(&step.run))?;
            }
        }
        if !self.verify.is_empty() {
            writeln!(out, "## How to verify\n")?;
            code(out, None, "sh", &self.verify)?;
        }
        if !self.docs.is_empty() {
            writeln!(out, "## Read more\n")?;
            self.docs.iter().try_for_each(|link| writeln!(out, "- <{link}>"))?;
            writeln!(out)?;
        }
        let legend = self.legend("`<name.of.a.fact>`");
        if !legend.is_empty() {
            writeln!(out, "{legend}\n")?;
        }
        writeln!(out, "The same at the terminal: `gpu-doctor explain {}`.", self.id)
    }

    fn section(&self, out: &mut dyn Write, title: &str, text: &str) -> Result<()> {
        writeln!(out, "## {title}\n")?;
        self.prose(out, text)
    }

    /// A paragraph, in which the ids of other checks are links.
    fn prose(&self, out: &mut dyn Write, text: &str) -> Result<()> {
        let linked = |word: &str| {
            let start = word.find(|c: char| c.is_ascii_alphanumeric())?;
            let end = word.rfind(|c: char| c.is_ascii_alphanumeric())? + 1;
            let id = word.get(start..end)?;
            let other = self.neighbours.iter().find(|other| other.id == id)?;
            Some(format!("{}[{id}](../{}/{id}.md){}", &word[..start], other.stage, &word[end..]))
        };
        let text = pieces(text).map(|word| linked(word).unwrap_or_else(|| shown(word)));
        lines(out, &text.collect::<Vec<_>>().join(" "))
    }
}

/// A line of text in which nothing means anything to Markdown.
pub(super) fn escaped(text: &str) -> String {
    pieces(text).map(shown).collect::<Vec<_>>().join(" ")
}

/// Words, of which one may hold spaces between `<` and `>` or between backticks.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_start();
    std::iter::from_fn(move || {
        let mut close = None;
        let end = rest.char_indices().find(|(at, c)| {
            match (close, *c) {
                (Some(mark), c) if c == mark => close = None,
                // What is never closed is a mark by itself.
                (None, '<') if rest[*at..].contains('>') => close = Some('>'),
                (None, '`') if rest[at + 1..].contains('`') => close = Some('`'),
                (None, c) if c.is_whitespace() => return true,
                _ => {}
            }
            false
        });
        let (word, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        rest = after.trim_start();
        (!word.is_empty()).then_some(word)
    })
}

/// A word: as it is, or as code where Markdown would read something into it.
fn shown(word: &str) -> String {
    if word.contains('`') {
        return word.into();
    }
    if !word.contains(MARKS) && !word.starts_with(['-', '+']) {
        return word.into();
    }
    if word.chars().all(|c| matches!(c, '-' | '+')) {
        return word.into();
    }
    // Punctuation around it is none of the code.
    let opening = |c: char| matches!(c, '(' | '"');
    let closing = |c: char| matches!(c, ',' | ';' | ':' | '"' | ')' | '.' | '?' | '!');
    let inner = word.trim_start_matches(opening);
    let before = &word[..word.len() - inner.len()];
    let mut inner = inner.trim_end_matches(closing);
    // A bracket or a quotation mark that opens inside closes inside.
    let rest = &word[before.len()..];
    while let Some(next) = rest[inner.len()..].chars().next() {
        let open = match next {
            ')' => inner.matches('(').count() > inner.matches(')').count(),
            '"' => inner.matches('"').count() % 2 == 1,
            _ => false,
        };
        if !open {
            break;
        }
        inner = &rest[..inner.len() + next.len_utf8()];
    }
    format!("{before}`{inner}`{}", &rest[inner.len()..])
}

/// A paragraph, broken at [`WIDTH`] columns; no line begins with what would make a list or a heading of it.
fn lines(out: &mut dyn Write, text: &str) -> Result<()> {
    for line in wrap(text, WIDTH) {
        let first = line.split(' ').next().unwrap_or_default();
        let is_number = first.ends_with(['.', ')']) && first[..first.len() - 1].chars().all(|c| c.is_ascii_digit());
        match first {
            "-" | "+" => writeln!(out, "\\{line}")?,
            _ if is_number && first.len() > 1 => {
                let (number, end) = line.split_at(first.len() - 1);
                writeln!(out, "{number}\\{end}")?;
            }
            _ => writeln!(out, "{line}")?,
        }
    }
    writeln!(out)
}

fn code(out: &mut dyn Write, title: Option<&str>, language: &str, lines: &[String]) -> Result<()> {
    if let Some(title) = title {
        writeln!(out, "{title}:\n")?;
    }
    writeln!(out, "```{language}")?;
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out, "```\n")
}

fn others(out: &mut dyn Write, title: &str, words: &str, others: &[Other]) -> Result<()> {
    if others.is_empty() {
        return Ok(());
    }
    writeln!(out, "## {title}\n\n{words}\n")?;
    for Other { id, title, stage } in others {
        writeln!(out, "- [{id}](../{stage}/{id}.md): {}", escaped(title))?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_means_anything_to_markdown() {
        for (text, told) in [
            ("plain words, and more.", "plain words, and more."),
            ("set LD_LIBRARY_PATH, then", "set `LD_LIBRARY_PATH`, then"),
            ("(see /dev/nvidia*)", "(see `/dev/nvidia*`)"),
            ("<ort.version> or <118 or 126>.", "`<ort.version>` or `<118 or 126>`."),
            ("A=\"<b c>\" hides", "`A=\"<b c>\"` hides"),
            ("`docker ps -a` shows f(x_y).", "`docker ps -a` shows `f(x_y)`."),
            ("a < b - c --gpus", "a `<` b - c `--gpus`"),
        ] {
            assert_eq!(escaped(text), told);
        }
    }

    #[test]
    fn no_line_becomes_a_list() {
        let mut out = Vec::new();
        lines(&mut out, &format!("{} - 1. x", "w".repeat(119))).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("\n\\- 1. x\n"));
    }
}
