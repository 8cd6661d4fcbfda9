//! The child's side: shed what foreign code could misuse, then report line by line.

use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::os::fd::FromRawFd;

/// Processor time after which the kernel ends a child that spins, seconds.
const CPU_LIMIT_SECONDS: u64 = 60;
/// Largest file that a child may write, bytes.
const FILE_LIMIT_BYTES: u64 = 64 << 20;

/// The line protocol back to the parent.
pub struct Reporter {
    out: File,
    /// The line of a part that is text already, kept for the next one.
    line: String,
}

impl Reporter {
    /// Names the call that comes next, so that a crash or a hang has a place.
    pub fn stage(&mut self, name: &str) {
        self.line(&json!({ "stage": name }));
    }

    /// Reports something before the end; the parent keeps every part in order.
    pub fn part(&mut self, value: Value) {
        self.line(&json!({ "part": value }));
    }

    /// Reports a part that is JSON text on one line already: for jobs that report many times a second.
    pub fn part_text(&mut self, json: &str) {
        self.line.clear();
        self.line.push_str("{\"part\":");
        self.line.push_str(json);
        self.line.push_str("}\n");
        let _ = self.out.write_all(self.line.as_bytes());
    }

    /// Reports the result and ends the process at once: atexit handlers of foreign libraries can hang.
    pub fn finish(&mut self, result: &Value) -> ! {
        self.line(&json!({ "result": result }));
        // SAFETY: _exit takes a status and does not return.
        unsafe { libc::_exit(0) }
    }

    fn line(&mut self, value: &Value) {
        // A parent that is gone needs no answer.
        let _ = self.out.write_all(format!("{value}\n").as_bytes());
    }
}

/// Prepares this process for foreign code and returns the way to report.
///
/// Standard output becomes standard error, since driver libraries print there. Gaining privileges, making device nodes
/// and loading kernel modules are given up: libnvidia-ml does all three as root. There is no limit on the address
/// space, because CUDA reserves very large ranges.
pub fn enter(parent: u32) -> Reporter {
    // SAFETY: plain system calls on this process's own descriptors and limits, before any other thread exists.
    let out = unsafe {
        let fd = libc::fcntl(1, libc::F_DUPFD_CLOEXEC, 3);
        if fd < 0 {
            libc::_exit(98);
        }
        libc::dup2(2, 1);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() as u32 != parent {
            libc::_exit(98);
        }
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        for (resource, limit) in
            [(libc::RLIMIT_CORE, 0), (libc::RLIMIT_CPU, CPU_LIMIT_SECONDS), (libc::RLIMIT_FSIZE, FILE_LIMIT_BYTES)]
        {
            libc::setrlimit(resource, &libc::rlimit { rlim_cur: limit, rlim_max: limit });
        }
        File::from_raw_fd(fd)
    };
    use caps::{CapSet, Capability};
    for capability in [Capability::CAP_MKNOD, Capability::CAP_SYS_MODULE] {
        for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
            // Without the capability there is nothing to give up.
            let _ = caps::drop(None, set, capability);
        }
    }
    Reporter { out, line: String::new() }
}
