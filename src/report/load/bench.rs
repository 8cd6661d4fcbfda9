//! What a benchmark came to: one user, one request after the other.

use crate::check::against::{self, Comparison};
use crate::check::baseline::{self, Compared, Row};
use crate::check::judge_steps;
use crate::snapshot::{Fact, Snapshot, Spread, Unknown};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A benchmark beside the step that it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bench {
    /// What was sent: `POST /asr`.
    pub request: Option<String>,
    /// Accepted requests from their start to the end of their answer, milliseconds.
    pub latency_ms: Option<Measure>,
    /// The time by the server's own word, milliseconds.
    pub server_ms: Option<Measure>,
    /// Where that stood.
    pub server_time_in: Option<String>,
    /// `inference` or `request`.
    pub server_time_of: Option<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time_lacks: Option<String>,
    /// Mean time in the model by the server's own counters or answers, milliseconds.
    pub inference_ms: Option<f64>,
    /// Requests a second that one user gets without a wait: 1000 / the mean.
    pub rps_without_wait: Option<f64>,
    /// The GPU that the server works on, as the driver or the user calls it; none if it is not known.
    pub gpus: Vec<String>,
    /// Why the GPUs were not watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus_lack: Option<String>,
    /// How it compares with what is usual, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// How it compares with an earlier run, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
    /// What was written, a sentence for each file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// A distribution with what is certain of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measure {
    /// Values.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Between these it lies with 95 % confidence; null where there are too few values.
    pub mean_95_percent: Option<(f64, f64)>,
    /// Their standard deviation; null for a single one.
    pub std_dev: Option<f64>,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// From the median on.
    pub percentiles: Vec<Percentile>,
}

/// A percentile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentile {
    /// So many percent of the values are not above it.
    pub percent: f64,
    /// It; null where there are too few values for one to lie above it.
    pub value: Option<f64>,
    /// Between these it lies with 95 % confidence, by order statistics; null where there are too few values.
    pub between_95_percent: Option<(f64, f64)>,
}

/// How a run compares with what is usual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// The whole in words, or why there is nothing to compare with.
    pub because: String,
    /// The table's model.
    pub model: Option<String>,
    /// The GPU.
    pub gpu: Option<String>,
    /// What it usually takes there, milliseconds.
    pub usual_ms: Option<f64>,
    /// What it took, milliseconds.
    pub measured_ms: Option<f64>,
    /// How many times as long that is.
    pub ratio: Option<f64>,
    /// What differs from how the table was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
}

/// How a run compares with an earlier one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Against {
    /// The file of the earlier one.
    pub file: String,
    /// When that ran, RFC 3339.
    pub taken_at: String,
    /// `better`, `worse`, `noise` or `undecided`.
    pub verdict: String,
    /// The whole in a sentence.
    pub headline: String,
    /// What differs beside the figures.
    pub circumstances: Vec<String>,
    /// Figure by figure.
    pub differences: Vec<Figure>,
}

/// One figure of both runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// Its name with its unit.
    pub figure: String,
    /// Before.
    pub before: f64,
    /// Now.
    pub after: f64,
    /// How many times as much; null where that is no number.
    pub ratio: Option<f64>,
    /// `better`, `worse`, `noise` or `undecided`.
    pub verdict: String,
    /// Why, in words.
    pub because: String,
}

/// The benchmark of a snapshot that holds one.
pub fn of(snapshot: &Snapshot) -> Option<Bench> {
    let (facts, load) = (&snapshot.facts, &snapshot.facts.load);
    if load.command.known()? != "bench" {
        return None;
    }
    let step = load.steps.known()?.first()?;
    let latency_ms = step.latency_ms.known().map(measure);
    let judged = judge_steps(facts).ok().and_then(|steps| steps.into_iter().next());
    let good = facts.request.good.known();
    Some(Bench {
        request: good.map(|good| format!("{} {}", good.method, good.path)),
        rps_without_wait: latency_ms.as_ref().filter(|one| one.mean > 0.0).map(|one| rounded(1e3 / one.mean)),
        latency_ms,
        server_ms: step.server_ms.known().map(measure),
        server_time_in: load.server_time_in.known().cloned(),
        server_time_of: load.server_time_of.known().cloned(),
        server_time_lacks: step.server_ms.reason().map(|unknown| unknown.detail.clone()),
        inference_ms: judged.and_then(|one| one.inference_ms.known().copied()).map(rounded),
        gpus: baseline::gpu_name(facts).into_iter().collect(),
        gpus_lack: step.gpus.reason().map(|unknown| unknown.detail.clone()),
        baseline: None,
        against: None,
        files: Vec::new(),
    })
}

