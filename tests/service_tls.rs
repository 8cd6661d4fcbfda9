//! TLS between the doctor and a real uvicorn, with certificates made for the purpose.

#[path = "setup/bridge.rs"]
mod bridge;
mod setup;

use gpu_doctor::probe::{Ask, Context, service};
use gpu_doctor::snapshot::{Fact, Facts, Transport, Unknown, Why};
use serde_json::Value;
use setup::certificates::Certificates;
use setup::doctor::{causes, diagnosis, gpu_doctor, verdict};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const HERE: &str = "IP:127.0.0.1,DNS:localhost";

fn ask(port: u16) -> Ask {
    Ask {
        server: Some(format!("https://127.0.0.1:{port}").parse().unwrap()),
        operation: Some("/asr/json".into()),
        requests: 1,
        window: Duration::from_millis(100),
        ..Ask::default()
    }
}

fn probe(ask: Ask) -> Facts {
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not part of this test"));
    let context = Context { ask, deadline: Instant::now() + Duration::from_secs(30) };
    (service::PROBE.run)(&context, &mut facts);
    facts
}

fn known<T: std::fmt::Debug>(fact: &Fact<T>) -> &T {
    match fact {
        Fact::Known(value) => value,
        Fact::Unknown(unknown) => panic!("unknown: {unknown}"),
    }
}

fn way(facts: &Facts) -> &Transport {
    known(&facts.request.transport)
}

fn fault(facts: &Facts) -> (&str, &str) {
    assert!(way(facts).tls_fault.known().is_some(), "{:?}", facts.request.reach_error);
    (known(&way(facts).tls_fault).as_str(), known(&way(facts).tls_fault_because).as_str())
}

#[test]
fn a_self_signed_certificate_is_named_and_trusted_once_it_is_given() {
    let Some(made) = Certificates::new() else { return };
    // The common recipe makes a certificate that calls itself an authority.
    made.self_signed("own", HERE);
    let Some(server) = made.serve("own", &[]) else { return };
    let facts = probe(ask(server.port));
    assert_eq!(known(&facts.request.reachable), &false);
    assert_eq!(fault(&facts), ("self_signed", "the certificate is self-signed"));
    assert!(known(&way(&facts).certificate).starts_with("CN=localhost, issued by itself, valid until 20"));

    let mut question = ask(server.port);
    question.connection.cacert = Some(made.file("own.pem"));
    let facts = probe(question.clone());
    assert_eq!(known(&known(&facts.request.good).status), &200);
    assert_eq!((fault(&facts), known(&way(&facts).tls_version).as_str()), (("", ""), "TLSv1.3"));
    let first = known(&way(&facts).first_exchange);
    assert!(*known(&first.tls_ms) > 0.0 && *known(&first.connect_ms) > 0.0, "{first:?}");
    assert!(first.resolve_ms.reason().is_some() && known(&first.first_byte_ms) <= known(&first.total_ms), "{first:?}");

    // Through a proxy TLS is agreed on with the server itself.
    let proxy = bridge::proxy(server.port, None);
    question.connection.proxy = Some(format!("127.0.0.1:{}", proxy.port));
    let facts = probe(question);
    assert_eq!(known(&known(&facts.request.good).status), &200);
    let connect = format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", server.port);
    assert!(proxy.heads.lock().unwrap().iter().all(|head| head.starts_with(&connect)));
}

#[test]
fn a_self_signed_certificate_leads_the_report_with_its_remedy() {
    let Some(made) = Certificates::new() else { return };
    made.self_signed("own", "DNS:asr.example");
    let Some(server) = made.serve("own", &[]) else { return };
    let url = format!("https://127.0.0.1:{}", server.port);
    let run = |arguments: &[&str]| {
        let common = ["run", "--format", "json", "--only", "request", "--server", &url];
        gpu_doctor(&[&common[..], arguments].concat(), &[])
    };
    let said = run(&[]);
    let report: Value = said.report();
    assert_eq!((causes(&report), said.code), (vec!["tls-mismatch-or-self-signed"], 1));
    assert_eq!(verdict(&report, "backend-down-or-wrong-port"), "holds", "it is explained, and does not lead");
    let headline = report["headline"].as_str().unwrap();
    assert!(
        headline.contains("self-signed") && headline.contains("is for asr.example, and not for 127.0.0.1"),
        "{headline}"
    );
    let fix = diagnosis(&report, "tls-mismatch-or-self-signed")["fix"].to_string();
    assert!(fix.contains(&format!("openssl s_client -connect 127.0.0.1:{} ", server.port)), "{fix}");
    assert!(fix.contains("--cacert server.pem"), "{fix}");
    // Once it is trusted, the other fault is left.
    let report = run(&["--cacert", made.file("own.pem").to_str().unwrap()]).report();
    assert!(report["headline"].as_str().unwrap().contains("asr.example"), "{}", report["headline"]);
    for (option, value, words) in [
        ("--cacert", "/nonexistent.pem", "--cacert /nonexistent.pem"),
        ("--cacert", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "no certificate in PEM form"),
        ("--proxy", "socks5://u:S3CRET@h:1", "not supported"),
    ] {
        let said = run(&[option, value]);
        assert!(said.code == 64 && said.err.contains(words) && !said.err.contains("S3CRET"), "{}", said.err);
    }
}

