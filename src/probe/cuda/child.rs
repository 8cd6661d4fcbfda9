//! Job "cuda": [`CudaFacts`](crate::snapshot::CudaFacts), reported one by one.

use super::driver::{Driver, why};
use super::{LIBRARY, MOST_DEVICES, devices};
use crate::probe::isolation::{self, Reporter, library};
use crate::snapshot::{Fact, Unknown};
use serde_json::{Value, json};

/// Starts CUDA and reads its devices.
pub fn job(_argument: &Value, reporter: &mut Reporter) -> Value {
    let unreported = read(reporter).err();
    isolation::account(unreported.as_ref())
}

/// `Err` is why the facts that were not reported cannot be known.
fn read(reporter: &mut Reporter) -> Result<(), Unknown> {
    reporter.stage(&format!("loading {LIBRARY}"));
    let (library, path) = library::load(LIBRARY, "cuInit").map_err(|failure| {
        reporter.fact("/status", &Fact::Known(failure.status));
        reporter.fact("/library", &failure.path);
        reporter.fact("/init_error", &Fact::Known(&failure.error));
        failure.unknown(LIBRARY)
    })?;
    reporter.fact("/library", &path);
    let driver = Driver::new(library);
    reporter.stage("cuDriverGetVersion");
    let version = driver.version().map(|version| format!("{}.{}", version / 1000, version % 1000 / 10));
    reporter.fact("/driver_cuda_version", &version.into());
    reporter.stage("cuInit");
    let code = driver.init()?;
    let status = if code == 0 { "ok" } else { "init_failed" };
    let error = if code == 0 { String::new() } else { driver.describe(code) };
    reporter.fact("/status", &Fact::Known(status));
    reporter.fact("/init_code", &Fact::Known(code));
    reporter.fact("/init_error", &Fact::Known(&error));
    if code != 0 {
        return Err(Unknown::new(why(code), format!("cuInit: {error}")));
    }
    reporter.stage("cuDeviceGetCount");
    let count = driver.device_count()?;
    let count = u64::try_from(count)
        .map_err(|_| Unknown::new(crate::snapshot::Why::Malformed, format!("cuDeviceGetCount: answered {count}")))?;
    reporter.fact("/device_count", &Fact::Known(count));
    let count = count.min(MOST_DEVICES);
    reporter.part(json!({ "device_count": count }));
    devices::read(&driver, count, path.known().map(String::as_str), reporter)
}
