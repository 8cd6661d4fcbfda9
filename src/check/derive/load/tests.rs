//! Steps as real servers give them, and their verdicts.

use super::constructed::{facts, gpu, named_gpu, phases, step};
use super::step::{JudgedStep, judge};
use super::{capacity, knee, memory, refusals};
use crate::snapshot::{Fact, Facts, LoadStep, MemorySeries, Unknown, Why};
use proptest::prelude::*;

/// The steps of a server that answers so many requests at once, each in so many milliseconds, and lets the others wait.
fn served(users: &[u64], at_once: u64, ms: f64) -> Facts {
    facts(users.iter().map(|users| step(*users, ms * (*users as f64 / at_once as f64).max(1.0))).collect())
}

fn verdicts(facts: &Facts) -> Vec<String> {
    judge(facts).unwrap().into_iter().map(|step| step.verdict).collect()
}

/// Changes one step.
fn change(facts: &mut Facts, at: usize, f: impl FnOnce(&mut LoadStep)) {
    if let Fact::Known(steps) = &mut facts.load.steps {
        f(&mut steps[at]);
    }
}

#[test]
fn steps_are_healthy_then_degraded_then_overloaded() {
    let facts = served(&[1, 10, 25, 50, 100, 200], 20, 140.0);
    let healthy = ["healthy", "healthy", "healthy", "healthy", "degraded", "overloaded"];
    assert_eq!(verdicts(&facts), healthy);
    let judged = judge(&facts).unwrap();
    let words = knee::breaking_in_words(&judged);
    assert!(
        words.starts_with("the server keeps up with 100 users, and not with 200 users: a request takes 1400"),
        "{words}"
    );
    let knee = knee::find(&judged, Some(140.0), 0.0).unwrap();
    assert!((19.0..21.0).contains(&knee.users) && knee.flat_from_users == 25, "{knee:?}");
}

#[test]
fn a_slow_model_is_held_against_its_own_time() {
    // A transcription that takes 2 s alone is healthy; seven times as long is not.
    let facts = served(&[1, 4, 16, 64], 4, 2000.0);
    assert_eq!(verdicts(&facts), ["healthy", "healthy", "degraded", "overloaded"]);
}

#[test]
fn a_busy_gpu_and_memory_that_was_taken_before_are_no_overload() {
    let mut facts = served(&[1, 2, 4], 8, 100.0);
    facts.nvml.gpus = Fact::Known(vec![named_gpu("NVIDIA GeForce RTX 3060")]);
    let full = 0.95 * (12_u64 << 30) as f64;
    for at in 0..3 {
        change(&mut facts, at, |step| {
            let mut gpu = gpu(99.0);
            gpu.memory_used_bytes = phases(full, full);
            step.gpus = Fact::Known(vec![gpu]);
        });
    }
    assert_eq!(
        verdicts(&facts),
        ["healthy", "healthy", "healthy"],
        "as a server of language models shows from the start"
    );
    change(&mut facts, 0, |step| step.gpus = Fact::Known(vec![gpu(30.0)]));
    assert_eq!(
        verdicts(&facts),
        ["healthy", "degraded", "degraded"],
        "the GPU has no room left, and requests are served"
    );
    change(&mut facts, 2, |step| {
        let mut gpu = gpu(99.0);
        gpu.temperature_celsius = phases(60.0, 84.0);
        step.gpus = Fact::Known(vec![gpu]);
    });
    let judged = judge(&facts).unwrap();
    assert_eq!(judged[2].verdict, "degraded", "a hot card that serves well is not overloaded");
    assert!(judged[2].because.iter().any(|one| one.starts_with("GPU 0 is 84 C hot")), "{:?}", judged[2].because);
}

#[test]
fn figures_that_contradict_one_another_are_refused() {
    let mut facts = served(&[1, 10, 100], 10, 50.0);
    change(&mut facts, 1, |step| step.throughput_rps *= 1.2);
    assert_eq!(verdicts(&facts), ["healthy", "refused", "degraded"]);
    let judged = judge(&facts).unwrap();
    assert!(
        judged[1].because[0].contains("240.0 requests a second of 50.0 ms each would be 12.0 under way"),
        "{judged:?}"
    );
    change(&mut facts, 1, |step| step.throughput_rps = 200.0 * 1.04);
    assert_eq!(verdicts(&facts)[1], "healthy", "4 % are allowed");
}

