//! What the user ran, as arguments to be typed again: without secrets, and without what only says how to print.

use crate::cli::{ConnectionOptions, LoadOptions, TargetOptions, Triage, Watch};
use crate::probe::{is_secret, without_credentials};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// Longest value of a field that is repeated, bytes: a longer one is no command to be copied.
const VALUE_MAX: usize = 1000;

/// The arguments under way.
struct Arguments(Vec<String>);

impl Arguments {
    fn text(&mut self, flag: &str, value: Option<&str>) {
        self.0.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value.to_owned()]));
    }

    fn path(&mut self, flag: &str, value: Option<&Path>) {
        self.text(flag, value.map(|path| path.display().to_string()).as_deref());
    }

    fn paths(&mut self, flag: &str, values: &[PathBuf]) {
        values.iter().for_each(|value| self.path(flag, Some(value)));
    }

    fn number(&mut self, flag: &str, value: Option<u32>) {
        self.text(flag, value.map(|number| number.to_string()).as_deref());
    }

    fn time(&mut self, flag: &str, value: Option<Duration>) {
        self.text(flag, value.map(written).as_deref());
    }

    fn switch(&mut self, flag: &str, given: bool) {
        self.0.extend(given.then(|| flag.to_owned()));
    }
}

/// `run` with the options that say what is examined, and by which checks.
pub fn command(target: &TargetOptions, checks: Option<&Path>) -> Vec<String> {
    // Taken apart in full, so that no option is forgotten here.
    let TargetOptions {
        server,
        model,
        onnxruntime,
        python,
        client_request,
        logs,
        kernel_log,
        docker_inspect,
        kubectl,
        nvidia_smi,
        smoke,
        imports,
        loader,
        forward,
        loader_timeout,
        config,
        root,
        timeout,
        requests,
        sample_rate,
        operation,
        fields,
        contract,
        connection,
    } = target;
    let mut all = Arguments(vec!["run".into()]);
    all.path("--config", config.as_deref());
    all.path("--root", root.as_deref());
    all.text("--server", server.as_deref().map(shown).as_deref());
    all.path("--client-request", client_request.as_deref());
    all.text("--operation", operation.as_deref());
    for (name, value) in fields {
        let kept = !is_secret(name) && value.len() <= VALUE_MAX;
        all.text("--field", Some(&format!("{name}={}", if kept { value } else { "VALUE" })));
    }
    let url_has_login = server.as_deref().and_then(|text| Url::parse(text).ok()).is_some_and(|url| has_login(&url));
    connected(&mut all, connection, url_has_login);
    all.path("--model", model.as_deref());
    all.path("--onnxruntime", onnxruntime.as_deref());
    all.path("--python", python.as_deref());
    imports.iter().for_each(|module| all.text("--import", Some(module)));
    all.text("--loader", loader.as_deref());
    all.text("--forward", forward.as_deref());
    all.time("--loader-timeout", *loader_timeout);
    all.paths("--log", logs);
    all.path("--kernel-log", kernel_log.as_deref());
    all.path("--docker-inspect", docker_inspect.as_deref());
    all.paths("--kubectl", kubectl);
    all.path("--nvidia-smi", nvidia_smi.as_deref());
    all.switch("--smoke", *smoke);
    all.switch("--contract", *contract);
    all.number("--requests", *requests);
    all.number("--sample-rate", *sample_rate);
    all.time("--timeout", *timeout);
    all.path("--checks", checks);
    all.0
}

/// A command that makes a load, with the options of it, from what [`command`] has made of the others.
pub fn load(name: &str, mut target: Vec<String>, load: &LoadOptions) -> Vec<String> {
    let LoadOptions { users, duration, rate, think_time, max_requests, holds, csv, i_own_this_server } = load;
    if let Some(run) = target.first_mut() {
        *run = name.to_owned();
    }
    let mut all = Arguments(target);
    let list = |values: Vec<String>| Some(values.join(",")).filter(|list| !list.is_empty());
    all.text("--users", list(users.iter().map(u32::to_string).collect()).as_deref());
    all.time("--duration", *duration);
    all.text("--rate", rate.map(|rate| rate.to_string()).as_deref());
    all.time("--think-time", *think_time);
    all.text("--max-requests", max_requests.map(|most| most.to_string()).as_deref());
    let held = holds.iter().map(|(users, interval)| format!("{users}/{}", written(*interval)));
    all.text("--holds", list(held.collect()).as_deref());
    all.path("--csv", csv.as_deref());
    all.switch("--i-own-this-server", *i_own_this_server);
    all.0
}

