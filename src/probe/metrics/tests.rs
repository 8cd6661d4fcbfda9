use super::families::TABLE;
use super::*;
use crate::snapshot::{CountersFacts, Fact, ModelCounters, Why};
use proptest::prelude::*;
use std::path::Path;

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/metrics").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn page(text: &str) -> Page {
    Page::read(text.as_bytes()).unwrap()
}

/// Readings a second apart.
fn read(texts: &[&str]) -> CountersFacts {
    let at = |(index, text): (usize, &&str)| (Some(index as f64 * 1000.0), page(text));
    let readings = texts.iter().enumerate().map(at).collect();
    counters(&[Source { page: "http://127.0.0.1:8002/metrics".into(), readings, doubts: Vec::new() }])
}

fn model<'a>(facts: &'a CountersFacts, name: &str) -> &'a ModelCounters {
    let models = facts.models.known().unwrap();
    models.iter().find(|one| one.model == name).unwrap_or_else(|| panic!("{name} is not among {models:#?}"))
}

fn why<T>(fact: &Fact<T>) -> Why {
    fact.reason().map(|unknown| unknown.why).expect("it is unknown")
}

#[test]
fn what_triton_counted_between_two_readings() {
    let facts = read(&[&text("triton/before.prom"), &text("triton/after.prom")]);
    assert_eq!(facts.software, Fact::Known(vec!["triton".into()]));
    assert_eq!((facts.interval_ms.clone(), facts.doubts.clone()), (Fact::Known(1000.0), Fact::Known(vec![])));
    assert_eq!(facts.models.known().unwrap().len(), 3);
    let image = model(&facts, "image_gray");
    for (fact, expected) in [
        (&image.requests_ok, 21.0),
        (&image.requests_failed, 0.0),
        (&image.requests_refused, 0.0),
        (&image.inferences, 21.0),
        (&image.executions, 21.0),
        (&image.queue_ms, 3.584),
        (&image.request_ms, 9.981),
        (&image.compute_ms, 6.087),
        (&image.busy_percent, 12.783),
        (&image.waiting_most, 0.0),
    ] {
        assert_eq!(fact, &Fact::Known(expected), "{image:#?}");
    }
    assert_eq!((why(&image.running_most), why(&image.cache_hits)), (Why::Unsupported, Why::Absent));
    assert_eq!(image.totals.known().unwrap().requests_ok, Fact::Known(0.0));
    assert_eq!(facts.gpus, Fact::Known(vec![]));
}

#[test]
fn a_batch_keeps_the_gpu_busy_once_and_answers_from_the_cache_do_not() {
    // 800 requests in 186 batches; of 1000 more the cache answers.
    let counted = |ok: u32, hits: u32, executions: u32, infer: u32| {
        format!(
            "nv_inference_request_success{{model=\"m\"}} {ok}\nnv_inference_exec_count{{model=\"m\"}} {executions}\n\
             nv_cache_num_hits_per_model{{model=\"m\"}} {hits}\nnv_inference_compute_infer_duration_us{{model=\"m\"}} {infer}\n"
        )
    };
    let facts = read(&[&counted(0, 0, 0, 0), &counted(800, 0, 186, 4_480_000)]);
    assert_eq!(model(&facts, "m").compute_ms, Fact::Known(5.6));
    assert_eq!(model(&facts, "m").busy_percent, Fact::Known(104.16));
    let facts = read(&[&counted(0, 0, 0, 0), &counted(1800, 1000, 186, 4_480_000)]);
    assert_eq!(model(&facts, "m").compute_ms, Fact::Known(5.6));
    let facts = read(&[&counted(5, 0, 5, 9), &counted(1005, 1000, 5, 9)]);
    assert_eq!(
        (model(&facts, "m").busy_percent.clone(), why(&model(&facts, "m").compute_ms)),
        (Fact::Known(0.0), Why::NotAsked)
    );
}