#[test]
fn a_doctor_that_cannot_send_more_judges_nothing() {
    let mut facts = served(&[1, 10], 10, 5.0);
    change(&mut facts, 1, |step| step.own_cpu_ms = Fact::Known(9_700.0));
    assert_eq!(verdicts(&facts), ["healthy", "client_limited"]);
    let words = refusals::own_limit(&facts).unwrap().unwrap();
    assert!(words.contains("97 % of the time at 2000 requests a second"), "{words}");
}

#[test]
fn what_could_not_be_started_in_time_is_not_left_out() {
    let mut facts = served(&[10], 10, 50.0);
    change(&mut facts, 0, |step| {
        step.rate_rps = Fact::Known(300.0);
        step.dropped = 1000;
    });
    let judged = judge(&facts).unwrap();
    assert_eq!(judged[0].verdict, "overloaded");
    assert!(judged[0].because[0].contains("1000 could not be started in time"), "{judged:?}");
    assert_eq!(judged[0].load(), "300 requests a second");
}

#[test]
fn a_step_that_was_interrupted_counts_what_ended() {
    let mut facts = served(&[1, 10], 10, 50.0);
    change(&mut facts, 1, |step| {
        step.requests += 10;
        step.unfinished = 10;
    });
    facts.load.stopped_by = Fact::Known("interrupted".into());
    assert_eq!(judge(&facts).unwrap()[1].success_percent, Fact::Known(100.0));
}

#[test]
fn throughput_that_still_rises_has_no_knee() {
    let judged = judge(&served(&[1, 2, 4, 8], 100, 40.0)).unwrap();
    let why = knee::find(&judged, Some(40.0), 0.0).unwrap_err();
    assert_eq!(why, "throughput still rose at 8 users, with 200 requests a second");
    assert!(knee::find(&judged[..2], Some(40.0), 0.0).unwrap_err().contains("too few"));
    assert_eq!(knee::breaking_in_words(&judged), "");
}

#[test]
fn capacity_is_told_as_users_and_interval() {
    let judged = judge(&served(&[10, 50, 100], 10, 100.0)).unwrap();
    let yes = capacity::holds(&judged, 100, 2.0);
    assert_eq!((yes.verdict, yes.needed_rps), ("yes", 50.0));
    assert!(
        yes.because.starts_with("100 users with a request every 2 s need 50.0 requests a second; 100.0 were"),
        "{yes:?}"
    );
    assert_eq!(capacity::holds(&judged, 100, 0.5).verdict, "no");
    assert_eq!(capacity::holds(&judged, 1, 0.05).verdict, "no", "a request takes longer than that");
    let table = capacity::table(capacity::healthy(&judged).unwrap());
    assert_eq!(table.iter().map(|row| row.users).collect::<Vec<_>>(), [100, 200, 500, 1000, 3000, 6000]);
    let light = judge(&served(&[1, 2], 10, 100.0)).unwrap();
    assert_eq!(capacity::holds(&light, 1000, 1.0).verdict, "not_measured");
    assert_eq!(capacity::holds(&light, 10, 0.0).verdict, "not_measured");
}

#[test]
fn refusals_come_with_the_load_or_from_something_else() {
    let refuse = |step: &mut LoadStep, number: u64| {
        step.by_status.insert("429".into(), number);
        (step.requests, step.failed) = (step.requests + number, number);
    };
    let mut limited = served(&[1, 10, 50], 10, 50.0);
    change(&mut limited, 2, |step| refuse(step, 1500));
    let told = |facts: &Facts| refusals::refused(facts, &judge(facts).unwrap()).unwrap();
    assert_eq!(told(&limited), "with 50 users, of 3,500 requests 1,500 were answered 429; with 1 none were");
    let mut always = served(&[1, 10], 10, 50.0);
    for at in 0..2 {
        change(&mut always, at, |step| {
            refuse(step, 400);
            step.ok = 0;
        });
    }
    assert_eq!(told(&always), "", "refused without load, too: that is another cause");
}

#[test]
fn who_is_gone_refuses_nobody_and_one_reset_is_no_limit() {
    let lost = |step: &mut LoadStep, number: u64| {
        step.by_error.insert("connect_refused".into(), number);
        (step.requests, step.failed) = (step.ok + number, number);
    };
    let told = |facts: &Facts| refusals::refused(facts, &judge(facts).unwrap()).unwrap();
    let mut facts = served(&[1, 50], 20, 140.0);
    change(&mut facts, 1, |step| lost(step, 300));
    assert!(told(&facts).contains("300 were refused a connection; with 1 none were"), "{}", told(&facts));
    facts.load.stopped_by = Fact::Known("server_gone".into());
    assert_eq!(told(&facts), "", "it died");
    let mut facts = served(&[1], 20, 140.0);
    change(&mut facts, 0, |step| lost(step, 1));
    assert_eq!(told(&facts), "", "a single user meets no limit of load");
}

