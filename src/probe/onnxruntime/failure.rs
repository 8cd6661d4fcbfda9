//! Why CUDA did not register, from onnxruntime's words: the kind of failure, and what to do.
//!
//! The list of available providers is never asked: it names what was compiled in, whether it works or not.

use crate::snapshot::{CudaFailure, Fact, MissingLibrary, Why};
use regex::Regex;
use std::sync::LazyLock;

/// Name of the provider library, beside onnxruntime's own.
pub const CUDA_LIBRARY: &str = "libonnxruntime_providers_cuda.so";
/// What it needs beside it.
const SHARED_LIBRARY: &str = "libonnxruntime_providers_shared.so";
/// Longest text that is kept, bytes.
const TEXT_LIMIT_BYTES: usize = 400;

/// cuda_call.cc: `CUDA failure 35: words ; GPU=-1 ; hostname=.. ; file=.. ; line=282 ; expr=cudaSetDevice(..);`. Of cuBLAS
/// and cuDNN some versions give a name in place of the number.
static FAILURE: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?s)\b(CUDA|CUBLAS|CUDNN|CUFFT|CURAND) failure (\w+): ?(.*?)(?: ; GPU=|$)(?:.*?; ?expr=(.*?);? *(?:\n|$))?")
});
/// dlerror(3) of glibc, as onnxruntime repeats it.
static NOT_OPENED: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"Failed to load library \S*?(?:[^/\s]*\.so\S*) with error: (?P<file>[^:\s]+): (?P<what>[^\n]+)")
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

/// What is known beside onnxruntime's words.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// Libraries that the dynamic linker would not find, as far as that is known.
    pub missing: &'a [MissingLibrary],
    /// Names of files of other major versions of CUDA's libraries that are there.
    pub other_majors: &'a [String],
    /// Kind of the libcuda.so.1 that the dynamic linker takes: `driver`, `stub`, `none`, ...; empty if not known.
    pub cuda_driver: &'a str,
}

/// The failure behind onnxruntime's words; `""` means that CUDA registered.
pub fn of(error: &str, around: Around<'_>) -> CudaFailure {
    if error.is_empty() {
        return failure("none", Fact::unknown(Why::Absent, "CUDA registers"), "", "", "");
    }
    let no_code = || Fact::unknown(Why::Absent, "onnxruntime names no code");
    // Of the C API, and of Python, which lists what was compiled in.
    if error.contains("is not enabled in this build") || error.contains("is not in available provider names") {
        return failure("cpu_build", no_code(), "", "", error);
    }
    if let Some(found) = FAILURE.captures(error) {
        let text = |at| found.get(at).map_or("", |part| part.as_str().trim());
        let code = text(2).parse::<u64>().ok();
        let kind = match text(1) {
            "CUDA" => by_code(code, around),
            "CUBLAS" if text(2).contains("ALLOC_FAILED") || code == Some(3) => "out_of_memory",
            "CUBLAS" => "cublas",
            "CUDNN" if text(2).contains("ALLOC_FAILED") => "out_of_memory",
            "CUDNN" => "cudnn",
            "CUFFT" => "cufft",
            _ => "curand",
        };
        let says = if code.is_some() { text(3).to_string() } else { format!("{} {}", text(2), text(3)) };
        return failure(kind, code.map_or_else(no_code, Fact::Known), text(1), text(4), &says);
    }
    if let Some(found) = NOT_OPENED.captures(error) {
        let file = found["file"].rsplit('/').next().unwrap_or_default().to_string();
        let what = found["what"].trim();
        let says = format!("{}: {what}", &found["file"]);
        return failure(not_opened(&file, what, around), no_code(), &file, "dlopen", &says);
    }
    let lower = error.to_ascii_lowercase();
    if lower.contains("cudnn is unavailable") || lower.contains("cudnn is not available") {
        return failure("cudnn_missing", no_code(), "libcudnn.so", "", error);
    }
    if lower.contains("failed to allocate memory") || lower.contains("smaller than requested bytes") {
        return failure("out_of_memory", no_code(), "CUDA", "", error);
    }
    failure("other", no_code(), "", "", error)
}

/// The failure of a library that died while it was loaded: releases 1.19 to 1.22 of onnxruntime-gpu do where
/// libcuda.so.1 is not.
pub fn crash(says: &str) -> CudaFailure {
    let code = Fact::unknown(Why::Absent, "a crash has no code");
    failure("crash_at_load", code, CUDA_LIBRARY, "dlopen", says)
}

