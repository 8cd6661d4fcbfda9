//! Job "smoke": one [`SmokeRun`](crate::snapshot::SmokeRun), reported fact by fact.

use super::context::{Address, Context, Fault};
use super::kernel;
use crate::probe::cuda::LIBRARY;
use crate::probe::cuda::driver::Driver;
use crate::probe::isolation::{self, Reporter, library};
use crate::snapshot::{Fact, Unknown, Why};
use serde_json::Value;
use std::time::Instant;

/// Runs the kernel on the device that `argument.ordinal` names.
pub fn job(argument: &Value, reporter: &mut Reporter) -> Value {
    let began = Instant::now();
    let outcome = run(argument, reporter);
    let fault = outcome.as_ref().err();
    let (code, error) = match &outcome {
        Ok(()) => (Fact::Known(0), Fact::Known(String::new())),
        Err(Fault::Code(code, words)) => (Fact::Known(*code), Fact::Known(words.clone())),
        Err(Fault::Missing(unknown)) => (Fact::Unknown(unknown.clone()), Fact::Unknown(unknown.clone())),
    };
    reporter.fact("/code", &code);
    reporter.fact("/error", &error);
    let total_ms = fault.map_or_else(|| Ok(began.elapsed().as_secs_f64() * 1e3), |fault| Err(fault.unknown()));
    reporter.fact("/total_ms", &Fact::from(total_ms));
    isolation::account(fault.map(Fault::unknown).as_ref())
}

fn run(argument: &Value, reporter: &mut Reporter) -> Result<(), Fault> {
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
    let kernel_ms = context.run(vectors, kernel::COUNT, reporter)?;
    reporter.fact("/kernel_ms", &Fact::Known(kernel_ms));
    context.copy_out(&mut sum, vectors[2], reporter)?;
    // Whole numbers below 2^24 add up exactly.
    let verified = sum.iter().zip(a.iter().zip(&b)).all(|(sum, (a, b))| *sum == a + b);
    reporter.fact("/verified", &Fact::Known(verified));
    Ok(())
}
