//! What a reader stumbles over: facts' paths for words, commands that do nothing, marks that nobody explains.

use crate::{TOLD, told};
use gpu_doctor::config::Config;
use gpu_doctor::report::Style;
use regex::Regex;

fn plain(verbose: bool) -> Style {
    Style { width: 100_000, verbose, ..Style::default() }
}

#[test]
fn what_could_not_be_known_is_named_in_words() {
    let path = Regex::new(r"^(derived|[a-z_]+)(\.[a-z_]+|\[\])+$").unwrap();
    for told in TOLD.iter() {
        for missing in &told.report.unknown {
            let said = gpu_doctor::diagnosis::in_words(&missing.path);
            assert!(!path.is_match(said) && said.contains(' '), "{}: {said}", told.name);
        }
    }
    for probe in ["process", "packages", "onnxruntime", "service", "linker.runtimes[].missing", "host.nvidia_modules"] {
        assert!(gpu_doctor::diagnosis::in_words(probe).contains(' '), "{probe}");
    }
}

#[test]
fn a_config_that_is_to_be_copied_keeps_its_indents() {
    let step = told("request-not-known").report.diagnoses.iter().flat_map(|cause| &cause.fix);
    let printf = step.map(|step| &step.run).find(|run| run.starts_with("printf ")).expect("a config to write");
    let words = shlex::split(printf).unwrap();
    let text: String = words[2..].iter().take_while(|word| *word != ">").map(|line| format!("{line}\n")).collect();
    let config = Config::parse(&text).unwrap_or_else(|fault| panic!("{fault:?}\n{text}"));
    assert_eq!(config.request.fields.len(), 2, "{text}");
}

#[test]
fn a_headline_says_because_once() {
    for told in TOLD.iter() {
        let first = told.report.headline.split("; besides, ").next().unwrap();
        assert!(first.matches(" because ").count() < 2, "{}: {first}", told.name);
    }
}

#[test]
fn variables_keep_their_names() {
    for told in TOLD.iter() {
        let text = told.text(&plain(true));
        assert!(!text.contains("LD LIBRARY PATH") && !text.contains("CUDA VISIBLE DEVICES"), "{}: {text}", told.name);
    }
}

#[test]
fn what_is_left_to_the_reader_is_said() {
    for (name, mark) in [("demo", "HOST:PORT"), ("expect-two-gpus", "CONFIG"), ("triton-kind-cpu", "TAG")] {
        let text = told(name).text(&plain(false));
        assert_eq!(text.matches(&format!("in place of {mark}")).count(), 1, "{name}: {text}");
    }
    // Words of a sentence and of a server are no marks.
    assert!(!told("cpu-package").text(&plain(false)).contains("in place of"));
}

#[test]
fn tokens_are_explained_where_they_stand() {
    let has = Regex::new(r"\b(host|ctr|pod|ip|user|serial)-[0-9a-f]{6,8}\b").unwrap();
    for told in TOLD.iter() {
        let text = told.text(&plain(false));
        let body = text.replace("Tokens such as host-3f2a9c", "");
        assert_eq!(text.contains("Tokens such as"), has.is_match(&body), "{}: {text}", told.name);
    }
}

#[test]
fn a_certificate_that_is_to_be_trusted_is_named_where_it_is_verified() {
    let verify = &told("tls-self-signed").report.diagnoses[0].verify;
    assert!(verify.iter().all(|command| command.contains("--cacert ")), "{verify:?}");
    let verify = &told("tls-plain-to-tls").report.diagnoses[0].verify;
    assert!(verify.iter().all(|command| command.contains("--server https://")), "{verify:?}");
}

#[test]
fn a_stage_that_fails_does_not_say_that_nothing_looked() {
    for told in TOLD.iter() {
        let text = told.text(&plain(false));
        let judged = |line: &&str| line.contains("FAIL") || line.contains(" warn ");
        let line = text.lines().filter(judged).find(|line| line.contains("no selected check needs it"));
        assert_eq!(line, None, "{}", told.name);
    }
}
