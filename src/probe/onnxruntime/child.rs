//! The job that loads onnxruntime and has CUDA registered. It runs in a child; one library a process, since `ort` keeps the
//! first.

use super::error_text::cause;
use super::session::DRY_LIMIT_BYTES;
use crate::probe::isolation::Reporter;
use crate::snapshot::{Unknown, Why};
use ort::environment::Environment;
use ort::ep;
use ort::session::Session;
use serde_json::{Value, json};
use std::error::Error;
use std::ffi::{CStr, c_char};
use std::path::Path;
use std::sync::Arc;

/// Most execution providers that are listed.
const PROVIDER_LIMIT: i32 = 256;

/// Longest text about the build that is kept, bytes.
const BUILD_LIMIT_BYTES: usize = 1000;

/// An ONNX model (IR 8, operator set 13) of one node, `y = Relu(x)` on float32 of one element.
pub const ONE_NODE: &[u8] =
    b"\x08\x08\x3a5\x0a\x0c\x0a\x01x\x12\x01y\x22\x04Relu\x12\x03oneZ\x0f\x0a\x01x\x12\x0a\x0a\x08\
\x08\x01\x12\x04\x0a\x02\x08\x01b\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01B\x04\x0a\x00\x10\x0d";

/// Job `onnxruntime`, argument `{"library": path}`. Parts: `{"version"}`, `{"build"}`, `{"providers"}`, then
/// `{"cuda": {"registers", "error"}}`. The result is `{}`, or `{"obstacle": Unknown}` where a part could not be had.
pub fn onnxruntime(argument: &Value, reporter: &mut Reporter) -> Value {
    let Some(library) = argument["library"].as_str() else { return obstacle(no_library()) };
    match ask(Path::new(library), reporter) {
        Ok(()) => json!({}),
        Err(unknown) => obstacle(unknown),
    }
}

fn ask(library: &Path, reporter: &mut Reporter) -> Result<(), Unknown> {
    let version = version(library, reporter)?;
    reporter.part(json!({ "version": version }));
    let environment = environment(library, reporter, Arc::new(|_, _, _, _, _| {}))?;
    reporter.stage("GetBuildInfoString");
    if let Some(build) = build_info() {
        reporter.part(json!({ "build": build }));
    }
    reporter.stage("GetAvailableProviders");
    let providers = providers()?;
    reporter.part(json!({ "providers": providers }));
    let error = cuda_error(&environment, reporter).err().map(|error| cause(&error));
    reporter.part(json!({ "cuda": { "registers": error.is_none(), "error": error.unwrap_or_default() } }));
    Ok(())
}

/// The library's version, which also libraries that are too old for `ort` tell.
fn version(library: &Path, reporter: &mut Reporter) -> Result<String, Unknown> {
    reporter.stage(&format!("dlopen of {}", library.display()));
    // SAFETY: this runs foreign initializers; that is what the child process is for.
    let handle = unsafe { libloading::Library::new(library) }.map_err(|error| {
        let detail = format!("{} could not be loaded: {}", library.display(), causes(&error));
        Unknown::new(Why::Unsupported, detail)
    })?;
    reporter.stage("OrtGetApiBase");
    // SAFETY: the type is that of onnxruntime_c_api.h since 1.0.
    let base = unsafe { handle.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase\0") }
        .map_err(|_| {
            let detail = format!("{} is not onnxruntime: it has no symbol OrtGetApiBase", library.display());
            Unknown::new(Why::Malformed, detail)
        })?;
    // SAFETY: OrtGetApiBase returns a static table or null; GetVersionString a static text.
    let version = unsafe {
        let base = base();
        if base.is_null() {
            return Err(Unknown::new(Why::Malformed, format!("{}: OrtGetApiBase returned null", library.display())));
        }
        CStr::from_ptr(((*base).GetVersionString)()).to_string_lossy().into_owned()
    };
    // Never unloaded: onnxruntime starts threads and registers handlers.
    std::mem::forget(handle);
    Ok(version)
}

/// What hears onnxruntime's log.
pub type Logger = ort::logging::LoggerFunction;

/// Loads the library and makes its one environment.
///
/// # Errors
/// The innermost cause, in the words of the dynamic linker or of onnxruntime.
pub fn environment(library: &Path, reporter: &mut Reporter, logger: Logger) -> Result<Environment, Unknown> {
    reporter.stage("CreateEnv");
    let builder = ort::init_from(library).map_err(|error| {
        let why = match error {
            ort::LoadDynamicError::MissingApi { .. } => Why::Malformed,
            _ => Why::Unsupported,
        };
        let causes = match &error {
            ort::LoadDynamicError::Dlopen { error, .. } => causes(error),
            other => other.to_string(),
        };
        Unknown::new(why, causes)
    })?;
    let built = builder.with_name("gpu-doctor").with_telemetry(false).with_logger(logger).build();
    built.map_err(|error| Unknown::new(Why::Unsupported, format!("CreateEnv: {}", error.message())))
}

/// What the library says of its build: `ORT Build Info: git-branch=.., git-commit-id=.., build type=Release, cmake cxx flags: ..`.
fn build_info() -> Option<String> {
    // SAFETY: a static text of the library, in every one that `ort` accepts (since 1.15).
    let text = unsafe {
        let text = (ort::api().GetBuildInfoString)();
        if text.is_null() { return None } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    };
    let text = text.trim();
    Some(text[..text.floor_char_boundary(BUILD_LIMIT_BYTES)].to_string())
}

/// What `GetAvailableProviders` lists: what was compiled in, whether it works or not.
fn providers() -> Result<Vec<String>, Unknown> {
    let api = ort::api();
    let mut names: *mut *mut c_char = std::ptr::null_mut();
    let mut count = 0;
    // SAFETY: on success the library hands over `count` texts, which it frees on request.
    unsafe {
        ort::Error::result_from_status((api.GetAvailableProviders)(&mut names, &mut count))
            .map_err(|error| Unknown::new(Why::Unsupported, format!("GetAvailableProviders: {}", error.message())))?;
        let texts = (0..count.clamp(0, PROVIDER_LIMIT) as usize)
            .map(|index| CStr::from_ptr(*names.add(index)).to_string_lossy().into_owned())
            .collect();
        let _ = ort::Error::result_from_status((api.ReleaseAvailableProviders)(names, count));
        Ok(texts)
    }
}

/// Registers the CUDA provider, strictly, and creates a session of one node with it: some versions meet the driver
/// only then. The error is in onnxruntime's words.
fn cuda_error(environment: &Environment, reporter: &mut Reporter) -> Result<(), String> {
    let builder = Session::builder(environment).map_err(|error| error.message().to_string())?;
    reporter.stage("registration of the CUDA execution provider");
    let cuda = ep::CUDA::default().with_memory_limit(DRY_LIMIT_BYTES).build().error_on_failure();
    let mut builder = builder.with_execution_providers([cuda]).map_err(|error| error.message().to_string())?;
    reporter.stage("creation of a CUDA session");
    builder.commit_from_memory(ONE_NODE).map(drop).map_err(|error| error.message().to_string())
}

fn no_library() -> Unknown {
    Unknown::new(Why::Malformed, "the job's argument names no library")
}

/// A result that is an obstacle.
pub fn obstacle(unknown: Unknown) -> Value {
    json!({ "obstacle": unknown })
}

/// The innermost cause: the outer ones only say "dlopen failed".
fn causes(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
