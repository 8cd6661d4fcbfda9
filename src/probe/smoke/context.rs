//! What the kernel needs of libcuda: a context, memory, a module, events. Plain integers for results, as in
//! `cuda/driver.rs` and for the same reason.

use super::kernel;
use crate::probe::cuda::driver::{Driver, why};
use crate::probe::isolation::Reporter;
use crate::snapshot::Unknown;
use std::ffi::{c_char, c_int, c_uint, c_void};

/// A device address (cuda.h, CUdeviceptr).
pub type Address = u64;
type Handle = *mut c_void;

/// A call that failed.
pub enum Fault {
    /// It answered a code other than 0: the code, and the call and the code's name in words.
    Code(i64, String),
    /// The library lacks the function.
    Missing(Unknown),
}

/// The primary context of one device, made current. Given back when dropped.
pub struct Context<'a> {
    driver: &'a Driver,
    device: c_int,
}

impl<'a> Context<'a> {
    /// Takes the primary context, the same that every runtime of a process shares.
    pub fn of(driver: &'a Driver, ordinal: c_int, reporter: &mut Reporter) -> Result<Self, Fault> {
        let mut device: c_int = 0;
        let get: unsafe extern "C" fn(*mut c_int, c_int) -> c_int = function(driver, "cuDeviceGet")?;
        // SAFETY: the signature of cuda.h, here and below; out pointers live through each call.
        call(driver, "cuDeviceGet", reporter, || unsafe { get(&mut device, ordinal) })?;
        let retain: unsafe extern "C" fn(*mut Handle, c_int) -> c_int = function(driver, "cuDevicePrimaryCtxRetain")?;
        let mut handle: Handle = std::ptr::null_mut();
        call(driver, "cuDevicePrimaryCtxRetain", reporter, || unsafe { retain(&mut handle, device) })?;
        let context = Self { driver, device };
        let current: unsafe extern "C" fn(Handle) -> c_int = function(driver, "cuCtxSetCurrent")?;
        call(driver, "cuCtxSetCurrent", reporter, || unsafe { current(handle) })?;
        Ok(context)
    }

    /// Device memory for `bytes`. It goes back with the context.
    pub fn allocate(&self, bytes: usize, reporter: &mut Reporter) -> Result<Address, Fault> {
        let mut address: Address = 0;
        let allocate: unsafe extern "C" fn(*mut Address, usize) -> c_int = function(self.driver, "cuMemAlloc_v2")?;
        call(self.driver, "cuMemAlloc_v2", reporter, || unsafe { allocate(&mut address, bytes) })?;
        Ok(address)
    }

    /// Copies to the device, which has at least as much memory at `to`.
    pub fn copy_in(&self, to: Address, from: &[f32], reporter: &mut Reporter) -> Result<(), Fault> {
        let copy: unsafe extern "C" fn(Address, *const c_void, usize) -> c_int =
            function(self.driver, "cuMemcpyHtoD_v2")?;
        call(self.driver, "cuMemcpyHtoD_v2", reporter, || unsafe { copy(to, from.as_ptr().cast(), size_of_val(from)) })
    }

    /// Copies from the device.
    pub fn copy_out(&self, to: &mut [f32], from: Address, reporter: &mut Reporter) -> Result<(), Fault> {
        let copy: unsafe extern "C" fn(*mut c_void, Address, usize) -> c_int =
            function(self.driver, "cuMemcpyDtoH_v2")?;
        call(self.driver, "cuMemcpyDtoH_v2", reporter, || unsafe {
            copy(to.as_mut_ptr().cast(), from, size_of_val(to))
        })
    }

