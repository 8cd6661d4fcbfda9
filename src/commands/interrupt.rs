//! Ctrl-C as a wish, not an end: what was measured by then is still judged and told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

static WISHED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on Ctrl-C and SIGTERM set the flag that is returned. The second of either ends the program as usual.
pub fn listen() -> Arc<AtomicBool> {
    let flag = WISHED.get_or_init(Arc::default).clone();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: an all-zero sigaction is a valid one, and the handler only stores to an atomic that lives for ever.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = note as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
    flag
}

extern "C" fn note(_: libc::c_int) {
    // It was set before the handler was.
    if let Some(flag) = WISHED.get() {
        flag.store(true, Ordering::Relaxed);
    }
}
