//! Where a child is, told without a line for each call: a number in a page of memory that its parent reads.
//!
//! A job that makes thousands of calls a second cannot name each one in its report. What it wrote here is there still when
//! it has crashed or hangs.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};

/// Size of the shared memory, bytes: one page.
const PAGE_BYTES: usize = 4096;

/// The parent's side.
pub struct Place {
    page: File,
}

impl Place {
    /// Makes the page; a child that is started now inherits it. `None` where the kernel refuses.
    pub fn new() -> Option<Self> {
        // SAFETY: a constant name; the descriptor that comes back is owned by the file.
        let page = unsafe {
            let fd = libc::memfd_create(c"gpu-doctor-place".as_ptr(), 0);
            (fd >= 0).then(|| File::from_raw_fd(fd))?
        };
        page.set_len(PAGE_BYTES as u64).ok()?;
        Some(Self { page })
    }

    /// The descriptor's number, which the child is told in its argument.
    pub fn number(&self) -> RawFd {
        self.page.as_raw_fd()
    }

    /// Keeps the page from children that are started from now on.
    pub fn close_to_others(&self) {
        // SAFETY: sets a flag of a descriptor that this file owns.
        unsafe { libc::fcntl(self.page.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }

    /// What the child wrote last; 0 if nothing.
    pub fn read(&self) -> u32 {
        let mut bytes = [0; 4];
        self.page.read_exact_at(&mut bytes, 0).map_or(0, |()| u32::from_ne_bytes(bytes))
    }
}

/// The child's side.
pub struct Mark {
    number: &'static AtomicU32,
}

impl Mark {
    /// The page behind the descriptor that the parent named; without one, what is written goes nowhere.
    pub fn at(descriptor: Option<i32>) -> Self {
        static NOWHERE: AtomicU32 = AtomicU32::new(0);
        let number = descriptor.and_then(shared).unwrap_or(&NOWHERE);
        Self { number }
    }

    /// Says where the child is.
    pub fn set(&self, place: u32) {
        self.number.store(place, Ordering::Relaxed);
    }
}

fn shared(descriptor: i32) -> Option<&'static AtomicU32> {
    // SAFETY: a new mapping, of a file that is long enough and that its only writer, the parent, never shortens. It is kept
    // for the life of the process.
    unsafe {
        let mut about: libc::stat = std::mem::zeroed();
        if libc::fstat(descriptor, &mut about) != 0 || about.st_size < PAGE_BYTES as i64 {
            return None;
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let page = libc::mmap(std::ptr::null_mut(), PAGE_BYTES, protection, libc::MAP_SHARED, descriptor, 0);
        (page != libc::MAP_FAILED).then(|| &*page.cast::<AtomicU32>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_read_on_the_other_side() {
        let place = Place::new().unwrap();
        assert_eq!(place.read(), 0);
        let mark = Mark::at(Some(place.number()));
        mark.set(77);
        assert_eq!(place.read(), 77);
        place.close_to_others();
        mark.set(78);
        assert_eq!(place.read(), 78);
        Mark::at(None).set(5);
        Mark::at(Some(-1)).set(5);
        let short = tempfile::tempfile().unwrap();
        Mark::at(Some(short.as_raw_fd())).set(5);
        assert_eq!(place.read(), 78);
    }
}
