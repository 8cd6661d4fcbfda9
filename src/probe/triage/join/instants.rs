//! When requests ran, and how clocks of several files fit together.

use super::super::evidence::{Clock, GpuSamples, Requests, Running};
use super::super::timeline::Timeline;

/// Pauses between requests up to this length belong to the run, milliseconds.
const PAUSE_MS: f64 = 10_000.0;
const MINUTE_MS: f64 = 60_000.0;
const HOUR_MS: f64 = 3_600_000.0;
const DAY_MS: f64 = 86_400_000.0;

/// When requests ran.
#[derive(Debug, Clone)]
pub struct Window {
    /// What the times count from.
    pub clock: Clock,
    /// The file that tells.
    pub file: String,
    /// Stretches with requests, in the order of time, milliseconds.
    pub stretches: Vec<(f64, f64)>,
}

impl Window {
    /// The window of requests by time; none without any.
    pub fn of(clock: Clock, file: &str, timelines: &[&Timeline<Running>]) -> Option<Self> {
        let mut runs: Vec<(f64, f64)> = timelines
            .iter()
            .flat_map(|timeline| timeline.slots())
            .filter_map(|(_, _, running)| Some((running.from_ms?, running.until_ms)))
            .collect();
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut stretches: Vec<(f64, f64)> = Vec::new();
        for (from, until) in runs {
            match stretches.last_mut() {
                Some((_, end)) if from <= *end + PAUSE_MS => *end = end.max(until),
                _ => stretches.push((from, until)),
            }
        }
        (!stretches.is_empty()).then(|| Self { clock, file: file.into(), stretches })
    }

    /// When the first request began.
    pub fn first_ms(&self) -> f64 {
        self.stretches.first().map_or(0.0, |(from, _)| *from)
    }

    /// When the last one ended.
    pub fn last_ms(&self) -> f64 {
        self.stretches.iter().map(|(_, until)| *until).fold(self.first_ms(), f64::max)
    }

    /// From the first to the last.
    pub fn span_ms(&self) -> f64 {
        self.last_ms() - self.first_ms()
    }

    /// The time in which requests ran, long pauses left out.
    pub fn busy_span_ms(&self) -> f64 {
        self.stretches.iter().map(|(from, until)| until - from).sum()
    }

    /// The part of the stretches that these times cover, percent. They must be in order and apart.
    pub fn covered_percent(&self, covers: &[(f64, f64)], shift_ms: f64) -> f64 {
        let length = |(from, until): &(f64, f64)| (until - from).max(1.0);
        let whole: f64 = self.stretches.iter().map(length).sum();
        let mut covered = 0.0;
        for stretch in &self.stretches {
            let (from, until) = (stretch.0, stretch.0 + length(stretch));
            for cover in covers {
                covered += (until.min(cover.1 + shift_ms) - from.max(cover.0 + shift_ms)).max(0.0);
            }
        }
        (100.0 * covered / whole).clamp(0.0, 100.0)
    }
}

/// Gives times without a zone the zone that the user names.
pub fn put_into_zone(requests: &mut [Requests], samples: &mut [GpuSamples], utc_offset_minutes: i64) {
    let shift_ms = -(utc_offset_minutes as f64) * MINUTE_MS;
    for one in requests.iter_mut().filter(|one| one.clock == Clock::Local) {
        one.clock = Clock::Utc;
        if let Some(timeline) = &mut one.timeline {
            timeline.shift(shift_ms);
            timeline.each(&mut |running: &mut Running| {
                running.from_ms = running.from_ms.map(|ms| ms + shift_ms);
                running.until_ms += shift_ms;
            });
        }
    }
    for one in samples.iter_mut().filter(|one| one.clock == Clock::Local) {
        one.clock = Clock::Utc;
        one.timeline.shift(shift_ms);
        one.lost_at_ms = one.lost_at_ms.map(|ms| ms + shift_ms);
    }
}