#[test]
fn what_vllm_counted_between_two_readings() {
    let facts = read(&[&text("vllm/before.prom"), &text("vllm/after.prom")]);
    let tiny = model(&facts, "tiny");
    assert_eq!(facts.models.known().unwrap().len(), 1, "{facts:#?}");
    for (fact, expected) in [
        (&tiny.requests_ok, 4.0),
        (&tiny.requests_failed, 0.0),
        (&tiny.requests_refused, 0.0),
        (&tiny.executions, 22.0),
        (&tiny.preemptions, 0.0),
        (&tiny.queue_ms, 0.037),
        (&tiny.compute_ms, 77.008),
        (&tiny.request_ms, 111.473),
        (&tiny.running_most, 0.0),
        (&tiny.waiting_most, 0.0),
        (&tiny.kv_cache_percent, 0.0),
        (&tiny.busy_percent, 30.803),
    ] {
        assert_eq!(fact, &Fact::Known(expected), "{tiny:#?}");
    }
    assert_eq!(facts.doubts, Fact::Known(vec![]));
}

/// Every figure that a page gives of a model by itself, and its GPUs.
fn once(name: &str, asked: &str) -> (ModelCounters, CountersFacts) {
    let facts = read(&[&text(name)]);
    (model(&facts, asked).clone(), facts)
}

#[test]
fn one_reading_tells_totals_and_gauges_and_no_differences() {
    let (asr, facts) = once("triton/gpu.prom", "asr");
    let totals = asr.totals.known().unwrap();
    assert_eq!((&totals.requests_ok, &totals.cache_hits), (&Fact::Known(1200.0), &Fact::Known(1000.0)));
    assert_eq!((&totals.inferences, &totals.executions), (&Fact::Known(200.0), &Fact::Known(100.0)));
    assert_eq!((&totals.queue_ms, &totals.compute_ms), (&Fact::Known(0.5), &Fact::Known(5.0)));
    assert_eq!((&totals.requests_refused, &asr.waiting_most), (&Fact::Known(40.0), &Fact::Known(7.0)));
    assert_eq!((why(&asr.requests_ok), why(&facts.interval_ms)), (Why::NotAsked, Why::NotAsked));
    let gpus = facts.gpus.known().unwrap();
    assert_eq!((gpus.len(), gpus[0].gpu.as_str()), (1, "GPU-aa"));
    assert_eq!(gpus[0].utilization_percent, Fact::Known(27.0));
    assert_eq!(gpus[0].memory_used_bytes, Fact::Known(1_073_741_824.0));
    assert_eq!(gpus[0].power_milliwatts, Fact::Known(71_500.0));
}

/// A second reading with every counter of the first one doubled.
fn doubled(name: &str) -> CountersFacts {
    let first = text(name);
    let double = |line: &str| -> String {
        match line.rsplit_once(' ') {
            Some((name, value)) if !line.starts_with('#') && !line.starts_with("process_") => {
                format!("{name} {}\n", 2.0 * value.parse::<f64>().unwrap())
            }
            _ => format!("{line}\n"),
        }
    };
    let second: String = first.lines().map(double).collect();
    let facts = read(&[&first, &second]);
    assert_eq!(facts.doubts, Fact::Known(vec![]), "{name}");
    facts
}

