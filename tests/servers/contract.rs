//! `--contract`: what real servers answer to requests that break their contract in one place.

use crate::asked::{Asked, ask_contract, each};
use crate::setup::real_server::{program, triton_of};
use crate::setup::venv::venv;
use serde_json::Value;

/// The case of that kind and field.
fn case(asked: &Asked, kind: &str, field: &str) -> Value {
    let cases = asked.known("contract");
    let found = cases.as_array().into_iter().flatten().find(|case| case["kind"] == kind && case["field"] == field);
    let found = found.unwrap_or_else(|| panic!("{field} was not {kind}: {cases}")).clone();
    assert_eq!(found["survives"]["known"], true, "{found}");
    found
}

fn assert_answer(asked: &Asked, kind: &str, field: &str, status: u64, names_field: bool) {
    let case = case(asked, kind, field);
    assert_eq!((&case["status"]["known"], &case["names_field"]), (&status.into(), &names_field.into()), "{case}");
}

#[test]
fn fastapi_names_every_field() {
    let Some(server) = program("cpu", "fastapi", &[], "/health") else { return };
    each(&[
        ("a form", &|| {
            let asked = ask_contract(&server.url, "/asr");
            ["audio", "lang"].iter().for_each(|field| assert_answer(&asked, "left_out", field, 422, true));
        }),
        ("JSON", &|| {
            let asked = ask_contract(&server.url, "/score");
            ["text", "lang"].iter().for_each(|field| assert_answer(&asked, "left_out", field, 422, true));
            assert_answer(&asked, "unknown_value", "lang", 422, true);
            let cases = asked.known("contract");
            assert!(cases.as_array().unwrap().iter().any(|case| case["kind"] == "wrong_type"), "{cases}");
            assert!(cases.as_array().unwrap().len() <= 12, "{cases}");
        }),
    ]);
}

#[test]
fn litserve_names_none() {
    let Some(server) = program("litserve", "litserve", &[], "/health") else { return };
    let asked = ask_contract(&server.url, "/predict");
    ["text", "lang"].iter().for_each(|field| assert_answer(&asked, "left_out", field, 500, false));
}

#[test]
fn triton_names_every_input() {
    let Some(venv) = venv("triton") else { return };
    let server = triton_of("shapes", &venv, "/v2/health/ready", &[]);
    let asked = ask_contract(&server.url, "/v2/models/vad/infer");
    ["audio", "sample_rate"].iter().for_each(|field| assert_answer(&asked, "left_out", field, 400, true));
}