#[test]
fn one_request_of_few_makes_no_step_overloaded() {
    let mut facts = served(&[1], 20, 140.0);
    change(&mut facts, 0, |step| {
        (step.requests, step.ok, step.failed) = (12, 11, 1);
        step.by_status = [("200".to_owned(), 11), ("500".to_owned(), 1)].into();
    });
    assert_eq!(verdicts(&facts), ["degraded"]);
    // One of ten users stalled: the mean is above a second, and nine tenths took 100 ms.
    let mut facts = served(&[1, 10], 20, 100.0);
    change(&mut facts, 1, |step| {
        *step = super::constructed::step(10, 1595.0);
        if let Fact::Known(times) = &mut step.latency_ms {
            (times.median, times.p90) = (100.0, 100.0);
        }
    });
    assert_eq!(verdicts(&facts), ["healthy", "degraded"]);
}

#[test]
fn limits_do_not_jump_where_the_lightest_load_is_as_long_as_they_are() {
    let limits = super::thresholds::grades::inference_ms();
    let [below, at] = [19.9, 20.1].map(|lightest| limits.beside(lightest).unwrap().overloaded);
    assert!(at / below < 1.02, "{below} {at}");
    assert_eq!(limits.beside(3.8).unwrap().degraded, limits.degraded.max(5.3 * 3.8));
}

#[test]
fn one_disturbed_step_is_no_knee() {
    let mut facts = served(&[10, 20, 40, 80], 200, 100.0);
    change(&mut facts, 1, |step| *step = super::constructed::step(20, 190.0));
    let judged = judge(&facts).unwrap();
    assert!(knee::find(&judged, Some(100.0), 0.0).unwrap_err().contains("still rose"), "{judged:?}");
}

#[test]
fn a_load_that_was_served_is_held_whatever_a_heavier_one_took() {
    let steps = judge(&facts(vec![step(1, 25.0), step(10, 222.0)])).unwrap();
    assert_eq!(capacity::holds(&steps, 4, 0.1).verdict, "yes");
}

fn series(of: &str, bytes: impl Fn(u64) -> u64, requests: u64) -> MemorySeries {
    let at: Vec<u64> = (0..=100).map(|n| n * requests / 100).collect();
    MemorySeries {
        of: of.into(),
        uuid: "GPU-1".into(),
        pid: Fact::Known(7),
        at_ms: at.iter().map(|n| *n as f64).collect(),
        bytes: at.iter().map(|n| bytes(*n)).collect(),
        requests: at,
    }
}

#[test]
fn memory_is_a_plateau_a_leak_or_undecided() {
    const MIB: u64 = 1 << 20;
    let mut facts = served(&[1, 10], 10, 10.0);
    let all = 11_000;
    let told = |facts: &mut Facts, series: MemorySeries| {
        facts.load.memory = Fact::Known(vec![series]);
        memory::judge(facts).unwrap().remove(0)
    };
    let leak = told(&mut facts, series("resident", |n| 500 * MIB + n * 20_000, all));
    assert_eq!(leak.verdict, "leak", "{leak:?}");
    assert!((leak.bytes_per_request.known().unwrap() / 20_000.0 - 1.0).abs() < 0.01);
    let step = told(&mut facts, series("resident", |n| if n < 1000 { 500 * MIB } else { 900 * MIB }, all));
    assert_eq!(step.verdict, "plateau", "ten users take more than one: {step:?}");
    let filling = |n: u64| 500 * MIB + (400.0 * MIB as f64 * (1.0 - (-(n as f64) / 4000.0).exp())) as u64;
    assert_eq!(told(&mut facts, series("resident", filling, all)).verdict, "undecided", "still filling, ever slower");
    let mut few = series("gpu", |_| 500 * MIB, all);
    (few.bytes, few.requests) = (few.bytes[..5].to_vec(), few.requests[..5].to_vec());
    let few = told(&mut facts, few);
    assert_eq!(few.verdict, "undecided");
    assert_eq!(few.p_value.reason().map(|unknown| unknown.why), Some(Why::Absent));
}

