//! What tests print is not the log of a server that lives in their process.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, Once};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// An output that goes to a file, by way of a pipe.
struct Detour {
    number: RawFd,
    file: File,
    carrier: JoinHandle<()>,
}

static DETOURS: Mutex<Vec<Detour>> = Mutex::new(Vec::new());

/// `cargo test > FILE` makes FILE the output of every process, and so the log of a server that is the test itself; in it
/// stand the words of other servers that tests print. From here on the outputs are pipes, which nobody can read anew, and
/// threads carry what comes to the file.
pub fn is_no_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut detours = DETOURS.lock().unwrap();
        detours.extend([1, 2].into_iter().filter_map(detour));
        if !detours.is_empty() {
            // SAFETY: a function without arguments that lives as long as the program.
            unsafe { libc::atexit(end) };
        }
    });
}

fn detour(number: RawFd) -> Option<Detour> {
    // SAFETY: duplicates a descriptor of this process; an error is negative.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return None;
    }
    // SAFETY: the copy was just made and belongs to nobody else.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(copy) });
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return None;
    }
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut to = file.try_clone().expect("a copy of the descriptor");
    // SAFETY: both are open descriptors of this process.
    assert!(unsafe { libc::dup2(writer.as_raw_fd(), number) } == number);
    let carrier = std::thread::spawn(move || {
        let mut chunk = [0; 65536];
        while let Some(count) = reader.read(&mut chunk).ok().filter(|count| *count > 0) {
            let _ = to.write_all(&chunk[..count]);
        }
    });
    Some(Detour { number, file, carrier })
}

/// The outputs are the file again, and what is still in the pipes goes there.
extern "C" fn end() {
    let Ok(mut detours) = DETOURS.lock() else { return };
    for detour in detours.drain(..) {
        // SAFETY: both are open descriptors of this process; this closes the pipe.
        unsafe { libc::dup2(detour.file.as_raw_fd(), detour.number) };
        // A child that has the pipe too may outlive the tests.
        let until = Instant::now() + Duration::from_millis(500);
        while !detour.carrier.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
