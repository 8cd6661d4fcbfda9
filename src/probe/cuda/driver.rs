//! The few functions of libcuda that are called directly, with plain integers for results.
//!
//! cudarc turns results into a Rust enumeration, for which a code from a newer driver is undefined behaviour.

use crate::probe::isolation::library::linker_text;
use crate::snapshot::{Unknown, Why};
use libloading::os::unix::Library;
use std::ffi::{CStr, c_char, c_int, c_uint};

/// libcuda, loaded.
pub struct Driver {
    library: Library,
}

impl Driver {
    pub fn new(library: Library) -> Self {
        Self { library }
    }

    /// `cuInit(0)`: the result code, or the missing function.
    pub fn init(&self) -> Result<c_int, Unknown> {
        // SAFETY: the signature of cuda.h.
        Ok(unsafe { self.function::<unsafe extern "C" fn(c_uint) -> c_int>("cuInit")?(0) })
    }

    /// `cuDriverGetVersion`, which works without a device: 12040 is 12.4.
    pub fn version(&self) -> Result<c_int, Unknown> {
        self.number("cuDriverGetVersion")
    }

    /// `cuDeviceGetCount`.
    pub fn device_count(&self) -> Result<c_int, Unknown> {
        self.number("cuDeviceGetCount")
    }

    /// CUDA's name of a result code, and the code.
    pub fn describe(&self, code: c_int) -> String {
        let name = self.function::<unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int>("cuGetErrorName");
        let mut text = std::ptr::null();
        // SAFETY: the signature of cuda.h; the text is static in the library.
        let name = name.ok().and_then(|name| unsafe {
            (name(code, &mut text) == 0 && !text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        });
        match name {
            Some(name) => format!("{name} ({code})"),
            None => format!("CUDA result {code}, which this libcuda has no name for"),
        }
    }

    /// Where `cuInit` of this library lies.
    pub fn address(&self) -> Result<usize, Unknown> {
        self.function::<unsafe extern "C" fn(c_uint) -> c_int>("cuInit").map(|function| function as usize)
    }

    fn number(&self, name: &str) -> Result<c_int, Unknown> {
        let function = self.function::<unsafe extern "C" fn(*mut c_int) -> c_int>(name)?;
        let mut value = -1;
        // SAFETY: the signature of cuda.h.
        match unsafe { function(&mut value) } {
            0 => Ok(value),
            code => Err(Unknown::new(why(code), format!("{name}: {}", self.describe(code)))),
        }
    }

    /// A function of the library; the caller names the type that cuda.h declares.
    pub fn function<T: Copy>(&self, name: &str) -> Result<T, Unknown> {
        // SAFETY: every caller names the type that cuda.h declares.
        match unsafe { self.library.get::<T>(name.as_bytes()) } {
            Ok(function) => Ok(*function),
            Err(error) => Err(Unknown::new(Why::Unsupported, format!("{name}: {}", linker_text(&error)))),
        }
    }
}

/// The kind of obstacle that a result code stands for (cuda.h, CUresult).
pub fn why(code: c_int) -> Why {
    match code {
        100 | 101 => Why::Absent,
        800 => Why::Denied,
        909 => Why::TimedOut,
        _ => Why::Unsupported,
    }
}
