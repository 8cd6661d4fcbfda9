//! Curves over time, as SVG: a panel a counter, all panels of a page on one scale of time.

use super::escape::{Text, number};
use std::io::{Result, Write};

/// Units of the picture across, and the places of the plot in them.
pub const WIDTH: f64 = 900.0;
pub const LEFT: f64 = 58.0;
pub const RIGHT: f64 = 888.0;
/// Height of a panel's plot, and of its title above it.
pub const PLOT: f64 = 46.0;
pub const TITLE: f64 = 22.0;
/// Height of the axis of time below the last panel.
pub const AXIS: f64 = 30.0;

/// The scale of time that all panels share, milliseconds from the window's opening.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Time {
    first_ms: f64,
    last_ms: f64,
    /// When the requests ended; nothing where that is not known.
    window_ms: Option<f64>,
}

impl Time {
    /// The scale over these moments; nothing where they are no span of time.
    pub fn over(moments: impl Iterator<Item = f64>, window_ms: Option<f64>) -> Option<Self> {
        let window_ms = window_ms.filter(|ms| ms.is_finite() && *ms > 0.0);
        let moments = moments.chain(window_ms).filter(|at| at.is_finite());
        let span = moments.fold((f64::MAX, f64::MIN), |(first, last), at| (first.min(at), last.max(at)));
        let (first_ms, last_ms) = (span.0.min(0.0), span.1);
        (last_ms - first_ms > 0.0).then_some(Self { first_ms, last_ms, window_ms })
    }

    /// Where a moment is drawn.
    pub fn x(&self, at_ms: f64) -> f64 {
        let share = (at_ms - self.first_ms) / (self.last_ms - self.first_ms);
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// Shades the time in which requests ran, and names the phases at the top.
    pub fn phases(&self, top: f64, bottom: f64, named: bool, out: &mut dyn Write) -> Result<()> {
        let Some(window_ms) = self.window_ms else { return Ok(()) };
        let (from, to) = (self.x(0.0), self.x(window_ms));
        let height = bottom - top;
        write!(
            out,
            "<rect class=\"during\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\
             <path class=\"edge\" d=\"M{0} {1}v{3}M{4} {1}v{3}\"/>",
            number(from, 1),
            number(top, 1),
            number(to - from, 1),
            number(height, 1),
            number(to, 1)
        )
        .and_then(|()| if named { self.names(top, out) } else { Ok(()) })
    }

    fn names(&self, top: f64, out: &mut dyn Write) -> Result<()> {
        let window_ms = self.window_ms.unwrap_or_default();
        let phases = [("before", self.first_ms, 0.0), ("requests", 0.0, window_ms), ("after", window_ms, self.last_ms)];
        for (name, from, to) in phases {
            let (from, to) = (self.x(from), self.x(to));
            // A name that is wider than its phase would lie on the next one.
            if to - from > 8.0 * name.len() as f64 {
                write!(
                    out,
                    "<text class=\"phase\" x=\"{}\" y=\"{}\">{name}</text>",
                    number((from + to) / 2.0, 1),
                    top - 5.0
                )?;
            }
        }
        Ok(())
    }

    /// The axis, in seconds from the window's opening.
    pub fn axis(&self, y: f64, out: &mut dyn Write) -> Result<()> {
        write!(out, "<path class=\"axis\" d=\"M{LEFT} {y}H{RIGHT}\"/>")?;
        let span_s = (self.last_ms - self.first_ms) / 1e3;
        let step_s = round_up(span_s / 8.0);
        let first = (self.first_ms / 1e3 / step_s).ceil();
        for tick in 0..20 {
            let at_s = (first + f64::from(tick)) * step_s;
            if at_s * 1e3 > self.last_ms + 1e-6 {
                break;
            }
            let x = number(self.x(at_s * 1e3), 1);
            write!(
                out,
                "<path class=\"axis\" d=\"M{x} {y}v4\"/><text class=\"tick\" x=\"{x}\" y=\"{}\">{} s</text>",
                y + 17.0,
                number(at_s, 3)
            )?;
        }
        Ok(())
    }
}

/// One counter.
pub struct Panel<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its unit.
    pub unit: &'a str,
    /// What tells this curve from others on the page: `gpu-0-utilization`.
    pub id: &'a str,
    /// When each point was read, milliseconds, and what; nothing where it was not read.
    pub points: &'a [(f64, Option<f64>)],
    /// The top of its scale, where the counter has one.
    pub most: Option<f64>,
}