#[test]
fn a_gpu_that_others_share_accuses_nobody() {
    let mut facts = served(&[1, 10], 10, 10.0);
    facts.load.memory = Fact::Known(vec![series("gpu", |n| n * 40_000, 11_000)]);
    let judged = memory::judge(&facts).unwrap();
    assert!(memory::gpu_leak(&judged, |_| true).is_some() && memory::gpu_leak(&judged, |_| false).is_none());
}

#[test]
fn without_a_load_nothing_is_asked() {
    let facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "no load"));
    assert_eq!(judge(&facts).unwrap_err().why, Why::NotAsked);
    assert!(refusals::cached(&facts).is_none() && refusals::own_limit(&facts).is_none());
}

#[test]
fn a_cache_is_told_by_what_the_model_computed() {
    let row = |inferences: f64, hits: f64| {
        let text = format!(
            r#"[{{"model": "fiqa", "page": "p", "requests_ok": {{"known": 1000}},
            "inferences": {{"known": {inferences}}}, "cache_hits": {{"known": {hits}}}}}]"#
        );
        Fact::Known(serde_json::from_str(&text).unwrap())
    };
    let mut facts = served(&[10], 10, 100.0);
    facts.load.distinct_payloads = Fact::Known(16);
    let mut told = |inferences, hits| {
        change(&mut facts, 0, |step| step.models = row(inferences, hits));
        refusals::cached(&facts).unwrap()
    };
    assert_eq!(told(1000.0, 0.0), "");
    assert_eq!(told(990.0, 10.0), "");
    assert_eq!(
        told(16.0, 984.0),
        "of 1,000 requests with 10 users, 16 bodies in turn, 984 were answered from the response cache of fiqa"
    );
    assert!(told(16.0, 0.0).contains("fiqa computed 16: something before it answers in its place"));
}

fn any_step() -> impl Strategy<Value = LoadStep> {
    let number = || prop_oneof![Just(0.0), Just(f64::NAN), Just(f64::INFINITY), -1e3..1e6, 0.0..1e3];
    (0u64..300, number(), number(), number(), number(), any::<u64>(), any::<u64>()).prop_map(
        |(users, mean, throughput, in_flight, cpu, failed, dropped)| {
            let mut one = step(users.max(1), 50.0);
            one.users = users;
            one.latency_ms = Fact::Known(super::constructed::spread(10, mean, 1.0));
            (one.throughput_rps, one.in_flight_mean, one.own_cpu_ms) = (throughput, in_flight, Fact::Known(cpu));
            (one.failed, one.dropped) = (failed, dropped);
            one
        },
    )
}

proptest! {
    #[test]
    fn any_steps_have_verdicts(steps in prop::collection::vec(any_step(), 0..8), users: u64, interval: f64) {
        let facts = facts(steps);
        let judged: Vec<JudgedStep> = judge(&facts).unwrap();
        let _ = knee::find(&judged, None, 0.0);
        let _ = knee::breaking_in_words(&judged);
        let _ = capacity::holds(&judged, users, interval);
        let _ = refusals::refused(&facts, &judged);
        let _ = refusals::own_limit(&facts);
        for step in &judged {
            let known = ["healthy", "degraded", "overloaded", "refused", "client_limited", "undecided"];
            prop_assert!(known.contains(&step.verdict.as_str()));
            prop_assert!(step.verdict == "healthy" || !step.because.is_empty());
        }
    }

    /// A server that answers so many at once has its knee there, whatever the steps.
    #[test]
    fn the_knee_is_where_the_server_is_full(at_once in 4u64..40, ms in 1.0f64..200.0) {
        let users = [1, 2, 4, 8, 16, 32, 64, 128];
        let judged = judge(&served(&users, at_once, ms)).unwrap();
        let knee = knee::find(&judged, Some(ms), 0.0).unwrap();
        prop_assert!((knee.users / at_once as f64 - 1.0).abs() < 0.01, "{knee:?}");
    }

    #[test]
    fn worse_figures_never_make_a_better_verdict(ms in 1.0f64..900.0, more in 1.0f64..10.0) {
        let rank = |mean| {
            let judged = judge(&facts(vec![step(1, 1.0), step(10, mean)])).unwrap();
            ["healthy", "degraded", "overloaded"].iter().position(|name| *name == judged[1].verdict)
        };
        prop_assert!(rank(ms) <= rank(ms * more));
    }
}
