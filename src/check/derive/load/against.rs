//! Two runs of the same load: is one better, or is the difference noise?
//!
//! Means are compared by Welch's test on what the runs keep of their requests, shares by the test of two shares, the 99th
//! percentile by whether its ranges of confidence overlap. None of these sees that a machine is another one tomorrow:
//! repeats of the same load differ by a few percent. So a difference counts only where it is larger than that, too.

use super::statistics::{self, Sample};
use super::thresholds::figures;
use crate::snapshot::{Fact, Facts, LoadStep, Spread, Unknown, Why};

/// One figure of both runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The load: `10 users`.
    pub load: String,
    /// `mean ms`, `median ms`, `p99 ms`, `server mean ms`, `requests/s` or `accepted %`.
    pub figure: &'static str,
    /// Before.
    pub before: f64,
    /// After.
    pub after: f64,
    /// `better`, `worse`, `noise`, or `undecided` where too few values were kept.
    pub verdict: &'static str,
    /// Why, in words.
    pub because: String,
}

/// Two runs, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Figures of loads that both have.
    pub differences: Vec<Difference>,
    /// What differs beside the figures, one clause each: the card, the driver, what was sent.
    pub circumstances: Vec<String>,
    /// Loads that only one of them has.
    pub without_twin: Vec<String>,
}

/// Compares two runs, the earlier one first.
///
/// # Errors
/// Why one of them holds no load.
pub fn compare(before: &Facts, after: &Facts) -> Result<Comparison, Unknown> {
    let (first, second) = (before.load.steps.read()?, after.load.steps.read()?);
    let twin = |step: &LoadStep, of: &[LoadStep]| of.iter().position(|one| load(one) == load(step));
    let mut differences = Vec::new();
    let mut without_twin = Vec::new();
    for step in first {
        match twin(step, second).and_then(|at| second.get(at)) {
            Some(other) => differences.extend(figures_of(step, other)),
            None => without_twin.push(format!("{} before only", load(step))),
        }
    }
    without_twin.extend(
        second.iter().filter(|step| twin(step, first).is_none()).map(|step| format!("{} after only", load(step))),
    );
    if differences.is_empty() {
        return Err(Unknown::new(
            Why::NotAsked,
            format!("the runs have no load in common: {}", without_twin.join(", ")),
        ));
    }
    Ok(Comparison { differences, circumstances: circumstances(before, after), without_twin })
}

/// Whether a step is what a benchmark sends: one user who waits for his answers.
pub fn is_of_one_user(step: &LoadStep) -> bool {
    step.users == 1 && step.rate_rps.known().is_none()
}

fn load(step: &LoadStep) -> String {
    match step.rate_rps.known() {
        Some(rate) => format!("{rate} requests/s, {} connections", step.users),
        None if step.users == 1 => "1 user".into(),
        None => format!("{} users", step.users),
    }
}

fn figures_of(before: &LoadStep, after: &LoadStep) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut put = |figure, values: (f64, f64), lower_is_better: bool, chance: Chance| {
        all.push(judged(load(before), figure, values, lower_is_better, chance));
    };
    let both = |of: fn(&LoadStep) -> &Fact<Spread>| of(before).known().zip(of(after).known());
    if let Some((one, other)) = both(|step| &step.latency_ms) {
        put("mean ms", (one.mean, other.mean), true, welch(one, other));
        if one.median_95_percent.known().is_some() && other.median_95_percent.known().is_some() {
            let chance = apart(&one.median_95_percent, &other.median_95_percent);
            put("median ms", (one.median, other.median), true, chance);
        }
        put("p99 ms", (one.p99, other.p99), true, apart(&one.p99_95_percent, &other.p99_95_percent));
    }
    if let Some((one, other)) = both(|step| &step.server_ms) {
        put("server mean ms", (one.mean, other.mean), true, welch(one, other));
    }
    // Counts of a window scatter like their root, or less where users wait for their answers.
    let rate = |step: &LoadStep| Sample { mean: step.throughput_rps, std_dev: step.throughput_rps, count: step.ok };
    let chance = statistics::welch(rate(before), rate(after)).map_or(Chance::Few, Chance::Of);
    put("requests/s", (before.throughput_rps, after.throughput_rps), false, chance);
    let of = |step: &LoadStep| (step.ok, step.requests.saturating_add(step.dropped));
    let percent = |(ok, all): (u64, u64)| 100.0 * ok as f64 / all.max(1) as f64;
    let chance = statistics::shares(of(before), of(after)).map_or(Chance::Few, Chance::Of);
    let accepted = (percent(of(before)), percent(of(after)));
    let (verdict, because) = match &chance {
        Chance::Of(p) if *p < figures::confidence_p() => {
            (if accepted.1 > accepted.0 { "better" } else { "worse" }, chance.words())
        }
        Chance::Few => ("undecided", chance.words()),
        _ => ("noise", chance.words()),
    };
    all.push(Difference {
        load: load(before),
        figure: "accepted %",
        before: accepted.0,
        after: accepted.1,
        verdict,
        because,
    });
    all
}