#[test]
fn plain_http_to_uvicorns_tls_port_which_closes_without_a_word() {
    let Some(made) = Certificates::new() else { return };
    made.self_signed("own", HERE);
    let Some(server) = made.serve("own", &[]) else { return };
    let question =
        Ask { server: Some(format!("http://127.0.0.1:{}", server.port).parse().unwrap()), ..ask(server.port) };
    let facts = probe(question);
    assert_eq!(fault(&facts).0, "tls_port");
    assert!(known(&facts.request.reach_error).contains("name it https://"), "{:?}", facts.request.reach_error);
    assert!(known(&way(&facts).certificate).starts_with("CN=localhost"));
}

#[test]
fn tls_to_a_plain_port_is_proven_by_asking_in_plain_http() {
    let demo = gpu_doctor::demo::start().unwrap();
    let port = demo.url().rsplit(':').next().unwrap().parse().unwrap();
    let facts = probe(ask(port));
    assert_eq!(fault(&facts).0, "plain_port");
    assert!(known(&facts.request.reach_error).contains("name it http://"), "{:?}", facts.request.reach_error);
}

#[test]
fn what_an_authority_signed_is_trusted_with_it_and_its_faults_are_told_apart() {
    let Some(made) = Certificates::new() else { return };
    for (name, names, years, cacert, word, words) in [
        ("good", HERE, (2020, 2049), true, "", ""),
        ("good", HERE, (2020, 2049), false, "unknown_issuer", "issuer, CN=Voice-CA, is not trusted here"),
        ("late", HERE, (2020, 2021), true, "expired", "has expired on 2021-01-01T00:00:00Z"),
        ("early", HERE, (2048, 2049), true, "not_yet_valid", "it begins on 2048-01-01T00:00:00Z"),
        (
            "other",
            "DNS:asr.example,IP:192.0.2.1",
            (2020, 2049),
            true,
            "other_name",
            "is for asr.example, 192.0.2.1, and not",
        ),
    ] {
        made.signed(name, names, years);
        let Some(server) = made.serve(name, &[]) else { return };
        let mut question = ask(server.port);
        question.connection.cacert = cacert.then(|| made.file("ca.pem"));
        let facts = probe(question);
        let (found, because) = fault(&facts);
        assert_eq!((found, known(&facts.request.reachable)), (word, &word.is_empty()), "{name}: {because}");
        assert!(because.contains(words), "{name}: {because}");
    }
}

#[test]
fn a_client_certificate_is_missed_and_given() {
    let Some(made) = Certificates::new() else { return };
    made.signed("server", HERE, (2020, 2049));
    made.signed("client", "DNS:client", (2020, 2049));
    made.self_signed("stranger", "DNS:stranger");
    let authority: PathBuf = made.file("ca.pem");
    let options = ["--ssl-cert-reqs", "2", "--ssl-ca-certs", authority.to_str().unwrap()];
    let Some(server) = made.serve("server", &options) else { return };
    let mut question = ask(server.port);
    question.connection.cacert = Some(made.file("ca.pem"));
    let facts = probe(question.clone());
    let wanted = "the server wants a certificate of the client";
    assert_eq!(fault(&facts), ("client_certificate_wanted", wanted), "{:?}", facts.request.reach_error);
    question.connection.identity = Some((made.file("stranger.pem"), made.file("stranger-key.pem")));
    let facts = probe(question.clone());
    assert_eq!(fault(&facts), ("client_certificate_wanted", "the server refuses the client's certificate"));
    question.connection.identity = Some((made.file("client.pem"), made.file("client-key.pem")));
    let facts = probe(question);
    assert_eq!(known(&known(&facts.request.good).status), &200);
}