fn not_opened(file: &str, what: &str, around: Around<'_>) -> &'static str {
    let missing = what.contains("cannot open shared object file");
    match file {
        _ if what.contains("undefined symbol") || what.contains("not found (required by") => "symbol_missing",
        _ if !missing => "library_invalid",
        CUDA_LIBRARY => "provider_missing",
        SHARED_LIBRARY => "providers_shared_missing",
        _ if file.starts_with("libcuda.so") => "no_driver",
        _ if has_other_major(file, around.other_majors) => "wrong_major",
        _ if file.starts_with("libcudnn") => "cudnn_missing",
        _ => "library_missing",
    }
}

/// Whether a file of the same library and another major version is among the names.
fn has_other_major(soname: &str, files: &[String]) -> bool {
    let parts = |name: &str| {
        let (stem, version) = name.split_once(".so.")?;
        Some((stem.to_string(), version.split('.').next()?.to_string()))
    };
    let Some((stem, major)) = parts(soname) else { return false };
    files.iter().filter_map(|file| parts(file)).any(|(other, theirs)| other == stem && theirs != major)
}

/// The kind of a code of cudaError (driver_types.h).
fn by_code(code: Option<u64>, around: Around<'_>) -> &'static str {
    match code {
        Some(2) => "out_of_memory",
        Some(34) => "stub_driver",
        // CUDA's runtime says so too where there is no driver at all, or the toolkit's stub in its place.
        Some(35) if around.cuda_driver == "none" => "no_driver",
        Some(35) if around.cuda_driver == "stub" => "stub_driver",
        Some(35) if around.missing.iter().any(|library| library.soname == "libcuda.so.1") => "no_driver",
        Some(35) => "driver_too_old",
        Some(46) => "busy",
        Some(100) => "no_device",
        Some(101) => "invalid_device",
        Some(209) => "no_kernel_image",
        Some(222) => "ptx_too_new",
        Some(304) => "operating_system",
        Some(800) => "insufficient_permission",
        Some(802) => "not_ready",
        Some(803) => "driver_mismatch",
        Some(804) => "compat",
        Some(999) => "unknown_error",
        _ => "cuda_error",
    }
}

fn failure(kind: &str, code: Fact<u64>, library: &str, call: &str, says: &str) -> CudaFailure {
    let short = |text: &str| text[..text.floor_char_boundary(TEXT_LIMIT_BYTES)].trim().to_string();
    let fix = fix(kind, library);
    CudaFailure { kind: kind.into(), code, library: short(library), call: short(call), says: short(says), fix }
}

/// What to do about a kind of failure.
fn fix(kind: &str, library: &str) -> String {
    let words = match kind {
        "none" => "",
        "cpu_build" => {
            "Install onnxruntime-gpu in place of onnxruntime; both share one folder, so remove the CPU package first."
        }
        "provider_missing" => {
            "Install onnxruntime-gpu anew: the library was built for CUDA, and its CUDA provider is not beside it."
        }
        "providers_shared_missing" => {
            "Install onnxruntime anew: libonnxruntime_providers_shared.so belongs beside libonnxruntime.so."
        }
        "library_missing" => return format!("Install the package that brings {library}, and have it found."),
        "wrong_major" => {
            return format!(
                "{library} is of another major version than the one that is installed: install the libraries of the \
                 version that this onnxruntime was built for, or an onnxruntime built for the installed ones."
            );
        }
        "library_invalid" => {
            return format!("{library} was found and cannot be loaded: install the package that brings it anew.");
        }
        "symbol_missing" => {
            return format!(
                "{library} is there and does not fit the libraries beside it: install those of one version, and take other \
                 copies out of LD_LIBRARY_PATH."
            );
        }
        "cudnn_missing" => "Install cuDNN 9 (nvidia-cudnn-cu12, or -cu13 for CUDA 13), and have it found.",
        "no_driver" => {
            "There is no driver here: install it, or give the container the GPU (docker run --gpus all, or a GPU limit of the \
             pod)."
        }
        "crash_at_load" => {
            "The CUDA provider crashes while it is loaded, as releases from 1.19 to 1.22 do without libcuda.so.1: see that the \
             driver's library is there, then try a later release of onnxruntime-gpu."
        }
        "driver_too_old" => {
            "Upgrade the driver (CUDA 12 wants 525 or newer, CUDA 13 wants 580 or newer), or install an onnxruntime-gpu that \
             was built for the driver's CUDA."
        }
        "stub_driver" => {
            "Take the toolkit's folder \"stubs\" out of LD_LIBRARY_PATH: its libcuda.so.1 is for linking only."
        }
        "no_device" => {
            "The driver shows no device to this process: see CUDA_VISIBLE_DEVICES, the container's devices, and MIG without \
             instances (nvidia-smi -L)."
        }
        "invalid_device" => {
            "device_id names a GPU that this process does not see: count from 0 among the visible ones."
        }
        "busy" => "The GPU lets nobody else in: see its compute mode and who holds it (nvidia-smi -q -d COMPUTE).",
        "out_of_memory" => "Free GPU memory: see who holds it (nvidia-smi), or give this process a GPU of its own.",
        "no_kernel_image" => {
            "This build of onnxruntime holds no code for this GPU: install a release that supports its compute capability."
        }
        "ptx_too_new" => "The driver is older than the code in this build: upgrade the driver.",
        "operating_system" | "unknown_error" => {
            "A call to the kernel driver failed, as after a suspend: load nvidia_uvm anew, and see what the kernel says \
             (dmesg | grep NVRM)."
        }
        "insufficient_permission" => "CUDA does not permit it to this process: see the devices' permissions and MPS.",
        "not_ready" => {
            "The GPU waits for the fabric manager or for confidential computing: start the one, set the other ready."
        }
        "driver_mismatch" => {
            "libcuda and the kernel's driver are of different versions: reboot, or remove the foreign libcuda."
        }
        "compat" => {
            "Take CUDA's folder \"compat\" out of LD_LIBRARY_PATH: this GPU does not support forward compatibility."
        }
        "cublas" => {
            "cuBLAS does not start: see that its version is that of the CUDA in use, and that GPU memory is free."
        }
        "cudnn" => "cuDNN does not start: see that all its libraries are of one version, and that GPU memory is free.",
        _ => "See onnxruntime's own words, and whether CUDA itself works (gpu-doctor run --only driver,cuda).",
    };
    words.to_string()
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
