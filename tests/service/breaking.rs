//! `--contract`: the good request broken in one place at a time.

use crate::scripted_server::{ScriptedServer, respond};
use crate::{ask, known, probe};
use gpu_doctor::probe::Ask;
use gpu_doctor::snapshot::{ContractCase, Fact, Facts, Why};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

fn examined(url: &str, client: Option<&str>) -> Facts {
    probe(Ask { contract: true, ..ask(url, client) }, 25)
}

/// Cases as `field kind: status named`.
fn told(cases: &[ContractCase]) -> Vec<String> {
    let status = |case: &ContractCase| case.status.known().map_or("none".to_owned(), u64::to_string);
    let named = |case: &ContractCase| match (case.accepted, case.names_field) {
        (true, _) => "accepted",
        (false, true) => "named",
        (false, false) => "unnamed",
    };
    cases.iter().map(|case| format!("{} {}: {} {}", case.field, case.kind, status(case), named(case))).collect()
}

#[test]
fn the_demos_contract_is_told() {
    let demo = gpu_doctor::demo::start().unwrap();
    let facts = examined(&demo.url(), Some(&demo.client_request()));
    let cases = known(&facts.request.contract);
    let lines = told(cases);
    assert!(lines.contains(&"lang left_out: 400 named".to_owned()), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("audio left_out: 4") && line.ends_with(" named")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("lang unknown_value: ")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("audio wrong_type: ")), "{lines:?}");
    assert!(cases.iter().all(|case| case.survives == Fact::Known(true)), "{cases:?}");
    assert!(known(&facts.execution.requests_ok) > &0, "measured before anything was broken");
    let quiet = probe(ask(&demo.url(), Some(&demo.client_request())), 20);
    assert_eq!(quiet.request.contract.reason().unwrap().why, Why::NotAsked);
}

const SCHEMA: &str = r#"{"openapi":"3.1.0","paths":{"/predict":{"post":{"requestBody":{"content":{"application/json":{
    "schema":{"type":"object","required":["text","n"],"properties":{"text":{"type":"string"},"n":{"type":"integer"},
    "lang":{"type":"string","enum":["en"]}}}}}}}}}}"#;

#[test]
fn a_server_that_a_bad_request_breaks_is_said_to_be_broken_and_left_alone() {
    let broken = AtomicBool::new(false);
    let server = ScriptedServer::start(move |request, stream| {
        let (status, body) = match request.target.as_str() {
            "/openapi.json" => (200, SCHEMA),
            _ if request.method != "POST" => (404, ""),
            _ if broken.load(Ordering::SeqCst) => (503, "unavailable"),
            _ if request.body.contains("\"n\"") => (200, r#"{"label": 1}"#),
            _ => {
                broken.store(true, Ordering::SeqCst);
                (500, "Internal Server Error")
            }
        };
        let _ = stream.write_all(respond(status, "application/json", body).as_bytes());
    });
    let facts = examined(&server.url(), None);
    let cases = known(&facts.request.contract);
    let harmful = cases.iter().position(|case| case.survives == Fact::Known(false)).unwrap();
    assert_eq!((cases[harmful].field.as_str(), cases[harmful].kind.as_str()), ("n", "left_out"));
    assert_eq!(cases[harmful].status, Fact::Known(500));
    assert!(!cases[harmful].names_field);
    assert!(
        cases[harmful + 1..]
            .iter()
            .all(|case| case.status.reason().is_some_and(|why| why.detail.starts_with("not sent")))
    );
    let after = server.received().iter().rev().take_while(|request| request.body.contains("\"n\"")).count();
    assert_eq!(after, 1, "one good request, and no more");
}

#[test]
fn no_more_than_the_bound_is_sent_and_nothing_where_the_server_may_be_changed() {
    let fields: Vec<String> = (0..60).map(|n| format!("\"f{n}\":{{\"type\":\"string\"}}")).collect();
    let names: Vec<String> = (0..60).map(|n| format!("\"f{n}\"")).collect();
    let schema = format!(
        r#"{{"openapi":"3.1.0","paths":{{"/predict":{{"post":{{"requestBody":{{"content":{{"application/json":{{"schema":
        {{"type":"object","required":[{}],"properties":{{{}}}}}}}}}}}}}}}}}}}"#,
        names.join(","),
        fields.join(",")
    );
    let server = ScriptedServer::answering(move |request| match request.target.as_str() {
        "/openapi.json" => (200, "application/json", schema.clone()),
        _ if request.body.matches(":").count() < 60 || request.body.contains(":17") => (500, "text/plain", "no".into()),
        _ => (200, "application/json", "{}".into()),
    });
    let plain = probe(ask(&server.url(), None), 25);
    assert!(plain.request.good.known().is_some(), "{:?}", plain.request.good);
    let before = server.received().iter().filter(|request| request.body.contains("\"f1\"")).count();
    let facts = examined(&server.url(), None);
    let posts = server.received().iter().filter(|request| request.body.contains("\"f1\"")).count();
    assert!(posts - before <= before + 24, "{before} without, {} with --contract", posts - before);
    let cases = known(&facts.request.contract);
    assert!(
        cases.len() >= 60 && cases.iter().filter(|case| case.status.known().is_some()).count() <= 12,
        "{}",
        cases.len()
    );

    let admin = ScriptedServer::answering(|_| (200, "application/json", "{\"ok\": 1}".into()));
    let client = format!("curl {}/models/delete --json '{{\"name\": \"m\"}}'", admin.url());
    let facts = examined(&admin.url(), Some(&client));
    let reason = facts.request.contract.reason().unwrap();
    assert!(reason.why == Why::NotAsked && reason.detail.contains("may change the server"), "{reason}");
}