fn measure(spread: &Spread) -> Measure {
    let known = |range: &Fact<(f64, f64)>| range.known().copied();
    let percentile = |percent: f64, value: f64, between: &Fact<(f64, f64)>| Percentile {
        percent,
        // With fewer values none need lie above it, and it would only be the largest one.
        value: (spread.count as f64 * (100.0 - percent) >= 100.0 - 1e-6).then_some(value),
        between_95_percent: known(between),
    };
    Measure {
        count: spread.count,
        mean: spread.mean,
        mean_95_percent: known(&spread.mean_95_percent),
        std_dev: spread.std_dev.known().copied(),
        min: spread.min,
        max: spread.max,
        percentiles: vec![
            percentile(50.0, spread.median, &spread.median_95_percent),
            percentile(90.0, spread.p90, &spread.p90_95_percent),
            percentile(95.0, spread.p95, &spread.p95_95_percent),
            percentile(99.0, spread.p99, &spread.p99_95_percent),
            percentile(99.9, spread.p999, &spread.p999_95_percent),
        ],
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

impl Baseline {
    /// In the report's form, with what to do where there is nothing to compare with.
    pub fn of(compared: Result<Compared, Unknown>, rows: &[Row]) -> Self {
        let compared = match compared {
            Ok(compared) => compared,
            Err(why) => {
                let models: Vec<&str> = rows.iter().map(|row| row.model.as_str()).collect();
                let because = format!(
                    "not compared with what is usual: {}. --baseline MODEL names the model ({}), --gpu NAME the GPU",
                    why.detail,
                    models.join(", ")
                );
                let (model, gpu, usual_ms, measured_ms, ratio) = (None, None, None, None, None);
                return Self { because, model, gpu, usual_ms, measured_ms, ratio, differs: Vec::new() };
            }
        };
        Self {
            ratio: compared.usual_ms.map(|usual| rounded(compared.measured_ms / usual)),
            because: compared.because,
            model: Some(compared.model),
            gpu: Some(compared.gpu),
            usual_ms: compared.usual_ms,
            measured_ms: Some(rounded(compared.measured_ms)),
            differs: compared.differs,
        }
    }
}

impl Against {
    /// Holds a run against an earlier one.
    pub fn of(file: &str, before: &Snapshot, after: &Snapshot) -> Self {
        let told = |verdict: &str, headline: String, circumstances, differences| Self {
            file: file.to_owned(),
            taken_at: before.taken_at.clone(),
            verdict: verdict.to_owned(),
            headline,
            circumstances,
            differences,
        };
        let Comparison { differences, mut circumstances, .. } = match against::compare(&before.facts, &after.facts) {
            Ok(comparison) => comparison,
            Err(why) => return told("undecided", format!("not compared: {}", why.detail), Vec::new(), Vec::new()),
        };
        let server = |snapshot: &Snapshot| snapshot.target.server.clone();
        if let (Some(one), Some(other)) = (server(before), server(after))
            && one != other
        {
            circumstances.insert(0, format!("server: {one} before, {other} now"));
        }
        let rows: Vec<Figure> = { differences.into_iter() }
            .filter(|one| one.load == "1 user")
            .map(|one| Figure {
                figure: one.figure.to_owned(),
                before: rounded(one.before),
                after: rounded(one.after),
                ratio: Some(one.after / one.before).filter(|ratio| ratio.is_finite()).map(rounded),
                verdict: one.verdict.to_owned(),
                because: one.because,
            })
            .collect();
        let (verdict, headline) = judged(&rows);
        told(verdict, headline, circumstances, rows)
    }
}

/// The comparison in a sentence: first by the mean, else by whatever is more than noise.
fn judged(rows: &[Figure]) -> (&'static str, String) {
    let by = |verdict: &str| rows.iter().find(|row| row.verdict == verdict);
    let Some(mean) = rows.iter().find(|row| row.figure == "mean ms") else {
        return ("undecided", "in one of the runs no request was accepted".into());
    };
    let both = format!("{:.1} ms before and {:.1} ms now", mean.before, mean.after);
    match (mean.verdict.as_str(), by("worse"), by("better")) {
        ("worse", ..) => ("worse", format!("{:.2}x slower: a request took {both}", mean.after / mean.before)),
        ("better", ..) => ("better", format!("{:.2}x faster: a request took {both}", mean.before / mean.after)),
        (_, Some(row), _) | (_, None, Some(row)) => {
            let verdict = if row.verdict == "worse" { "worse" } else { "better" };
            let same =
                if mean.verdict == "noise" { "the mean differs by no more than noise" } else { "the mean is open" };
            (verdict, format!("{same} ({both}), but {} is {verdict}: {}", row.figure, row.because))
        }
        ("noise", ..) => ("noise", format!("no difference beyond noise: a request took {both}")),
        _ => ("undecided", format!("too few requests to tell: a request took {both}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(figure: &str, before: f64, after: f64, verdict: &str) -> Figure {
        let ratio = Some(after / before);
        Figure { figure: figure.into(), before, after, ratio, verdict: verdict.into(), because: "p 0.001".into() }
    }

    #[test]
    fn a_comparison_is_one_sentence() {
        let said = |rows: &[Figure]| judged(rows);
        let (verdict, words) = said(&[row("mean ms", 41.2, 79.3, "worse"), row("p99 ms", 50.0, 99.0, "worse")]);
        assert_eq!((verdict, words.as_str()), ("worse", "1.92x slower: a request took 41.2 ms before and 79.3 ms now"));
        let (verdict, words) = said(&[row("mean ms", 41.2, 41.9, "noise"), row("p99 ms", 50.0, 51.0, "noise")]);
        assert_eq!(verdict, "noise");
        assert!(words.starts_with("no difference beyond noise"), "{words}");
        let (verdict, words) = said(&[row("mean ms", 41.2, 41.9, "noise"), row("accepted %", 100.0, 80.0, "worse")]);
        assert_eq!(verdict, "worse");
        assert!(words.ends_with("but accepted % is worse: p 0.001"), "{words}");
        assert_eq!(said(&[row("mean ms", 41.2, 80.0, "undecided")]).0, "undecided");
        assert_eq!(said(&[]).0, "undecided");
    }

    #[test]
    fn a_percentile_that_no_value_lies_above_is_left_open() {
        let spread = |count| {
            let unknown = || Fact::Unknown(Unknown::new(crate::snapshot::Why::Absent, "too few"));
            Spread {
                count,
                min: 1.0,
                mean: 2.0,
                std_dev: Fact::Known(0.5),
                median: 2.0,
                p90: 3.0,
                p95: 3.5,
                p99: 4.0,
                p999: 4.0,
                max: 4.0,
                mean_95_percent: unknown(),
                median_95_percent: Fact::Known((1.5, 2.5)),
                p90_95_percent: unknown(),
                p95_95_percent: unknown(),
                p99_95_percent: unknown(),
                p999_95_percent: unknown(),
            }
        };
        let told =
            |count| measure(&spread(count)).percentiles.iter().map(|one| one.value.is_some()).collect::<Vec<_>>();
        assert_eq!(told(1), [false, false, false, false, false]);
        assert_eq!(told(9), [true, false, false, false, false]);
        assert_eq!(told(20), [true, true, true, false, false]);
        assert_eq!(told(100), [true, true, true, true, false]);
        assert_eq!(told(1000), [true; 5]);
        assert_eq!(measure(&spread(20)).percentiles[0].between_95_percent, Some((1.5, 2.5)));
    }
}
