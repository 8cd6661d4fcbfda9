//! Facts of each device, read through cudarc.

use super::driver::{Driver, why};
use crate::probe::isolation::Reporter;
use crate::snapshot::{Fact, Unknown, Why};
use cudarc::driver::DriverError;
use cudarc::driver::result::device;
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Reads every device. `Err` if cudarc would ask another library than the one that was initialized.
pub fn read(driver: &Driver, count: u64, library: Option<&str>, reporter: &mut Reporter) -> Result<(), Unknown> {
    if count == 0 {
        return Ok(());
    }
    reporter.stage("loading libcuda.so for cudarc");
    same_library(driver, library)?;
    // A missing function is a panic in cudarc. It becomes an unknown fact; its message would be noise.
    std::panic::set_hook(Box::new(|_| {}));
    for ordinal in 0..count {
        read_device(driver, ordinal, reporter);
    }
    let _ = std::panic::take_hook();
    Ok(())
}

/// cudarc looks for `libcuda.so` first, which can be a toolkit's stub that no server uses.
fn same_library(driver: &Driver, library: Option<&str>) -> Result<(), Unknown> {
    let ours = driver.address()?;
    // SAFETY: only addresses are taken; the library's constructors run in this child.
    let theirs =
        catch_unwind(|| unsafe { sys::culib().get::<unsafe extern "C" fn()>(b"cuInit").ok().map(|f| *f as usize) });
    match theirs {
        Ok(Some(theirs)) if theirs == ours => Ok(()),
        _ => Err(Unknown::new(
            Why::Unsupported,
            format!(
                "libcuda.so on the library path is not {}: its devices are not those of the server",
                library.unwrap_or("libcuda.so.1")
            ),
        )),
    }
}

fn read_device(driver: &Driver, ordinal: u64, reporter: &mut Reporter) {
    let mut fact = Reading { driver, ordinal, reporter };
    let handle = match fact.call("cuDeviceGet", || device::get(ordinal as i32)) {
        Ok(handle) => handle,
        Err(unknown) => return fact.all_unknown(&unknown),
    };
    fact.report("name", "cuDeviceGetName", || device::get_name(handle));
    fact.report("uuid", "cuDeviceGetUuid", || {
        device::get_uuid(handle).map(|uuid| written(&uuid.bytes.map(|byte| byte as u8)))
    });
    fact.report("compute_capability", "cuDeviceGetAttribute", || {
        // SAFETY: a handle that cuDeviceGet gave.
        let number = |attribute| unsafe { device::get_attribute(handle, attribute) };
        let major = number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        Ok(format!("{major}.{}", number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?))
    });
    // SAFETY: a handle that cuDeviceGet gave.
    fact.report("memory_total_bytes", "cuDeviceTotalMem_v2", || {
        unsafe { device::total_mem(handle) }.map(|it| it as u64)
    });
}

/// One device being read.
struct Reading<'a> {
    driver: &'a Driver,
    ordinal: u64,
    reporter: &'a mut Reporter,
}

impl Reading<'_> {
    fn call<T>(&mut self, call: &str, read: impl FnOnce() -> Result<T, DriverError>) -> Result<T, Unknown> {
        let place = format!("{call} of device {}", self.ordinal);
        self.reporter.stage(&place);
        match catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                // Only the number: a code that cudarc does not know has no name there, and printing it can crash.
                let code = error.0 as i32;
                Err(Unknown::new(why(code), format!("{place}: {}", self.driver.describe(code))))
            }
            Err(_) => Err(Unknown::new(Why::Unsupported, format!("{place}: this libcuda lacks the function"))),
        }
    }

    fn report<T: Serialize>(&mut self, field: &str, call: &str, read: impl FnOnce() -> Result<T, DriverError>) {
        let fact = Fact::from(self.call(call, read));
        self.reporter.fact(&format!("/devices/known/{}/{field}", self.ordinal), &fact);
    }

    fn all_unknown(&mut self, unknown: &Unknown) {
        for field in ["name", "uuid", "compute_capability", "memory_total_bytes"] {
            let fact: Fact<()> = Fact::Unknown(unknown.clone());
            self.reporter.fact(&format!("/devices/known/{}/{field}", self.ordinal), &fact);
        }
    }
}

/// A UUID as NVML writes it.
fn written(bytes: &[u8; 16]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let group = |range| digits.get(range).unwrap_or_default();
    format!("GPU-{}-{}-{}-{}-{}", group(0..8), group(8..12), group(12..16), group(16..20), group(20..32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_as_nvml_does() {
        let bytes = 0x5f3c2a10_8d4e_4b6a_9c01_7e2f1a0b3c4d_u128.to_be_bytes();
        assert_eq!(written(&bytes), "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d");
    }
}
