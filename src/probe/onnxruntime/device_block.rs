//! GPU memory for a dry session: one block, given out again and again.
//!
//! onnxruntime lets a program register an allocator of its own for a device, which sessions use that ask for those of their
//! environment (`RegisterAllocator` and `session.use_env_allocators`, onnxruntime_c_api.h). Parameters are then written
//! over one another, which does no harm as the model is never run, and a model of any size takes no more than its
//! largest tensor. What is measured is the placement, and the execution graph can be written out.

use super::maps;
use ort::AsPointer;
use ort::environment::Environment;
use ort::sys::{OrtAllocator, OrtAllocatorType, OrtMemType, OrtMemoryInfo};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// Most that a dry session may take altogether, bytes.
const LIMIT_BYTES: usize = 512 << 20;
/// What a block is rounded up to, bytes: the granularity of the driver.
const GRANULARITY_BYTES: usize = 2 << 20;

type CudaMalloc = unsafe extern "C" fn(*mut *mut c_void, usize) -> c_int;

/// The block that is given out, and what was taken for it and its predecessors.
struct Block {
    start: usize,
    bytes: usize,
    taken_bytes: usize,
    allocate: Option<CudaMalloc>,
}

static BLOCK: Mutex<Block> = Mutex::new(Block { start: 0, bytes: 0, taken_bytes: 0, allocate: None });

/// The device that the block lies on, in onnxruntime's words.
static DEVICE: AtomicPtr<OrtMemoryInfo> = AtomicPtr::new(std::ptr::null_mut());

/// Registers the block for the first CUDA device.
///
/// # Errors
/// onnxruntime's words, where it does not take it.
pub fn register(environment: &Environment) -> Result<(), String> {
    let api = ort::api();
    let told = |error: ort::Error| error.message().to_string();
    let mut device = std::ptr::null_mut();
    // SAFETY: a constant name, and a place for the pointer that is returned.
    let status = unsafe {
        (api.CreateMemoryInfo)(
            c"Cuda".as_ptr(),
            OrtAllocatorType::OrtDeviceAllocator,
            0,
            OrtMemType::OrtMemTypeDefault,
            &mut device,
        )
    };
    // SAFETY: the status is this call's own, and used once.
    unsafe { ort::Error::result_from_status(status) }.map_err(told)?;
    DEVICE.store(device, Ordering::Release);
    let allocator = OrtAllocator {
        version: ort::sys::ORT_API_VERSION,
        Alloc: Some(allocate),
        Free: Some(free),
        Info: Some(info),
        Reserve: Some(reserve),
    };
    // Left to the process's end, as sessions are.
    let allocator = Box::leak(Box::new(allocator));
    // SAFETY: the environment and the allocator live as long as the process.
    unsafe {
        ort::Error::result_from_status((api.RegisterAllocator)(environment.ptr().cast_mut(), allocator)).map_err(told)
    }
}

unsafe extern "system" fn allocate(_: *mut OrtAllocator, bytes: usize) -> *mut c_void {
    given(bytes)
}

unsafe extern "system" fn reserve(_: *const OrtAllocator, bytes: usize) -> *mut c_void {
    given(bytes)
}

/// Nothing is given back before the process ends.
unsafe extern "system" fn free(_: *mut OrtAllocator, _: *mut c_void) {}

unsafe extern "system" fn info(_: *const OrtAllocator) -> *const OrtMemoryInfo {
    DEVICE.load(Ordering::Acquire)
}

/// Memory of at least `bytes` on the current device; null where the limit is reached or CUDA refuses.
fn given(bytes: usize) -> *mut c_void {
    let mut block = BLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    if bytes > block.bytes || block.start == 0 {
        let wanted = bytes.max(1).checked_next_multiple_of(GRANULARITY_BYTES).unwrap_or(usize::MAX);
        if wanted > LIMIT_BYTES.saturating_sub(block.taken_bytes) {
            return std::ptr::null_mut();
        }
        // The former block stays: what was given out of it is still written to.
        let Some(start) = taken(&mut block, wanted) else { return std::ptr::null_mut() };
        *block = Block { start, bytes: wanted, taken_bytes: block.taken_bytes + wanted, allocate: block.allocate };
    }
    block.start as *mut c_void
}

fn taken(block: &mut Block, bytes: usize) -> Option<usize> {
    if block.allocate.is_none() {
        block.allocate = runtime();
    }
    let mut start = std::ptr::null_mut();
    // SAFETY: cudaMalloc of the CUDA runtime that the provider has loaded, on its thread and its device.
    let code = unsafe { block.allocate?(&mut start, bytes) };
    (code == 0 && !start.is_null()).then_some(start as usize)
}

/// `cudaMalloc` of the CUDA runtime that is loaded already.
fn runtime() -> Option<CudaMalloc> {
    use libloading::os::unix::{Library, RTLD_LAZY};
    /// Of dlopen(3), which libloading has no name for: only a library that is loaded already.
    const RTLD_NOLOAD: c_int = 4;
    let path = maps::mapped("libcudart.so")?;
    // SAFETY: the library is loaded already, so nothing of it runs.
    let library = unsafe { Library::open(Some(&path), RTLD_LAZY | RTLD_NOLOAD) }.ok()?;
    // SAFETY: the type is that of cuda_runtime_api.h, the same in every version.
    let allocate = unsafe { library.get::<CudaMalloc>(b"cudaMalloc\0") }.ok().map(|symbol| *symbol);
    std::mem::forget(library);
    allocate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_cuda_runtime_there_is_no_memory() {
        assert!(maps::mapped("libcudart.so").is_none());
        assert!(given(1).is_null() && given(usize::MAX).is_null());
    }
}
