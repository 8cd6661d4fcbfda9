//! Facts of a load as tests need them.

use crate::snapshot::{Fact, Facts, Gpu, GpuWindow, LoadStep, Phases, Series, Spread, Unknown, Why};

fn untold() -> Unknown {
    Unknown::new(Why::NotAsked, "the test does not tell")
}

/// Facts of which only these steps are known.
pub fn facts(steps: Vec<LoadStep>) -> Facts {
    let mut facts = Facts::all_unknown(&untold());
    facts.load.steps = Fact::Known(steps);
    facts.load.stopped_by = Fact::Known(String::new());
    facts
}

/// A distribution about a mean.
pub fn spread(count: u64, mean: f64, std_dev: f64) -> Spread {
    Spread {
        count,
        min: mean - std_dev,
        mean,
        std_dev: Fact::Known(std_dev),
        median: mean,
        p90: mean + std_dev,
        p95: mean + 1.5 * std_dev,
        p99: mean + 2.0 * std_dev,
        p999: mean + 3.0 * std_dev,
        max: mean + 4.0 * std_dev,
        mean_95_percent: Fact::Unknown(untold()),
        median_95_percent: Fact::Unknown(untold()),
        p90_95_percent: Fact::Unknown(untold()),
        p95_95_percent: Fact::Unknown(untold()),
        p99_95_percent: Fact::Known((mean + 1.9 * std_dev, mean + 2.1 * std_dev)),
        p999_95_percent: Fact::Unknown(untold()),
    }
}

/// Ten seconds of so many users whose requests take so long on average, all accepted.
pub fn step(users: u64, mean_ms: f64) -> LoadStep {
    let ok = (users as f64 * 1e4 / mean_ms).ceil().max(1.0) as u64;
    LoadStep {
        users,
        rate_rps: Fact::Unknown(untold()),
        window_ms: 1e4,
        requests: ok,
        ok,
        failed: 0,
        dropped: 0,
        unfinished: 0,
        by_status: [("200".to_owned(), ok)].into(),
        by_error: Default::default(),
        throughput_rps: users as f64 * 1e3 / mean_ms,
        latency_ms: Fact::Known(spread(ok, mean_ms, 0.1 * mean_ms)),
        first_byte_ms: Fact::Known(spread(ok, mean_ms * 0.99, 0.1 * mean_ms)),
        server_ms: Fact::Unknown(untold()),
        in_flight_mean: users as f64,
        gpus: Fact::Unknown(untold()),
        models: Fact::Unknown(untold()),
        server_cpu_ms: Fact::Unknown(untold()),
        own_cpu_ms: Fact::Known(500.0),
    }
}

/// The same counter before, during and after.
pub fn phases(before: f64, during: f64) -> Fact<Phases> {
    let series = |value| Series { samples: 20, min: value, mean: value, max: value };
    Fact::Known(Phases { before: series(before), during: series(during), after: series(before) })
}

/// A GPU that is so busy while requests run.
pub fn gpu(busy_percent: f64) -> GpuWindow {
    GpuWindow { utilization_percent: phases(0.0, busy_percent), ..GpuWindow::all_unknown(0, &untold()) }
}

/// A GPU with a name and 12 GiB.
pub fn named_gpu(name: &str) -> Gpu {
    Gpu { name: Fact::Known(name.into()), memory_total_bytes: Fact::Known(12 << 30), ..Gpu::all_unknown(0, &untold()) }
}