#[test]
fn what_other_software_counts() {
    let facts = doubled("bentoml/once.prom");
    let bentoml = model(&facts, "/transcribe");
    assert_eq!((&bentoml.requests_ok, &bentoml.requests_failed), (&Fact::Known(1.0), &Fact::Known(0.0)));
    assert_eq!((&bentoml.request_ms, &bentoml.running_most), (&Fact::Known(71.951), &Fact::Known(0.0)));
    assert_eq!(facts.models.known().unwrap().len(), 2, "endpoints of its own state are no models: {facts:#?}");

    let facts = doubled("mlserver/once.prom");
    let mlserver = model(&facts, "vad");
    assert_eq!((&mlserver.requests_ok, &mlserver.requests_failed), (&Fact::Known(1.0), &Fact::Known(1.0)));
    assert_eq!(mlserver.request_ms, Fact::Known(1.481));

    let facts = doubled("torchserve/once.prom");
    let torchserve = model(&facts, "m");
    assert_eq!(torchserve.requests_taken, Fact::Known(2.0));
    assert_eq!((&torchserve.queue_ms, &torchserve.request_ms), (&Fact::Known(3639.051), &Fact::Known(3644.907)));
    assert_eq!(facts.gpus, Fact::Known(vec![]));

    let facts = doubled("ray-serve/once.prom");
    let ray = model(&facts, "A");
    assert_eq!((&ray.requests_taken, &ray.request_ms), (&Fact::Known(4.0), &Fact::Known(10.25)));
    assert_eq!((&ray.running_most, &ray.waiting_most), (&Fact::Known(0.0), &Fact::Known(0.0)));

    let facts = doubled("llama.cpp/once.prom");
    let llama = model(&facts, "");
    assert_eq!((&llama.executions, &llama.busy_percent), (&Fact::Known(6.0), &Fact::Known(0.174)));
    assert_eq!((&llama.running_most, &llama.waiting_most), (&Fact::Known(0.0), &Fact::Known(0.0)));

    let facts = doubled("tgi/once.prom");
    let tgi = model(&facts, "");
    assert_eq!((&tgi.requests_taken, &tgi.requests_ok), (&Fact::Known(100.0), &Fact::Known(90.0)));
    assert_eq!((&tgi.requests_failed, &tgi.requests_refused), (&Fact::Known(2.0), &Fact::Known(8.0)));
    assert_eq!((&tgi.executions, &tgi.busy_percent), (&Fact::Known(600.0), &Fact::Known(1200.0)));
    assert_eq!(
        (&tgi.queue_ms, &tgi.compute_ms, &tgi.request_ms),
        (&Fact::Known(10.0), &Fact::Known(200.0), &Fact::Known(300.0))
    );
    assert_eq!((&tgi.running_most, &tgi.waiting_most), (&Fact::Known(8.0), &Fact::Known(6.0)));

    let facts = doubled("tei/once.prom");
    let tei = model(&facts, "");
    assert_eq!((&tei.requests_ok, &tei.requests_refused), (&Fact::Known(38.0), &Fact::Known(2.0)));
    assert_eq!(
        (&tei.executions, &tei.queue_ms, &tei.compute_ms),
        (&Fact::Known(20.0), &Fact::Known(10.0), &Fact::Known(5.0))
    );

    let facts = doubled("sglang/once.prom");
    let sglang = model(&facts, "qwen");
    assert_eq!((&sglang.requests_taken, &sglang.requests_failed), (&Fact::Known(50.0), &Fact::Known(1.0)));
    assert_eq!((&sglang.busy_percent, &sglang.kv_cache_percent), (&Fact::Known(3000.0), &Fact::Known(56.0)));
    assert_eq!((&sglang.running_most, &sglang.waiting_most), (&Fact::Known(8.0), &Fact::Known(4.0)));

    let facts = doubled("tf-serving/once.prom");
    let tf = model(&facts, "resnet");
    assert_eq!(
        (&tf.requests_ok, &tf.requests_failed, &tf.request_ms),
        (&Fact::Known(12.0), &Fact::Known(3.0), &Fact::Known(20.0))
    );
    let facts = doubled("kserve/once.prom");
    let kserve = model(&facts, "sklearn");
    assert_eq!((&kserve.executions, &kserve.compute_ms), (&Fact::Known(8.0), &Fact::Known(50.0)));

    let facts = read(&[&text("dcgm/once.prom")]);
    assert_eq!(facts.models, Fact::Known(vec![]));
    let gpus = facts.gpus.known().unwrap();
    assert_eq!(
        (gpus.len(), &gpus[0].utilization_percent, &gpus[0].power_milliwatts),
        (2, &Fact::Known(93.0), &Fact::Known(68_250.0))
    );
    assert_eq!((gpus[1].gpu.as_str(), why(&gpus[1].memory_used_bytes)), ("GPU-bb", Why::Absent));
}

