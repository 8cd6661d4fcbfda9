//! Texts, numbers and truth values by their type and bounds.

use super::maker::Maker;
use crate::probe::service::schema::format;
use crate::probe::service::schema::pattern::Pattern;
use crate::probe::service::schema::view::View;
use serde_json::{Value, json};

/// Longest text that is made up, characters.
const LONGEST: usize = 4096;
/// Numbers beyond it are not exact.
const LARGEST: f64 = 9e15;

impl<'m> Maker<'m> {
    /// A value that is neither object nor list.
    pub fn scalar(&self, name: &str, view: &View<'m>, schemas: &[&'m Value], kind: &str) -> Value {
        match kind {
            "integer" => number(view, true),
            "number" => number(view, false),
            "boolean" => json!(false),
            "null" => Value::Null,
            _ => self.text(name, view, schemas),
        }
    }

    fn text(&self, name: &str, view: &View<'m>, schemas: &[&'m Value]) -> Value {
        let least = view.least("minLength").min(LONGEST as f64) as usize;
        let most = view.most("maxLength").min(LONGEST as f64) as usize;
        let accepted = |text: &String| self.validator.accepts(schemas, &Value::from(text.as_str()));
        let filled = |start: &str| -> String {
            let length = start.chars().count().max(least).min(most.max(least)).max(usize::from(most > 0));
            start.chars().chain("test".chars().cycle()).take(length).collect()
        };
        let format = format::sample(view.text("format")).map(str::to_owned);
        if let Some(text) = format.iter().find(|text| accepted(text)) {
            return json!(text);
        }
        let patterns: Vec<Pattern> =
            view.all("pattern").filter_map(Value::as_str).filter_map(Pattern::read).take(4).collect();
        if patterns.is_empty() {
            return json!(format.unwrap_or_else(|| filled("test")));
        }
        // The plain text first: many patterns allow it, and it is what people read best.
        let plain = [filled("test"), filled(name), filled("1"), filled("a")];
        if let Some(text) =
            plain.iter().find(|text| patterns.iter().all(|p| p.fits(text) == Some(true)) && accepted(text))
        {
            return json!(text);
        }
        let longer = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256, 512];
        let extras = longer.into_iter().chain(least.checked_sub(1).map(|n| n.min(2000) as u32));
        let mut first = None;
        for extra in extras {
            for (salt, pattern) in (0..6).flat_map(|salt| patterns.iter().map(move |pattern| (salt, pattern))) {
                let Some(text) = pattern.text(extra, salt) else { continue };
                if patterns.iter().all(|pattern| pattern.fits(&text) != Some(false)) && accepted(&text) {
                    return json!(text);
                }
                first.get_or_insert(text);
            }
        }
        json!(first.unwrap_or_else(|| filled("test")))
    }
}

/// A number within the bounds: 1, or the nearest to it.
fn number(view: &View, whole: bool) -> Value {
    let step = view.all("multipleOf").filter_map(Value::as_f64).find(|step| *step > 0.0);
    let unit = if whole { 1.0 } else { 0.0 };
    let low = view.low().map(|(low, excluded)| match (whole, excluded) {
        (true, true) => low.floor() + 1.0,
        (true, false) => low.ceil(),
        _ => low,
    });
    let high = view.high().map(|(high, excluded)| match (whole, excluded) {
        (true, true) => high.ceil() - 1.0,
        (true, false) => high.floor(),
        _ => high,
    });
    let mut value = 1f64.max(low.unwrap_or(f64::MIN)).min(high.unwrap_or(f64::MAX));
    if !whole {
        let is = |bound: Option<(f64, bool)>| bound.is_some_and(|(bound, excluded)| excluded && bound == value);
        if is(view.low()) || is(view.high()) {
            value = match (low, high) {
                (Some(low), Some(high)) => (low + high) / 2.0,
                (Some(low), None) => low + 1.0,
                (None, Some(high)) => high - 1.0,
                (None, None) => 1.0,
            };
        }
    }
    if let Some(step) = step {
        let step = if whole && step < 1.0 { unit } else { step };
        let mut turned = (value / step).ceil() * step;
        if high.is_some_and(|high| turned > high) {
            turned = (value / step).floor() * step;
        }
        value = turned;
    }
    match whole || step.is_some_and(|step| step.fract() == 0.0) && value.fract() == 0.0 && value.abs() < LARGEST {
        true => json!(value.clamp(-9.2e18, 9.2e18) as i64),
        false => json!(value),
    }
}
