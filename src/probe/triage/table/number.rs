//! Numbers as programs and spreadsheets write them.

use super::rows::text;
use super::unit::Unit;

/// What a cell holds where a number is expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    /// A finite number, and the unit behind it.
    Number(f64, Option<Unit>),
    /// Nothing: an empty cell, a dash, `null`.
    Empty,
    /// The card or the driver cannot tell: `[N/A]`, `[Not Supported]`.
    NotSupported,
    /// The GPU does not answer: `ERR!`, `[GPU is lost]`, `[Unknown Error]`.
    Lost,
    /// No number: `nan`, `inf`, a word.
    Invalid,
}

/// Reads a cell. With `decimal_comma` a comma stands for the decimal point.
pub fn read(cell: &[u8], decimal_comma: bool) -> Cell {
    match plain(cell) {
        Some(number) => Cell::Number(number, None),
        None => other(cell, decimal_comma),
    }
}

/// The number, if it has no unit and is one.
pub fn value(cell: &[u8], decimal_comma: bool) -> Option<f64> {
    match read(cell, decimal_comma) {
        Cell::Number(number, _) => Some(number),
        _ => None,
    }
}

/// Digits with at most one point, 18 of them at most: nearly every cell. Exact to the last bit but one.
pub fn plain(cell: &[u8]) -> Option<f64> {
    const POWERS: [f64; 19] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];
    let (mut number, mut decimals, mut point) = (0u64, 0usize, false);
    if cell.is_empty() || cell.len() > 18 {
        return None;
    }
    for byte in cell {
        match byte {
            b'0'..=b'9' => {
                number = number * 10 + u64::from(byte - b'0');
                decimals += usize::from(point);
            }
            b'.' if !point => point = true,
            _ => return None,
        }
    }
    if cell.len() == usize::from(point) {
        return None;
    }
    Some(number as f64 / POWERS[decimals])
}

fn other(cell: &[u8], decimal_comma: bool) -> Cell {
    let text = text(cell);
    let text = text.trim();
    let bare = text.trim_matches(['[', ']', '<', '>']).trim().to_ascii_lowercase();
    match bare.as_str() {
        "" | "-" | "--" | "null" | "none" | "nil" => return Cell::Empty,
        "n/a" | "na" | "not supported" | "notsupported" | "unsupported" | "not available" => return Cell::NotSupported,
        "err!" | "gpu is lost" | "unknown error" | "gpu requires reset" | "reset required" => return Cell::Lost,
        _ => {}
    }
    let length = text
        .bytes()
        .enumerate()
        .take_while(|(at, byte)| {
            let exponent = matches!(byte, b'e' | b'E')
                && text[at + 1..].starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+');
            let sign = matches!(byte, b'-' | b'+') && (*at == 0 || matches!(text.as_bytes()[at - 1], b'e' | b'E'));
            byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'\'' | b'_') || exponent || sign
        })
        .count();
    let (digits, unit) = text.split_at(length);
    let unit = unit.trim().to_lowercase();
    let unit = match unit.as_str() {
        "" => None,
        name => match Unit::named(name) {
            Some(unit) => Some(unit),
            None => return Cell::Invalid,
        },
    };
    match ungrouped(digits, decimal_comma).and_then(|digits| digits.parse::<f64>().ok()) {
        Some(number) if number.is_finite() => Cell::Number(number, unit),
        _ => Cell::Invalid,
    }
}

/// The digits without separators of thousands, and with a decimal point.
fn ungrouped(digits: &str, decimal_comma: bool) -> Option<String> {
    let (decimal, group) = if decimal_comma { (',', '.') } else { ('.', ',') };
    let (whole, fraction) = digits.split_once(decimal).unwrap_or((digits, ""));
    if fraction.contains([',', '.', '\'', '_']) {
        return None;
    }
    let mut groups = whole.split([group, '\'', '_']);
    let first = groups.next()?;
    // 1,5 is no thousand: what is grouped is grouped by three.
    if groups.clone().any(|group| group.len() != 3) || (groups.clone().next().is_some() && first.len() > 4) {
        return None;
    }
    let whole: String = std::iter::once(first).chain(groups).collect();
    Some(if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") })
}