impl Panel<'_> {
    /// Draws it with its plot's top edge at `top`.
    pub fn draw(&self, time: &Time, top: f64, out: &mut dyn Write) -> Result<()> {
        let bottom = top + PLOT;
        let read = || self.points.iter().filter_map(|(_, value)| *value);
        let (low, high) = read().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let count = read().count();
        let most = self.most.filter(|most| *most >= high && *most > 0.0).unwrap_or_else(|| round_up(high.max(1e-9)));
        time.phases(top, bottom, false, out)?;
        write!(
            out,
            "<path class=\"axis\" d=\"M{LEFT} {top}V{bottom}H{RIGHT}\"/><text class=\"name\" x=\"{LEFT}\" y=\"{}\">{}, {}</text>\
             <text class=\"scale\" x=\"{3}\" y=\"{4}\">{5}</text><text class=\"scale\" x=\"{3}\" y=\"{bottom}\">0</text>",
            top - 6.0,
            self.name,
            self.unit,
            LEFT - 6.0,
            top + 9.0,
            number(most, 1)
        )?;
        if count == 0 {
            let middle = (LEFT + RIGHT) / 2.0;
            return write!(
                out,
                "<text class=\"nothing\" x=\"{middle}\" y=\"{}\">not read</text>",
                top + PLOT / 2.0 + 4.0
            );
        }
        let (low, high) = (number(low, 1), number(high, 1));
        let range = if low == high { high } else { format!("{low} to {high}") };
        write!(
            out,
            "<text class=\"range\" x=\"{RIGHT}\" y=\"{}\">{range} {}</text>\
             <path class=\"curve\" data-series=\"{}\" data-points=\"{count}\" d=\"",
            top - 6.0,
            self.unit,
            Text(self.id)
        )?;
        let mut pen = Pen::default();
        for (at_ms, value) in self.points {
            let y = value.map(|value| bottom - (value / most).clamp(0.0, 1.0) * PLOT);
            pen.point(time.x(*at_ms), y, out)?;
        }
        pen.end(out)?;
        write!(out, "\"/>")
    }
}

/// Writes a path: points that follow one another are joined, a gap parts them, and a point alone is a dot.
#[derive(Default)]
pub struct Pen {
    /// Points since the last gap.
    joined: usize,
}

impl Pen {
    /// The next point; `None` is a gap.
    pub fn point(&mut self, x: f64, y: Option<f64>, out: &mut dyn Write) -> Result<()> {
        let Some(y) = y else { return self.end(out) };
        let letter = ["M", "L"].get(self.joined).copied().unwrap_or(" ");
        self.joined += 1;
        write!(out, "{letter}{} {}", number(x, 1), number(y, 1))
    }

    /// The end of the path, or of the part before a gap.
    pub fn end(&mut self, out: &mut dyn Write) -> Result<()> {
        let alone = self.joined == 1;
        self.joined = 0;
        if alone { write!(out, "h0") } else { Ok(()) }
    }
}

/// The next of 1, 2, 2.5, 5, 10, 20, 25, ... at or above a number above 0.
pub fn round_up(value: f64) -> f64 {
    if !(value.is_finite() && value > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    steps.iter().map(|step| step * power).find(|step| *step >= value * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(points: &[(f64, Option<f64>)]) -> String {
        let (mut pen, mut out) = (Pen::default(), Vec::new());
        for (x, y) in points {
            pen.point(*x, *y, &mut out).unwrap();
        }
        pen.end(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_not_read_is_a_gap_and_no_zero() {
        let points = [
            (1.0, Some(5.0)),
            (2.0, Some(6.04)),
            (3.0, None),
            (4.0, Some(7.0)),
            (5.0, None),
            (6.0, Some(0.0)),
            (7.0, Some(1.0)),
            (8.0, Some(2.0)),
        ];
        assert_eq!(path(&points), "M1 5L2 6M4 7h0M6 0L7 1 8 2");
        assert_eq!(path(&[(1.0, None)]), "");
    }

    #[test]
    fn scales_end_at_round_numbers() {
        assert_eq!([0.3, 1.0, 1.1, 24.0, 26.0, 700.0, 0.0].map(round_up), [0.5, 1.0, 2.0, 25.0, 50.0, 1000.0, 1.0]);
        assert!(Time::over([f64::NAN].into_iter(), None).is_none());
        assert!(Time::over([0.0].into_iter(), Some(f64::INFINITY)).is_none());
        let time = Time::over([-1000.0, 3000.0].into_iter(), Some(2000.0)).unwrap();
        assert_eq!((time.x(-1000.0), time.x(3000.0), time.x(1e9)), (LEFT, RIGHT, RIGHT));
    }
}
