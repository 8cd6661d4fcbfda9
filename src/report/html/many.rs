//! Lists of any length: the first of them, and how many more there are. The report as JSON has all.

use super::escape::Text;
use crate::words::grouped;
use std::io::{Result, Write};

/// Writes so many of them, each by `one`, and then what is left out, in an element of that name.
pub fn first<'a, T: 'a>(
    all: impl IntoIterator<Item = &'a T>,
    most: usize,
    tag: &str,
    out: &mut dyn Write,
    mut one: impl FnMut(&'a T, &mut dyn Write) -> Result<()>,
) -> Result<()> {
    let mut number = 0;
    for item in all {
        if number < most {
            one(item, out)?;
        }
        number += 1;
    }
    left_out(number, most, tag, out)
}

/// The first of these sentences, as a list.
pub fn sentences<'a>(all: impl IntoIterator<Item = &'a String>, most: usize, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "<ul>")?;
    first(all, most, "li", out, |one, out| writeln!(out, "<li>{}</li>", Text(one)))?;
    writeln!(out, "</ul>")
}

/// Says how many of all were not told, in an element of that name; nothing where all were.
pub fn left_out(all: usize, told: usize, tag: &str, out: &mut dyn Write) -> Result<()> {
    match all.saturating_sub(told) {
        0 => Ok(()),
        more => writeln!(out, "<{tag}>And {} more; the report as JSON has all of them.</{tag}>", grouped(more as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted() {
        let all: Vec<String> = ["a", "<b>", "c"].map(String::from).to_vec();
        let told = |most| {
            let mut out = Vec::new();
            sentences(&all, most, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(told(3), "<ul>\n<li>a</li>\n<li>&lt;b&gt;</li>\n<li>c</li>\n</ul>\n");
        assert!(
            told(1).contains("<li>a</li>\n<li>And 2 more; the report as JSON has all of them.</li>"),
            "{}",
            told(1)
        );
    }
}
