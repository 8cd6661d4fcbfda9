//! Job "smoke": one [`SmokeRun`](crate::snapshot::SmokeRun), reported fact by fact.

use super::context::{Address, Context, Fault, Kernel};
use super::kernel;
use crate::probe::cuda::LIBRARY;
use crate::probe::cuda::driver::Driver;
use crate::probe::isolation::{self, Reporter, library};
use crate::probe::nvml::sampler::monotonic_ms;
use crate::snapshot::{Fact, Unknown, Why};
use serde_json::{Value, json};
use std::io::Read;
use std::time::{Duration, Instant};

/// Longest repetition that is believed, milliseconds.
const BUSY_MOST_MS: f64 = 5000.0;
/// Longest order, bytes.
const ORDER_CAP: u64 = 256;

/// Runs the kernel on the device that `argument.ordinal` names. With `argument.waits` it begins when standard input ends;
/// what stands there before is for how many milliseconds the kernel is repeated once its result was verified.
///
/// Beside the facts it reports `{"busy_until_ms":..}`, on the monotonic clock.
pub fn job(argument: &Value, reporter: &mut Reporter) -> Value {
    let busy = if argument["waits"] == true { order() } else { Duration::ZERO };
    let began = Instant::now();
    let outcome = run(argument, began, busy, reporter);
    if let Err(fault) = &outcome {
        tell(Err(fault), began, reporter);
    }
    isolation::account(outcome.as_ref().err().map(Fault::unknown).as_ref())
}

/// Waits for the parent's word.
fn order() -> Duration {
    let mut text = String::new();
    let _ = std::io::stdin().take(ORDER_CAP).read_to_string(&mut text);
    let ms: f64 = text.trim().parse().unwrap_or(0.0);
    Duration::from_secs_f64(if ms.is_finite() { ms.clamp(0.0, BUSY_MOST_MS) / 1e3 } else { 0.0 })
}

/// Reports how the kernel's first run went.
fn tell(outcome: Result<(), &Fault>, began: Instant, reporter: &mut Reporter) {
    let (code, error) = match outcome {
        Ok(()) => (Fact::Known(0), Fact::Known(String::new())),
        Err(Fault::Code(code, words)) => (Fact::Known(*code), Fact::Known(words.clone())),
        Err(Fault::Missing(unknown)) => (Fact::Unknown(unknown.clone()), Fact::Unknown(unknown.clone())),
    };
    reporter.fact("/code", &code);
    reporter.fact("/error", &error);
    let total_ms = outcome.map(|()| began.elapsed().as_secs_f64() * 1e3).map_err(Fault::unknown);
    reporter.fact("/total_ms", &Fact::from(total_ms));
}

fn run(argument: &Value, began: Instant, busy: Duration, reporter: &mut Reporter) -> Result<(), Fault> {
    let ordinal = argument.get("ordinal").and_then(Value::as_i64).and_then(|ordinal| i32::try_from(ordinal).ok());
    let ordinal = ordinal
        .ok_or_else(|| Fault::Missing(Unknown::new(Why::Malformed, format!("ordinal: {argument} names none"))))?;
    reporter.stage(&format!("loading {LIBRARY}"));
    let (library, _) = library::load(LIBRARY, "cuInit").map_err(|failure| Fault::Missing(failure.unknown(LIBRARY)))?;
    let driver = Driver::new(library);
    reporter.stage("cuInit");
    match driver.init().map_err(Fault::Missing)? {
        0 => {}
        code => return Err(Fault::Code(code.into(), format!("cuInit: {}", driver.describe(code)))),
    }
    let context = Context::of(&driver, ordinal, reporter)?;
    let a: Vec<f32> = (0..kernel::COUNT).map(|i| i as f32).collect();
    let b: Vec<f32> = (0..kernel::COUNT).map(|i| 2.0 * i as f32).collect();
    let mut sum = vec![f32::NAN; a.len()];
    let bytes = size_of_val(a.as_slice());
    let vectors: [Address; 3] =
        [context.allocate(bytes, reporter)?, context.allocate(bytes, reporter)?, context.allocate(bytes, reporter)?];
    context.copy_in(vectors[0], &a, reporter)?;
    context.copy_in(vectors[1], &b, reporter)?;
    // What stood in the memory before must not pass for a result.
    context.copy_in(vectors[2], &sum, reporter)?;
    let kernel = context.compile(reporter)?;
    let kernel_ms = kernel.run(vectors, kernel::COUNT, reporter)?;
    reporter.fact("/kernel_ms", &Fact::Known(kernel_ms));
    context.copy_out(&mut sum, vectors[2], reporter)?;
    // Whole numbers below 2^24 add up exactly.
    let verified = sum.iter().zip(a.iter().zip(&b)).all(|(sum, (a, b))| *sum == a + b);
    reporter.fact("/verified", &Fact::Known(verified));
    tell(Ok(()), began, reporter);
    if verified && busy > Duration::ZERO {
        repeat(&kernel, vectors, busy, reporter);
    }
    Ok(())
}

/// Keeps the device busy. A fault is one of the control, no longer of the kernel, which is verified.
fn repeat(kernel: &Kernel<'_>, vectors: [Address; 3], busy: Duration, reporter: &mut Reporter) {
    let busy_ms = kernel.repeat(vectors, kernel::COUNT, busy, reporter).map_err(|fault| fault.unknown());
    reporter.part(json!({ "busy_until_ms": monotonic_ms() }));
    reporter.fact("/busy_ms", &Fact::from(busy_ms));
}
