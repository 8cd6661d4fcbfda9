//! What the kernel needs of libcuda: a context, memory, a module, events. Plain integers for results, as in
//! `cuda/driver.rs` and for the same reason.

use super::kernel;
use crate::probe::cuda::driver::{Driver, why};
use crate::probe::isolation::Reporter;
use crate::snapshot::Unknown;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::time::{Duration, Instant};

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

    /// Compiles the kernel.
    pub fn compile(&self, reporter: &mut Reporter) -> Result<Kernel<'_>, Fault> {
        let driver = self.driver;
        let mut module: Handle = std::ptr::null_mut();
        let load: unsafe extern "C" fn(*mut Handle, *const c_void) -> c_int = function(driver, "cuModuleLoadData")?;
        call(driver, "cuModuleLoadData", reporter, || unsafe { load(&mut module, kernel::PTX.as_ptr().cast()) })?;
        let mut entry: Handle = std::ptr::null_mut();
        let find: unsafe extern "C" fn(*mut Handle, Handle, *const c_char) -> c_int =
            function(driver, "cuModuleGetFunction")?;
        call(driver, "cuModuleGetFunction", reporter, || unsafe { find(&mut entry, module, kernel::NAME.as_ptr()) })?;
        let events = [self.event(reporter)?, self.event(reporter)?];
        Ok(Kernel {
            driver,
            entry,
            events,
            launch: function(driver, "cuLaunchKernel")?,
            record: function(driver, "cuEventRecord")?,
            wait: function(driver, "cuEventSynchronize")?,
        })
    }

    fn event(&self, reporter: &mut Reporter) -> Result<Handle, Fault> {
        let mut event: Handle = std::ptr::null_mut();
        let create: unsafe extern "C" fn(*mut Handle, c_uint) -> c_int = function(self.driver, "cuEventCreate")?;
        call(self.driver, "cuEventCreate", reporter, || unsafe { create(&mut event, 0) })?;
        Ok(event)
    }
}

/// The compiled kernel, with what it takes to run it.
pub struct Kernel<'a> {
    driver: &'a Driver,
    entry: Handle,
    events: [Handle; 2],
    launch: Launch,
    record: unsafe extern "C" fn(Handle, Handle) -> c_int,
    wait: unsafe extern "C" fn(Handle) -> c_int,
}

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

/// Launches that are waited for together while the kernel is repeated: more and more, until they take this long.
const TOGETHER: Duration = Duration::from_millis(20);
const TOGETHER_MOST: u32 = 1024;

impl Kernel<'_> {
    /// Runs it on the three vectors, waits for its end, and returns its time in milliseconds.
    pub fn run(&self, vectors: [Address; 3], count: u32, reporter: &mut Reporter) -> Result<f64, Fault> {
        let driver = self.driver;
        let [began, ended] = self.events;
        // SAFETY: the signatures of cuda.h; the events are the context's own.
        call(driver, "cuEventRecord", reporter, || unsafe { (self.record)(began, std::ptr::null_mut()) })?;
        call(driver, "cuLaunchKernel", reporter, || self.launch(vectors, count))?;
        call(driver, "cuEventRecord", reporter, || unsafe { (self.record)(ended, std::ptr::null_mut()) })?;
        call(driver, "cuEventSynchronize", reporter, || unsafe { (self.wait)(ended) })?;
        let mut elapsed_ms: f32 = 0.0;
        let elapsed: unsafe extern "C" fn(*mut f32, Handle, Handle) -> c_int = function(driver, "cuEventElapsedTime")?;
        call(driver, "cuEventElapsedTime", reporter, || unsafe { elapsed(&mut elapsed_ms, began, ended) })?;
        Ok(f64::from(elapsed_ms))
    }

    /// Runs it again and again for so long, and returns for how long it ran, milliseconds.
    pub fn repeat(
        &self,
        vectors: [Address; 3],
        count: u32,
        length: Duration,
        reporter: &mut Reporter,
    ) -> Result<f64, Fault> {
        let [_, ended] = self.events;
        let (began, mut together) = (Instant::now(), 1);
        // Thousands of calls: not each is told.
        reporter.stage("cuLaunchKernel, again and again");
        while began.elapsed() < length {
            let batch = Instant::now();
            for _ in 0..together {
                self.answered("cuLaunchKernel", self.launch(vectors, count))?;
            }
            // SAFETY: as above.
            self.answered("cuEventRecord", unsafe { (self.record)(ended, std::ptr::null_mut()) })?;
            self.answered("cuEventSynchronize", unsafe { (self.wait)(ended) })?;
            if batch.elapsed() < TOGETHER / 2 {
                together = (together * 2).min(TOGETHER_MOST);
            }
        }
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    fn launch(&self, vectors: [Address; 3], mut count: u32) -> c_int {
        let [mut a, mut b, mut sum] = vectors;
        let blocks = count.div_ceil(kernel::BLOCK);
        let mut parameters: [Handle; 4] =
            [(&raw mut a).cast(), (&raw mut b).cast(), (&raw mut sum).cast(), (&raw mut count).cast()];
        // SAFETY: the signature of cuda.h; the parameters, which the driver copies, live through the call.
        unsafe {
            (self.launch)(
                self.entry,
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
        }
    }

    fn answered(&self, name: &str, code: c_int) -> Result<(), Fault> {
        answered(self.driver, name, code)
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
    answered(driver, name, made())
}

fn answered(driver: &Driver, name: &str, code: c_int) -> Result<(), Fault> {
    match code {
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