#[test]
fn every_name_of_the_table_has_one_meaning_and_no_software_takes_anothers_page() {
    let mut seen = std::collections::BTreeMap::new();
    for software in TABLE.iter() {
        for name in software.rising() {
            assert!(!name.ends_with("_created") && !name.ends_with("_bucket"), "{name}");
            let other = seen.insert(name.clone(), &software.software);
            assert!(other.is_none_or(|other| other == &software.software), "{name}");
        }
    }
    for (folder, name) in [
        ("triton/after.prom", "triton"),
        ("vllm/after.prom", "vllm"),
        ("bentoml/once.prom", "bentoml"),
        ("mlserver/once.prom", "mlserver"),
        ("torchserve/once.prom", "torchserve"),
        ("ray-serve/once.prom", "ray_serve"),
        ("llama.cpp/once.prom", "llama_cpp"),
        ("tgi/once.prom", "tgi"),
        ("tei/once.prom", "tei"),
        ("sglang/once.prom", "sglang"),
        ("dcgm/once.prom", "dcgm"),
        ("tf-serving/once.prom", "tf_serving"),
        ("kserve/once.prom", "kserve"),
    ] {
        let page = page(&text(folder));
        assert_eq!(page.software.iter().copied().collect::<Vec<_>>(), [name], "{folder}");
        assert_eq!(page.faults, Vec::<String>::new(), "{folder}");
        assert!(page.is_metrics());
    }
}

/// Two models' counters of a process that started then.
fn of_process(start: f64, a: u32, b: u32) -> String {
    format!(
        "process_start_time_seconds {start}\nmodel_infer_request_success_total{{model=\"a\"}} {a}\n\
         model_infer_request_success_total{{model=\"b\"}} {b}\n"
    )
}