    /// Compiles the kernel, runs it on the three vectors, waits for its end, and returns its time in milliseconds.
    pub fn run(&self, vectors: [Address; 3], count: u32, reporter: &mut Reporter) -> Result<f64, Fault> {
        let driver = self.driver;
        let mut module: Handle = std::ptr::null_mut();
        let load: unsafe extern "C" fn(*mut Handle, *const c_void) -> c_int = function(driver, "cuModuleLoadData")?;
        call(driver, "cuModuleLoadData", reporter, || unsafe { load(&mut module, kernel::PTX.as_ptr().cast()) })?;
        let mut entry: Handle = std::ptr::null_mut();
        let find: unsafe extern "C" fn(*mut Handle, Handle, *const c_char) -> c_int =
            function(driver, "cuModuleGetFunction")?;
        call(driver, "cuModuleGetFunction", reporter, || unsafe { find(&mut entry, module, kernel::NAME.as_ptr()) })?;
        let (began, ended) = (self.event(reporter)?, self.event(reporter)?);
        let [mut a, mut b, mut sum] = vectors;
        let mut count = count;
        let mut parameters: [Handle; 4] =
            [(&raw mut a).cast(), (&raw mut b).cast(), (&raw mut sum).cast(), (&raw mut count).cast()];
        self.record(began, reporter)?;
        let blocks = count.div_ceil(kernel::BLOCK);
        type Launch = unsafe extern "C" fn(
            Handle,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
            Handle,
            *mut Handle,
            *mut Handle,
        ) -> c_int;
        let launch: Launch = function(driver, "cuLaunchKernel")?;
        call(driver, "cuLaunchKernel", reporter, || unsafe {
            launch(
                entry,
                blocks,
                1,
                1,
                kernel::BLOCK,
                1,
                1,
                0,
                std::ptr::null_mut(),
                parameters.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        })?;
        self.record(ended, reporter)?;
        let wait: unsafe extern "C" fn(Handle) -> c_int = function(driver, "cuEventSynchronize")?;
        call(driver, "cuEventSynchronize", reporter, || unsafe { wait(ended) })?;
        let mut elapsed_ms: f32 = 0.0;
        let elapsed: unsafe extern "C" fn(*mut f32, Handle, Handle) -> c_int = function(driver, "cuEventElapsedTime")?;
        call(driver, "cuEventElapsedTime", reporter, || unsafe { elapsed(&mut elapsed_ms, began, ended) })?;
        Ok(f64::from(elapsed_ms))
    }

    fn event(&self, reporter: &mut Reporter) -> Result<Handle, Fault> {
        let mut event: Handle = std::ptr::null_mut();
        let create: unsafe extern "C" fn(*mut Handle, c_uint) -> c_int = function(self.driver, "cuEventCreate")?;
        call(self.driver, "cuEventCreate", reporter, || unsafe { create(&mut event, 0) })?;
        Ok(event)
    }

    fn record(&self, event: Handle, reporter: &mut Reporter) -> Result<(), Fault> {
        let record: unsafe extern "C" fn(Handle, Handle) -> c_int = function(self.driver, "cuEventRecord")?;
        call(self.driver, "cuEventRecord", reporter, || unsafe { record(event, std::ptr::null_mut()) })
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        let release = self.driver.function::<unsafe extern "C" fn(c_int) -> c_int>("cuDevicePrimaryCtxRelease_v2");
        if let Ok(release) = release {
            // SAFETY: the signature of cuda.h; the context was retained. Its memory and modules go with it.
            unsafe { release(self.device) };
        }
    }
}

fn function<T: Copy>(driver: &Driver, name: &str) -> Result<T, Fault> {
    driver.function(name).map_err(Fault::Missing)
}

fn call(driver: &Driver, name: &str, reporter: &mut Reporter, made: impl FnOnce() -> c_int) -> Result<(), Fault> {
    reporter.stage(name);
    match made() {
        0 => Ok(()),
        code => Err(Fault::Code(code.into(), format!("{name}: {}", driver.describe(code)))),
    }
}

impl Fault {
    /// The obstacle, for the facts behind the call.
    pub fn unknown(&self) -> Unknown {
        match self {
            Fault::Code(code, words) => Unknown::new(why(*code as c_int), words.clone()),
            Fault::Missing(unknown) => unknown.clone(),
        }
    }
}