/// A time as people write it: whole seconds as such.
pub fn written(time: Duration) -> String {
    match time.subsec_nanos() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

/// How the server is reached. What stood in its URL as user and password is to be named by a variable.
fn connected(all: &mut Arguments, connection: &ConnectionOptions, url_has_login: bool) {
    let ConnectionOptions { cacert, cert, key, unix_socket, proxy, http2, bearer_env, bearer_file, basic_env } =
        connection;
    all.path("--cacert", cacert.as_deref());
    all.path("--cert", cert.as_deref());
    all.path("--key", key.as_deref());
    all.path("--unix-socket", unix_socket.as_deref());
    all.text("--proxy", proxy.as_deref().map(shown).as_deref());
    all.switch("--http2", *http2);
    all.text("--bearer-env", bearer_env.as_deref());
    all.path("--bearer-file", bearer_file.as_deref());
    all.text("--basic-env", basic_env.as_deref());
    let none = bearer_env.is_none() && bearer_file.is_none() && basic_env.is_none();
    all.text("--basic-env", (none && url_has_login).then_some("SERVER_LOGIN"));
}

/// `watch` with its own options behind those that say what is examined. `pages` are the metrics pages that were named.
pub fn watch(options: &Watch, pages: &[Url]) -> Vec<String> {
    let mut all = Arguments(command(&options.target, options.selection.checks.as_deref()));
    all.0.iter_mut().take(1).for_each(|name| *name = "watch".into());
    pages.iter().for_each(|page| all.text("--metrics", Some(without_credentials(page).as_str())));
    all.time("--interval", Some(options.interval));
    all.text("--count", options.count.map(|count| count.to_string()).as_deref());
    all.switch("--tui", options.tui);
    all.path("--csv", options.csv.as_deref());
    all.path("--jsonl", options.jsonl.as_deref());
    all.0
}

/// `triage` of these files.
pub fn triage(options: &Triage) -> Vec<String> {
    let mut all = Arguments(vec!["triage".into()]);
    if let Some(minutes) = options.utc_offset {
        let (sign, minutes) = (if minutes < 0 { '-' } else { '+' }, minutes.abs());
        all.0.push(format!("--utc-offset={sign}{:02}:{:02}", minutes / 60, minutes % 60));
    }
    all.path("--checks", options.selection.checks.as_deref());
    all.0.extend(options.files.iter().map(|file| file.display().to_string()));
    all.0
}

/// A URL without what may be secret in it; `env`, which is none, as it is.
fn shown(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) => without_credentials(&url).to_string(),
        Err(_) if text == "env" => text.to_owned(),
        // Nothing runs with such an address.
        Err(_) => "URL".into(),
    }
}

fn has_login(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::{CommandFactory, Parser};

    fn told(arguments: &[&str]) -> Vec<String> {
        let words = ["gpu-doctor", "run"].iter().chain(arguments).copied();
        let Command::Run(run) = Cli::try_parse_from(words).unwrap().command else { panic!("no run") };
        command(&run.target, run.selection.checks.as_deref())
    }

    #[test]
    fn what_was_run_is_told_and_can_be_run_again() {
        let asked = [
            "run",
            "--config",
            "a b.yaml",
            "--server",
            "http://127.0.0.1:8000/",
            "--field",
            "lang=hi",
            "--bearer-env",
            "SERVER_TOKEN",
            "--log",
            "one.log",
            "--log",
            "two.log",
            "--smoke",
            "--timeout",
            "90s",
        ];
        let again = told(&asked[1..]);
        assert_eq!(again, asked);
        assert_eq!(told(&again[1..].iter().map(String::as_str).collect::<Vec<_>>()), asked);
    }

    #[test]
    fn a_load_is_told_and_can_be_made_again() {
        let asked = [
            "stress",
            "--server",
            "http://127.0.0.1:8000/",
            "--users",
            "10,25",
            "--duration",
            "1500ms",
            "--think-time",
            "2s",
            "--max-requests",
            "900",
            "--holds",
            "100/2s,5/500ms",
            "--csv",
            "steps.csv",
            "--i-own-this-server",
        ];
        let words = ["gpu-doctor"].iter().chain(&asked).copied();
        let Command::Stress(stress) = Cli::try_parse_from(words).unwrap().command else { panic!("no stress") };
        assert_eq!(load("stress", command(&stress.target, None), &stress.load), asked);
    }

    #[test]
    fn a_watch_is_told_as_it_was_typed() {
        let words = ["gpu-doctor", "watch", "--server", "http://127.0.0.1:8000/", "--interval", "1s", "--count", "9"];
        let more = ["--tui", "--csv", "a b.csv"];
        let typed: Vec<&str> = words.into_iter().chain(more).collect();
        let Command::Watch(options) = Cli::try_parse_from(&typed).unwrap().command else { panic!("no watch") };
        assert_eq!(watch(&options, &[]), typed[1..]);
        let page = Url::parse("http://me:S3CRET@127.0.0.1:8002/metrics").unwrap();
        let told = watch(&options, &[page]).join(" ");
        assert!(told.contains("--metrics http://127.0.0.1:8002/metrics") && !told.contains("S3CRET"), "{told}");
    }

    #[test]
    fn no_secret_is_told() {
        let arguments = [
            "--server",
            "http://somebody:S3CRET@127.0.0.1:8000/v1?token=S3CRET",
            "--field",
            "api_key=S3CRET",
            "--proxy",
            "http://u:S3CRET@proxy:3128",
        ];
        let told = told(&arguments).join(" ");
        assert!(!told.contains("S3CRET") && !told.contains("somebody"), "{told}");
        assert!(told.contains("--field api_key=VALUE") && told.ends_with("--basic-env SERVER_LOGIN"), "{told}");
    }

    /// What only says how to print, or which checks to use, is not what was examined.
    #[test]
    fn every_option_of_run_is_repeated_or_left_out_on_purpose() {
        let source = include_str!("given.rs").split("#[cfg(test)]").next().unwrap();
        // Nor is what was waited for, once it was.
        let left_out = [
            "only",
            "skip",
            "format",
            "output",
            "fail-on",
            "waivers",
            "save",
            "verbose",
            "quiet",
            "ascii",
            "include-identifiers",
            "wait",
            "help",
        ];
        let cli = Cli::command();
        let run = cli.find_subcommand("run").unwrap();
        for flag in run.get_arguments().filter_map(|argument| argument.get_long()) {
            let repeated = source.contains(&format!("\"--{flag}\","));
            assert_ne!(repeated, left_out.contains(&flag), "--{flag}");
        }
    }
}