#[test]
fn a_restart_and_several_workers_are_doubts_and_make_no_differences() {
    let doubt = |texts: &[String]| -> String {
        let facts = read(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let doubts = facts.doubts.known().unwrap().clone();
        if let Some(doubt) = doubts.first() {
            let unknown = model(&facts, "a").requests_ok.reason().unwrap();
            assert_eq!((unknown.why, &unknown.detail), (Why::Malformed, doubt));
        } else {
            assert!(model(&facts, "a").requests_ok.known().is_some());
        }
        doubts.join("; ")
    };
    let at = of_process;
    assert_eq!(doubt(&[at(5.0, 1, 1), at(5.0, 4, 1)]), "");
    assert!(doubt(&[at(5.0, 9, 1), at(7.5, 12, 1)]).ends_with("the server was restarted"), "though no counter fell");
    assert!(doubt(&[at(5.0, 9, 1), at(7.5, 2, 1), at(5.0, 10, 1)]).ends_with("each with its own counters"));
    assert!(doubt(&[at(5.0, 9, 1), at(5.0, 2, 1), at(5.0, 10, 1)]).ends_with("each with its own counters"));
    let fallen = doubt(&[at(5.0, 9, 1), at(5.0, 2, 1)]);
    assert!(fallen.contains(r#"model_infer_request_success_total{model="a"} fell from 9 to 2"#), "{fallen}");
    let gone = doubt(&[
        at(5.0, 9, 1),
        "process_start_time_seconds 5\nmodel_infer_request_success_total{model=\"a\"} 9".into(),
    ]);
    assert!(gone.contains(r#"{model="b"} is gone"#), "{gone}");
}

#[test]
fn a_counter_that_appears_began_at_0_and_one_that_is_missing_is_unknown() {
    let empty = "# nothing yet\nprocess_start_time_seconds 5\nrest_server_requests_in_progress 0\n";
    let facts = read(&[empty, &of_process(5.0, 3, 1)]);
    assert_eq!(model(&facts, "a").requests_ok, Fact::Known(3.0));
    assert_eq!(why(&model(&facts, "a").requests_failed), Why::Absent, "never 0");
    assert_eq!(why(&model(&facts, "a").inferences), Why::Unsupported);
}

#[test]
fn what_is_wrong_with_a_page_is_said_and_bounded() {
    let fault = |bytes: &[u8]| Page::read(bytes).unwrap().faults.join("; ");
    assert_eq!(fault(b"tgi_request_count 1\ntgi_request_count 2\n"), "line 2: tgi_request_count stands twice");
    assert_eq!(fault(b"tgi_request_count 1\n\0\x01\n"), "line 2: not text");
    assert_eq!(fault(b"tgi_request_count 1\n\xff\xfe 2\n"), "line 2: not UTF-8");
    assert_eq!(fault(b"tgi_request_count one\n"), "line 1: a value that is no number");
    let long =
        [b"tgi_request_count 1\nx{a=\"".as_slice(), &vec![b'a'; 10 << 20], b"\"} 1\ntgi_request_success 5\n"].concat();
    let page = Page::read(long.as_slice()).unwrap();
    assert_eq!((page.samples, page.faults.join("")), (2, "line 2: longer than 64 KiB, passed over".into()));
    let endless = [b'a'; 200_000];
    assert!(!Page::read(endless.as_slice()).unwrap().is_metrics());
    let html = "<html>\n<body>\n".repeat(50_000);
    assert_eq!(Page::read(html.as_bytes()).unwrap().faults.len(), 5);

    let bad = read(&["tgi_request_count 1\n", "tgi_request_count NaN\n"]);
    assert_eq!(why(&model(&bad, "").requests_taken), Why::Malformed);
    let bad = read(&["tgi_request_count 1\n", "tgi_request_count 3\ntgi_request_count 3\n"]);
    assert_eq!(why(&model(&bad, "").requests_taken), Why::Malformed);
    assert_eq!(bad.doubts.known().unwrap().len(), 1);
    let many: String = (0..60_000).map(|n| format!("tgi_request_count{{n=\"{n}\"}} 1\n")).collect();
    assert!(page_of(&many).faults[0].contains("more than 50,000 samples"));
    let models: String = (0..500).map(|n| format!("nv_inference_count{{model=\"{n}\"}} 1\n")).collect();
    assert_eq!(read(&[&models]).models.known().unwrap().len(), 64);
    assert_eq!(counters(&[]).models, Fact::Known(vec![]));
}

fn page_of(text: &str) -> Page {
    page(text)
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400), more in "(?s).{0,300}") {
        for bytes in [bytes.as_slice(), more.as_bytes()] {
            let page = Page::read(bytes).unwrap();
            prop_assert!(page.faults.len() <= 5);
            counters(&[Source { page: "p".into(), readings: vec![(None, page.clone()), (Some(1.0), page)], doubts: vec![] }]);
        }
    }

    #[test]
    fn counters_that_never_fall_gain_what_was_added(steps in prop::collection::vec((0_u32..100, 0_u32..100), 2..8)) {
        let (mut a, mut b) = (0, 0);
        let texts: Vec<String> = steps.iter().map(|(more_a, more_b)| {
            (a, b) = (a + more_a, b + more_b);
            of_process(5.0, a, b)
        }).collect();
        let facts = read(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(&model(&facts, "a").requests_ok, &Fact::Known(f64::from(a - steps[0].0)));
        prop_assert_eq!(&model(&facts, "b").requests_ok, &Fact::Known(f64::from(b - steps[0].1)));
        // Newest first, something fell, unless nothing ever rose.
        let backwards = read(&texts.iter().rev().map(String::as_str).collect::<Vec<_>>());
        let rose = a > steps[0].0 || b > steps[0].1;
        prop_assert_eq!(backwards.doubts.known().unwrap().is_empty(), !rose);
    }
}