/// How likely a difference is by chance.
enum Chance {
    /// So likely.
    Of(f64),
    /// The ranges of confidence overlap, or not.
    Overlap(bool),
    /// Too few values were kept.
    Few,
}

impl Chance {
    fn words(&self) -> String {
        match self {
            Chance::Of(p) if *p < 1e-4 => "p below 0.0001".into(),
            Chance::Of(p) => format!("p {p:.4}"),
            Chance::Overlap(true) => "the 95 % ranges overlap".into(),
            Chance::Overlap(false) => "the 95 % ranges do not overlap".into(),
            Chance::Few => "too few values were kept to tell".into(),
        }
    }

    fn is_none(&self) -> Option<bool> {
        match self {
            Chance::Of(p) => Some(*p < figures::confidence_p()),
            Chance::Overlap(overlap) => Some(!overlap),
            Chance::Few => None,
        }
    }
}

fn welch(one: &Spread, other: &Spread) -> Chance {
    let sample =
        |spread: &Spread| Some(Sample { mean: spread.mean, std_dev: *spread.std_dev.known()?, count: spread.count });
    let p = sample(one).zip(sample(other)).and_then(|(one, other)| statistics::welch(one, other));
    p.map_or(Chance::Few, Chance::Of)
}

fn apart(one: &Fact<(f64, f64)>, other: &Fact<(f64, f64)>) -> Chance {
    match (one.known(), other.known()) {
        (Some(one), Some(other)) => Chance::Overlap(one.0 <= other.1 && other.0 <= one.1),
        _ => Chance::Few,
    }
}

fn judged(load: String, figure: &'static str, values: (f64, f64), lower_is_better: bool, chance: Chance) -> Difference {
    let (before, after) = values;
    let percent = 100.0 * (after / before - 1.0);
    let noise = figures::noise_percent();
    let words = chance.words();
    let (verdict, because) = match chance.is_none() {
        _ if !percent.is_finite() => ("undecided", "one of the runs has none".into()),
        None => ("undecided", words),
        Some(false) => ("noise", format!("{percent:+.1} %, within noise: {words}")),
        Some(true) if percent.abs() < noise => (
            "noise",
            format!("{percent:+.1} %, within noise: repeats of one load differ by up to {noise:.0} % ({words})"),
        ),
        Some(true) => {
            let verdict = if (percent < 0.0) == lower_is_better { "better" } else { "worse" };
            (verdict, format!("{percent:+.1} %, {words}"))
        }
    };
    Difference { load, figure, before, after, verdict, because }
}

