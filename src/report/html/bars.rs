//! Amounts as bars in a table.

use super::escape::{Text, number};
use std::io::{Result, Write};

/// Length of the longest bar, in its own units.
const LENGTH: f64 = 200.0;

/// One amount.
pub struct Bar {
    /// What it is of.
    pub name: String,
    /// How much.
    pub amount: f64,
    /// The same in words.
    pub words: String,
    /// `gpu`, `cpu` or `rest`: pattern and colour.
    pub class: &'static str,
}

/// Writes a table of amounts, each a share of their sum.
pub fn write(caption: &str, bars: &[Bar], out: &mut dyn Write) -> Result<()> {
    let sum: f64 = bars.iter().map(|bar| bar.amount).sum();
    writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table class=\"bars\"><caption>{0}</caption><tbody>",
        Text(caption)
    )?;
    for bar in bars {
        let share = if sum > 0.0 { bar.amount / sum } else { 0.0 };
        writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td><svg class=\"bar {}\" viewBox=\"0 0 {LENGTH} 12\" aria-hidden=\"true\">\
             <path class=\"rest\" d=\"M0 0H{LENGTH}V12H0z\"/><path class=\"part\" d=\"M0 0H{}V12H0z\"/></svg></td><td>{}</td><td>{} %</td></tr>",
            Text(&bar.name),
            bar.class,
            number(share * LENGTH, 1),
            Text(&bar.words),
            number(share * 100.0, 1)
        )?;
    }
    writeln!(out, "</tbody></table></div>")
}
