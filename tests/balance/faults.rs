//! What each fault of the server comes to, with its cause first.

use super::*;

/// The causes, and the first one's words.
fn fault(switches: &[&str], connections: &str) -> Option<(i32, Value, Vec<String>, String)> {
    let stage = Stage::start(switches)?;
    let (code, report) = stage.report(connections);
    let all: Vec<String> = causes(&report).into_iter().map(str::to_owned).collect();
    let first = all.first().map(|cause| diagnosis(&report, cause)["because"].as_str().unwrap().to_owned());
    Some((code, report, all, first.unwrap_or_default()))
}

#[test]
fn everything_on_gpu_0() {
    let Some((code, report, causes, _)) = fault(&["--one-gpu"], "16") else { return };
    assert_eq!((code, causes), (1, vec!["all-workers-on-gpu0".to_owned()]), "{}", report["headline"]);
    let brief = diagnosis(&report, "all-workers-on-gpu0")["brief"].as_str().unwrap();
    assert!(brief.starts_with("3 of 4 GPUs never worked: by NVML all 4 connections came to GPU 0"), "{brief}");
    assert_eq!(outcomes(&report)[2], "fail");
}

#[test]
fn places_that_are_not_given_back() {
    let Some((code, report, causes, because)) = fault(&["--leak"], "16") else { return };
    assert_eq!((code, causes), (1, vec!["connection-places-leaked".to_owned()]), "{}", report["headline"]);
    assert_eq!(diagnosis(&report, "connection-places-leaked")["confidence"], "proven");
    let headline = "The connections show that the server keeps the places of connections that were closed";
    assert!(report["headline"].as_str().unwrap().starts_with(headline), "{}", report["headline"]);
    assert!(because.contains("still counts 16") && because.contains("No GPU available"), "{because}");
    assert_eq!(outcomes(&report)[5], "fail");
}

/// A second round of connections leaves more memory.
#[test]
fn memory_that_is_not_given_back() {
    let Some((code, report, causes, because)) = fault(&["--keep-memory"], "8") else { return };
    assert_eq!((code, causes), (1, vec!["connection-memory-kept".to_owned()]), "{}", report["headline"]);
    let kept = diagnosis(&report, "connection-memory-kept");
    assert_eq!((&kept["severity"], &kept["confidence"]), (&json!("fail"), &json!("proven")));
    assert!(because.contains("after a second round of 9"), "{because}");
    assert_eq!(outcomes(&report)[5], "fail");
}

/// The same server, which gives the memory to the next connection.
#[test]
fn memory_that_is_kept_for_the_next_connection_is_no_leak() {
    let Some((code, report, causes, _)) = fault(&["--cache"], "8") else { return };
    assert_eq!((code, causes), (0, Vec::new()), "{}", report["headline"]);
    assert_eq!(report["verdict"], "healthy", "{}", report["headline"]);
    let cache = report["connections_judged"]["cache"].as_str().unwrap();
    assert!(cache.contains("34.0 GB of memory stay in use, and 9 connections more left no more"), "{cache}");
    assert_eq!(outcomes(&report)[5], "pass");
}

#[test]
fn a_limit_that_is_not_kept() {
    let Some((code, report, causes, because)) = fault(&["--no-limit"], "16") else { return };
    assert_eq!((code, causes), (1, vec!["connection-limit-not-enforced".to_owned()]), "{}", report["headline"]);
    assert!(because.contains("a limit of 4 connections for each GPU, and 5 on GPU 0"), "{because}");
    assert_eq!(outcomes(&report)[6], "fail");
}

#[test]
fn a_limit_below_what_memory_allows() {
    let Some((code, report, causes, because)) = fault(&["--limit", "2"], "8") else { return };
    assert_eq!((code, causes), (0, vec!["connection-limit-below-memory".to_owned()]), "{}", report["headline"]);
    assert!(because.contains("refused with 2 on each GPU") && because.contains("holds 4"), "{because}");
}

#[test]
fn a_refusal_without_a_word() {
    let Some((code, report, causes, _)) = fault(&["--refuse-early"], "16") else { return };
    assert_eq!((code, causes), (0, vec!["connection-refused-silently".to_owned()]), "{}", report["headline"]);
    assert_eq!(attempts(&report)[16]["status"]["known"], 403);
    assert_eq!(report["connections"]["unknown_path_refused_alike"]["known"], true);
    assert_eq!(outcomes(&report)[6], "fail");
}

#[test]
fn a_document_that_lies() {
    let Some((code, report, causes, _)) = fault(&["--lie", "--mib", "800"], "16") else { return };
    assert_eq!(code, 1, "{}", report["headline"]);
    assert_eq!(causes, ["all-workers-on-gpu0", "connection-claims-contradicted"], "{}", report["headline"]);
    let because = diagnosis(&report, "connection-claims-contradicted")["because"].as_str().unwrap();
    assert!(because.contains("connections on GPU 0, 1, 2 and 3") && because.contains("GPU 0 alone"), "{because}");
}

#[test]
fn a_document_that_stands_still() {
    let Some((_, report, causes, because)) = fault(&["--stale"], "4") else { return };
    assert_eq!(causes, ["connection-claims-contradicted"], "{}", report["headline"]);
    assert!(because.contains("/gpu-status counts 0 with 5 connections open"), "{because}");
    assert_eq!(outcomes(&report)[3], "fail");
}

/// Refused at the handshake, with a status of its own and with that of an unknown path; accepted and closed; no answer.
#[test]
fn not_one_connection_is_accepted() {
    let refusals: [(&[&str], &str); 3] = [
        (&["--refuse", "503"], "refused before it was accepted, with HTTP 503"),
        (&["--refuse", "403"], "with HTTP 403; a path that does not exist is refused in the same way"),
        (&["--close-at-once"], "accepted and closed at once with code 1011: the model is not loaded"),
    ];
    for (switches, words) in refusals {
        let Some((code, report, causes, because)) = fault(switches, "4") else { return };
        assert_eq!((code, causes), (1, vec!["connection-none-accepted".to_owned()]), "{}", report["headline"]);
        assert!(because.contains(words), "{switches:?}: {because}");
        assert_eq!(attempts(&report).len(), 2, "it is not asked on and on");
    }
}

#[test]
fn a_server_that_never_answers_costs_a_bounded_time() {
    let Some(stage) = Stage::start(&["--silent"]) else { return };
    let said = stage.doctor(&["16", "--format", "json"]);
    let report = said.report();
    assert_eq!((said.code, causes(&report)), (1, vec!["connection-none-accepted"]), "{}", report["headline"]);
    let because = diagnosis(&report, "connection-none-accepted")["because"].as_str().unwrap();
    assert!(because.contains("no answer within 20.0 s") && because.contains("does not answer"), "{because}");
    assert!(said.took.as_secs() < 45, "{:?}", said.took);
}

#[test]
fn a_server_that_dies_and_one_that_drops() {
    let Some((code, report, causes, because)) = fault(&["--dies-at", "4"], "8") else { return };
    assert_eq!(code, 1, "{}", report["headline"]);
    assert_eq!(causes[0], "connection-lost", "{}", report["headline"]);
    assert!(because.contains("ended 3 of the 3 connections") && because.contains("nothing listens"), "{because}");
    let Some((code, report, causes, because)) = fault(&["--drops-at", "4"], "8") else { return };
    assert_eq!((code, causes[0].as_str()), (0, "connection-lost"), "{}", report["headline"]);
    assert!(because.contains("that were held without a goodbye"), "{because}");
    assert_eq!(outcomes(&report)[8], "fail");
}
