//! The steps of a load as CSV: a row each, every figure with its unit in its name. What is not known is empty.

use super::{Step, StepGpu, Times, failures};

type Cell = fn(&Step) -> Option<String>;

const COLUMNS: &[(&str, Cell)] = &[
    ("users", |step| Some(step.users.to_string())),
    ("rate_rps", |step| step.rate.map(number)),
    ("seconds", |step| Some(number(step.seconds))),
    ("requests", |step| Some(step.requests.to_string())),
    ("ok", |step| Some(step.ok.to_string())),
    ("failed", |step| Some(step.failed.to_string())),
    ("dropped", |step| Some(step.dropped.to_string())),
    ("unfinished", |step| Some(step.unfinished.to_string())),
    ("success_percent", |step| step.success_percent.map(number)),
    ("throughput_rps", |step| Some(number(step.throughput_rps))),
    ("latency_min_ms", |step| latency(step, |times| times.min)),
    ("latency_mean_ms", |step| latency(step, |times| times.mean)),
    ("latency_median_ms", |step| latency(step, |times| times.median)),
    ("latency_std_dev_ms", |step| step.latency_ms.as_ref()?.std_dev.map(number)),
    ("latency_p90_ms", |step| latency(step, |times| times.p90)),
    ("latency_p95_ms", |step| latency(step, |times| times.p95)),
    ("latency_p99_ms", |step| latency(step, |times| times.p99)),
    ("latency_p99_9_ms", |step| latency(step, |times| times.p999)),
    ("latency_max_ms", |step| latency(step, |times| times.max)),
    ("first_byte_median_ms", |step| step.first_byte_ms.as_ref().map(|times| number(times.median))),
    ("server_mean_ms", |step| step.server_ms.as_ref().map(|times| number(times.mean))),
    ("server_median_ms", |step| step.server_ms.as_ref().map(|times| number(times.median))),
    ("queue_mean_ms", |step| step.queue_ms.map(number)),
    ("inference_mean_ms", |step| step.inference_ms.map(number)),
    ("batch_size_mean", |step| step.batch_size.map(number)),
    ("in_flight_mean", |step| Some(number(step.in_flight_mean))),
    ("gpu_index", |step| step.busiest_gpu().map(|gpu| gpu.index.to_string())),
    ("gpu_utilization_mean_percent", |step| gpu(step, |gpu| gpu.utilization_percent)),
    ("gpu_utilization_max_percent", |step| gpu(step, |gpu| gpu.utilization_percent_max)),
    ("gpu_memory_max_bytes", |step| gpu(step, |gpu| gpu.memory_used_bytes)),
    ("gpu_power_mean_watts", |step| gpu(step, |gpu| gpu.power_watts)),
    ("gpu_temperature_max_celsius", |step| gpu(step, |gpu| gpu.temperature_celsius)),
    ("server_cpu_cores", |step| step.server_cores.map(number)),
    ("own_cpu_cores", |step| step.own_cores.map(number)),
    ("failures", |step| Some(failures(step))),
    ("verdict", |step| Some(step.verdict.clone())),
    ("because", |step| Some(step.because.join("; "))),
];

/// The line of names.
pub fn header() -> String {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    names.join(",") + "\n"
}

/// The line of a step.
pub fn row(step: &Step) -> String {
    let cells: Vec<String> = COLUMNS.iter().map(|(_, cell)| quoted(&cell(step).unwrap_or_default())).collect();
    cells.join(",") + "\n"
}

fn number(value: f64) -> String {
    format!("{}", (value * 1e3).round() / 1e3)
}

fn latency(step: &Step, of: fn(&Times) -> f64) -> Option<String> {
    step.latency_ms.as_ref().map(|times| number(of(times)))
}

fn gpu(step: &Step, of: fn(&StepGpu) -> Option<f64>) -> Option<String> {
    step.busiest_gpu().and_then(of).map(number)
}

/// A value as RFC 4180 has it.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::load::table::tests::step;

    #[test]
    fn every_row_has_a_value_for_each_name_and_what_is_unknown_is_empty() {
        let mut one = step();
        one.because = vec!["a \"b\", c".into()];
        let (names, values) = (header(), row(&one));
        assert!(values.ends_with("\"5 answered 503, 2 reset, 3 answered 2xx with an error inside, 2 not answered in time\",overloaded,\"a \"\"b\"\", c\"\n"), "{values}");
        let plain = values.split('"').next().unwrap();
        let cells: Vec<&str> = plain.trim_end_matches(',').split(',').collect();
        let at = |name: &str| cells[names.split(',').position(|one| one == name).unwrap()];
        assert_eq!((at("users"), at("requests"), at("rate_rps"), at("throughput_rps")), ("50", "1200", "", "119"));
        assert_eq!(
            (at("latency_p99_ms"), at("gpu_utilization_mean_percent"), at("server_cpu_cores")),
            ("", "", "0.96")
        );
    }
}
