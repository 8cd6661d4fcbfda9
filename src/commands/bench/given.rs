//! What was benchmarked, as arguments to be typed again.

use super::name;
use crate::cli::BenchOptions;
use crate::commands::given::written;
use std::time::Duration;

/// Puts `bench` with its options in the place of `run`.
pub fn repeat(options: &BenchOptions, command: &mut Vec<String>) {
    let rest = command.get(1..).unwrap_or_default().to_vec();
    *command = std::iter::once("bench".to_owned()).chain(arguments(options)).chain(rest).collect();
}

fn arguments(options: &BenchOptions) -> Vec<String> {
    // Taken apart in full, so that no option is forgotten here.
    let BenchOptions {
        duration,
        count,
        wait,
        warm_up,
        answer_timeout,
        server_time,
        server_time_header,
        csv,
        requests_csv,
        gpu,
        baseline,
        baselines,
        against,
        i_own_this_server,
    } = options;
    let mut all = Vec::new();
    let mut put = |flag: &str, value: Option<String>| {
        all.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
    };
    put("--duration", duration.map(written));
    put("--count", count.map(|count| count.to_string()));
    put("--wait", wait.map(written));
    put("--warm-up", warm_up.map(|count| count.to_string()));
    put("--answer-timeout", Some(*answer_timeout).filter(|time| *time != Duration::from_secs(120)).map(written));
    put("--server-time", server_time.clone());
    put("--server-time-header", server_time_header.clone());
    put("--csv", name(csv));
    put("--requests-csv", name(requests_csv));
    put("--gpu", gpu.clone());
    put("--baseline", baseline.clone().filter(|model| !model.is_empty()));
    put("--baselines", name(baselines));
    put("--against", name(against));
    let mut switch = |flag: &str, given: bool| all.extend(given.then(|| flag.to_owned()));
    switch("--baseline", baseline.as_ref().is_some_and(String::is_empty));
    switch("--i-own-this-server", *i_own_this_server);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn again(arguments: &[&str]) -> Vec<String> {
        let Command::Bench(bench) =
            Cli::try_parse_from(["gpu-doctor", "bench"].iter().chain(arguments)).unwrap().command
        else {
            panic!("no bench")
        };
        let mut command = vec!["run".to_owned(), "--server".into(), "http://127.0.0.1:8000/".into()];
        repeat(&bench.bench, &mut command);
        command
    }

    #[test]
    fn what_was_typed_can_be_typed_again() {
        let typed = [
            "--duration",
            "120s",
            "--count",
            "7",
            "--wait",
            "1s",
            "--warm-up",
            "0",
            "--answer-timeout",
            "5s",
            "--server-time",
            "a.b:s",
            "--csv",
            "a b.csv",
            "--requests-csv",
            "r.csv",
            "--gpu",
            "T4",
            "--baselines",
            "rows.yaml",
            "--against",
            "before.json",
            "--baseline",
            "--i-own-this-server",
        ];
        let told = again(&typed);
        assert_eq!(told[0], "bench");
        assert_eq!(&told[1..=typed.len()], typed);
        assert_eq!(&told[typed.len() + 1..], ["--server", "http://127.0.0.1:8000/"]);
        let named = again(&["--baseline", "Llama 3", "--server-time-header", "x-process-time"]);
        assert_eq!(&named[1..5], ["--server-time-header", "x-process-time", "--baseline", "Llama 3"]);
    }
}