fn circumstances(before: &Facts, after: &Facts) -> Vec<String> {
    let mut all = Vec::new();
    let mut put = |what: &str, one: Option<String>, other: Option<String>| {
        if let (Some(one), Some(other)) = (one, other)
            && one != other
        {
            all.push(format!("{what}: {one} before, {other} after"));
        }
    };
    let gpus = |facts: &Facts| {
        let names = facts.nvml.gpus.known()?.iter().map(|gpu| gpu.name.known().cloned());
        Some(names.collect::<Option<Vec<_>>>()?.join(", "))
    };
    put("GPUs", gpus(before), gpus(after));
    let driver = |facts: &Facts| facts.nvml.driver_version.known().cloned();
    put("driver", driver(before), driver(after));
    let bodies = |facts: &Facts| facts.load.distinct_payloads.known().map(u64::to_string);
    put("bodies that differ", bodies(before), bodies(after));
    let size = |facts: &Facts| facts.load.body_bytes.known().map(|bytes| format!("{bytes:.0} bytes"));
    put("mean body", size(before), size(after));
    let think = |facts: &Facts| facts.load.think_time_ms.known().map(|ms| format!("{ms:.0} ms"));
    put("wait between requests", think(before), think(after));
    let command = |facts: &Facts| facts.load.command.known().cloned();
    put("made by", command(before), command(after));
    let server = |facts: &Facts| {
        let version = facts.request.server_version.known().map(String::as_str).unwrap_or_default();
        Some(format!("{} {version}", facts.request.server_kind.known()?).trim().to_owned())
    };
    put("server", server(before), server(after));
    let models = |facts: &Facts| facts.request.served_models.known().map(|models| models.join(", "));
    put("models", models(before), models(after));
    let place = |facts: &Facts| facts.load.server_time_in.known().cloned();
    put("the server's own time stands in", place(before), place(after));
    let digest = |facts: &Facts| facts.load.request_digest.known().cloned();
    if let (Some(one), Some(other)) = (digest(before), digest(after))
        && one != other
    {
        all.push("what is sent: another path, other fields or another input".into());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::derive::load::constructed::{facts, named_gpu, spread, step};
    use proptest::prelude::*;

    fn verdicts(comparison: &Comparison) -> Vec<(&str, &str)> {
        comparison.differences.iter().map(|one| (one.figure, one.verdict)).collect()
    }

    #[test]
    fn a_run_against_itself_is_noise() {
        let one = facts(vec![step(1, 100.0), step(10, 120.0)]);
        let told = compare(&one, &one).unwrap();
        assert!(told.differences.iter().all(|one| one.verdict == "noise"), "{told:?}");
        assert_eq!((told.differences.len(), told.circumstances.len(), told.without_twin.len()), (8, 0, 0));
    }

    #[test]
    fn what_is_certain_may_still_be_noise() {
        // 100,000 requests make 2 % certain, and the next repeat would differ as much.
        let mut before = step(10, 100.0);
        let mut after = step(10, 102.0);
        before.latency_ms = Fact::Known(spread(100_000, 100.0, 10.0));
        after.latency_ms = Fact::Known(spread(100_000, 102.0, 10.0));
        let told = compare(&facts(vec![before]), &facts(vec![after])).unwrap();
        assert_eq!(verdicts(&told)[0], ("mean ms", "noise"));
        assert!(told.differences[0].because.contains("repeats of one load differ"), "{told:?}");
    }

    #[test]
    fn what_is_large_may_be_chance() {
        let (mut before, mut after) = (step(1, 100.0), step(1, 110.0));
        before.latency_ms = Fact::Known(spread(5, 100.0, 30.0));
        after.latency_ms = Fact::Known(spread(5, 110.0, 30.0));
        assert_eq!(verdicts(&compare(&facts(vec![before]), &facts(vec![after])).unwrap())[0], ("mean ms", "noise"));
    }

    #[test]
    fn twice_as_fast_is_better_and_a_new_card_is_named() {
        let (mut before, mut after) = (facts(vec![step(10, 100.0)]), facts(vec![step(10, 50.0), step(20, 90.0)]));
        before.nvml.gpus = Fact::Known(vec![named_gpu("Tesla T4")]);
        after.nvml.gpus = Fact::Known(vec![named_gpu("NVIDIA A10G")]);
        let told = compare(&before, &after).unwrap();
        let better = [("mean ms", "better"), ("p99 ms", "better"), ("requests/s", "better"), ("accepted %", "noise")];
        assert_eq!(verdicts(&told), better);
        assert_eq!(told.circumstances, ["GPUs: Tesla T4 before, NVIDIA A10G after"]);
        assert_eq!(told.without_twin, ["20 users after only"]);
        let back = compare(&after, &before).unwrap();
        assert_eq!(verdicts(&back)[0], ("mean ms", "worse"));
    }

    #[test]
    fn failures_are_worse_and_runs_without_a_common_load_cannot_be_compared() {
        let mut failing = step(10, 100.0);
        failing.failed = failing.ok / 5;
        failing.ok -= failing.failed;
        let told = compare(&facts(vec![step(10, 100.0)]), &facts(vec![failing])).unwrap();
        assert!(verdicts(&told).contains(&("accepted %", "worse")), "{told:?}");
        assert_eq!(compare(&facts(vec![step(1, 9.0)]), &facts(vec![step(2, 9.0)])).unwrap_err().why, Why::NotAsked);
    }

    proptest! {
        #[test]
        fn turning_a_comparison_turns_its_verdicts(a in 1.0f64..1e4, b in 1.0f64..1e4, users in 1u64..200) {
            let (one, other) = (facts(vec![step(users, a)]), facts(vec![step(users, b)]));
            let turned = |verdict: &str| match verdict { "better" => "worse", "worse" => "better", same => same }.to_owned();
            let there = compare(&one, &other).unwrap();
            let back = compare(&other, &one).unwrap();
            for (there, back) in there.differences.iter().zip(&back.differences) {
                // Percent of the one and of the other differ near the edge of what counts as noise.
                let edge = ((there.after / there.before).ln().abs() - 0.05).abs() < 0.01;
                prop_assert!(edge || turned(there.verdict) == back.verdict, "{there:?} {back:?}");
            }
        }
    }
}