/// What must be added to the samples' times to have them by the requests' clock, or why they cannot be held against one
/// another.
pub fn shift_ms(
    samples: Clock,
    samples_file: &str,
    first_sample_ms: Option<f64>,
    window: &Window,
) -> Result<f64, String> {
    let requests_file = &window.file;
    match (window.clock, samples) {
        (Clock::Utc | Clock::Local, Clock::Utc | Clock::Local) | (Clock::OfDay, Clock::OfDay) => Ok(0.0),
        // Times of day without a date are taken for those of the day that the other file names.
        (Clock::Utc | Clock::Local, Clock::OfDay) => Ok((window.first_ms() / DAY_MS).floor() * DAY_MS),
        (Clock::OfDay, Clock::Utc | Clock::Local) => Ok(-(first_sample_ms.unwrap_or(0.0) / DAY_MS).floor() * DAY_MS),
        (_, Clock::None) => Err(format!("the samples of {samples_file} have no times")),
        (Clock::Relative, Clock::Relative) if requests_file == samples_file => Ok(0.0),
        (Clock::Relative, _) | (_, Clock::Relative) => Err(format!(
            "{} counts its times from its own beginning, so that {requests_file} and {samples_file} cannot be held against \
             one another; write time.time() in both",
            if samples == Clock::Relative { samples_file } else { requests_file }
        )),
        (Clock::None, _) => Err(format!("the requests of {requests_file} have no times")),
    }
}

/// Why samples that do not meet the requests may not, in a sentence.
pub fn suspicion(window: &Window, samples: Clock, covers: &[(f64, f64)], shift_ms: f64, samples_file: &str) -> String {
    let requests_file = &window.file;
    let (first, last) = match (covers.first(), covers.last()) {
        (Some(first), Some(last)) => (first.0 + shift_ms, last.1 + shift_ms),
        _ => return format!("{samples_file} holds no sample with a time"),
    };
    let gap = if first > window.last_ms() { first - window.last_ms() } else { window.first_ms() - last };
    let side = if first > window.last_ms() { "after the last request of" } else { "before the first request of" };
    // Zones differ by quarters of an hour; the smallest difference that makes them meet is the likeliest.
    let quarters = (1..=14 * 4).flat_map(|quarters| [f64::from(quarters), -f64::from(quarters)]);
    let whole_hours_first = quarters
        .map(|quarters| quarters * 15.0 * MINUTE_MS)
        .filter(|offset| window.covered_percent(covers, shift_ms + offset) >= 80.0);
    let mut fitting: Vec<f64> = whole_hours_first.collect();
    let rank = |offset: &f64| {
        if offset % HOUR_MS == 0.0 {
            0
        } else if offset % (HOUR_MS / 2.0) == 0.0 {
            1
        } else {
            2
        }
    };
    fitting.sort_by(|a, b| rank(a).cmp(&rank(b)).then(a.abs().total_cmp(&b.abs())));
    let met = format!("the samples of {samples_file} lie {} {side} {requests_file} and cover none", lasting(gap));
    match fitting.first() {
        Some(offset) => {
            let sign = if *offset < 0.0 { "-" } else { "+" };
            // A zone can be named only for times without one.
            let remedy = match samples == Clock::Local || window.clock == Clock::Local {
                true => "name the zone of the times that have none: --utc-offset +HH:MM",
                false => "write the times of both with time.time()",
            };
            format!(
                "{met}; shifted by {sign}{} they would cover them: a difference of time zones is to be suspected; {remedy}",
                hours(offset.abs())
            )
        }
        None if gap > 12.0 * HOUR_MS => format!("{met}: they are of another day"),
        None => met,
    }
}

fn hours(ms: f64) -> String {
    let minutes = (ms / MINUTE_MS).round() as u64;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// A length of time for people: `3.5 s`, `12 min`, `5.5 h`, `3.0 days`.
pub fn lasting(ms: f64) -> String {
    match ms {
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms if ms < 2.0 * MINUTE_MS => format!("{:.1} s", ms / 1e3),
        ms if ms < 2.0 * HOUR_MS => format!("{:.0} min", ms / MINUTE_MS),
        ms if ms < 2.0 * DAY_MS => format!("{:.1} h", ms / HOUR_MS),
        ms => format!("{:.1} days", ms / DAY_MS),
    }
}

/// A time in RFC 3339; without a zone where the file names none.
pub fn told(ms: f64, clock: Clock) -> Option<String> {
    let timestamp = jiff::Timestamp::from_millisecond(ms.round() as i64).ok()?;
    match clock {
        Clock::Utc => Some(format!("{timestamp:.3}")),
        Clock::Local => Some(format!("{timestamp:.3}").trim_end_matches('Z').to_owned()),
        _ => None,
    }
}
