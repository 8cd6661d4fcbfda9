//! A terminal that is taken over by a full screen, and given back however the program ends: in order, by an error, a panic
//! or a signal. Written with plain escape codes: what is needed is little, and the crates for it are thirty.

use std::io::{Result, Write};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

/// The second screen, without a cursor, lines cut at the edge; and back.
const TAKE: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";
const GIVE_BACK: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Signals that end a program, or stop it, while the screen is taken.
const ENDS: [libc::c_int; 6] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGABRT, libc::SIGTSTP];
/// Longest wait for a terminal to take what is written, milliseconds.
const WAIT_FOR_TERMINAL_MS: libc::c_int = 500;
/// A window that does not tell its size.
const USUAL: (usize, usize) = (80, 24);

/// What the handler of signals needs: it may touch nothing but atomics and system calls.
static TAKEN: AtomicBool = AtomicBool::new(false);
static OUT: AtomicI32 = AtomicI32::new(-1);
static BEFORE: OnceLock<libc::termios> = OnceLock::new();
static WISHED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// What the user typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// It is to end.
    End,
    /// Scroll by so many lines.
    Scroll(isize),
}

/// The terminal, taken until this is dropped.
pub struct Terminal {
    out: RawFd,
    /// Standard input is a terminal that was not closed.
    keys: bool,
    /// What signals did before.
    handlers: Vec<(libc::c_int, libc::sigaction)>,
}

impl Terminal {
    /// Takes the terminal behind standard output, or behind standard error. `end` is set by the first Ctrl-C or SIGTERM;
    /// the second ends the program.
    ///
    /// # Errors
    /// It is no terminal, or one that cannot be steered.
    pub fn take(aside: bool, end: &Arc<AtomicBool>) -> Result<Self> {
        let out = if aside { libc::STDERR_FILENO } else { libc::STDOUT_FILENO };
        // SAFETY: plain data, zeroed; tcgetattr writes to it alone.
        let before = unsafe {
            let mut before: libc::termios = std::mem::zeroed();
            match libc::tcgetattr(out, &mut before) {
                0 => before,
                _ => return Err(std::io::Error::last_os_error()),
            }
        };
        BEFORE.get_or_init(|| before);
        WISHED.get_or_init(|| end.clone());
        OUT.store(out, Ordering::SeqCst);
        restore_at_panic();
        let handlers = ENDS.into_iter().filter_map(|signal| Some((signal, handle(signal)?))).collect();
        // SAFETY: asks about a descriptor.
        let keys = unsafe { libc::isatty(libc::STDIN_FILENO) } == 1;
        take();
        Ok(Self { out, keys, handlers })
    }

    /// Columns and rows as they are now.
    pub fn size(&self) -> (usize, usize) {
        // SAFETY: plain data, zeroed; the call writes to it alone.
        let size = unsafe {
            let mut size: libc::winsize = std::mem::zeroed();
            (libc::ioctl(self.out, libc::TIOCGWINSZ, &mut size) == 0).then_some(size)
        };
        match size {
            Some(size) if size.ws_col > 0 && size.ws_row > 0 => (usize::from(size.ws_col), usize::from(size.ws_row)),
            _ => USUAL,
        }
    }

    /// Shows lines in place of what was shown.
    pub fn show(&mut self, lines: &[String]) -> Result<()> {
        // A panic elsewhere gave it back.
        take();
        let mut text = String::from("\x1b[H");
        for (place, line) in lines.iter().enumerate() {
            text.push_str(if place > 0 { "\r\n" } else { "" });
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        match self.out {
            libc::STDERR_FILENO => std::io::stderr().write_all(text.as_bytes()),
            _ => std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()),
        }
    }

    /// Waits so long, or until something is typed.
    pub fn key(&mut self, wait: Duration) -> Option<Key> {
        if !self.keys {
            std::thread::sleep(wait);
            return None;
        }
        let mut ready = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
        // SAFETY: one live structure. An interrupted wait is a short one.
        if unsafe { libc::poll(&mut ready, 1, wait.as_millis() as libc::c_int) } <= 0 {
            return None;
        }
        let mut typed = [0_u8; 64];
        // SAFETY: reads into a buffer of that size.
        let length = unsafe { libc::read(libc::STDIN_FILENO, typed.as_mut_ptr().cast(), typed.len()) };
        match usize::try_from(length) {
            Ok(length) if length > 0 => read_key(typed.get(..length).unwrap_or_default()),
            // Nobody types any more.
            _ => {
                self.keys = false;
                None
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
        for (signal, before) in &self.handlers {
            let mut before = *before;
            // What only set the wish is over: the next one ends the program.
            if matches!(*signal, libc::SIGINT | libc::SIGTERM) {
                before.sa_sigaction = libc::SIG_DFL;
            }
            // SAFETY: restores what was there, or the default.
            unsafe { libc::sigaction(*signal, &before, std::ptr::null_mut()) };
        }
    }
}

/// What was typed, of which the last counts.
fn read_key(typed: &[u8]) -> Option<Key> {
    match typed {
        [.., b'q' | b'Q' | 3 | 4] => Some(Key::End),
        [.., 0x1b, b'[' | b'O', b'A'] | [.., b'k'] => Some(Key::Scroll(-1)),
        [.., 0x1b, b'[' | b'O', b'B'] | [.., b'j'] => Some(Key::Scroll(1)),
        [.., 0x1b, b'[', b'5', b'~'] => Some(Key::Scroll(-8)),
        [.., 0x1b, b'[', b'6', b'~'] | [.., b' '] => Some(Key::Scroll(8)),
        _ => None,
    }
}

fn take() {
    if let (Some(before), false) = (BEFORE.get(), TAKEN.swap(true, Ordering::SeqCst)) {
        let mut raw = *before;
        // Signals stay: Ctrl-C comes as one.
        raw.c_lflag &= !(libc::ICANON | libc::ECHO);
        set(&raw, TAKE);
    }
}

fn give_back() {
    if let (Some(before), true) = (BEFORE.get(), TAKEN.swap(false, Ordering::SeqCst)) {
        set(before, GIVE_BACK);
    }
}

/// Safe in a handler of signals.
fn set(settings: &libc::termios, codes: &[u8]) {
    let out = OUT.load(Ordering::SeqCst);
    // A terminal that nobody reads from any more must not keep the program from ending.
    let mut ready = libc::pollfd { fd: out, events: libc::POLLOUT, revents: 0 };
    // SAFETY: the calls are async-signal-safe, on live data. What fails has no terminal left to mend.
    unsafe {
        if libc::poll(&mut ready, 1, WAIT_FOR_TERMINAL_MS) == 1 {
            libc::write(out, codes.as_ptr().cast(), codes.len());
        }
        libc::tcsetattr(out, libc::TCSANOW, settings);
    }
}

/// A panic's message is told on the screen that stays.
fn restore_at_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            usual(panic);
        }));
    });
}

fn handle(signal: libc::c_int) -> Option<libc::sigaction> {
    // SAFETY: an all-zero sigaction is a valid one, and the handler touches atomics and system calls only.
    unsafe {
        let (mut action, mut before): (libc::sigaction, libc::sigaction) = (std::mem::zeroed(), std::mem::zeroed());
        action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_RESTART;
        (libc::sigaction(signal, &action, &mut before) == 0).then_some(before)
    }
}

extern "C" fn on_signal(signal: libc::c_int) {
    let wish = matches!(signal, libc::SIGINT | libc::SIGTERM);
    if wish && WISHED.get().is_some_and(|wished| !wished.swap(true, Ordering::SeqCst)) {
        return;
    }
    // SAFETY: async-signal-safe calls; errno is put back for what was interrupted.
    unsafe {
        let errno = *libc::__errno_location();
        give_back();
        if signal == libc::SIGTSTP {
            // Here it stops, and goes on in the foreground.
            libc::raise(libc::SIGSTOP);
            take();
        } else {
            // As if it had never been caught; it comes when this returns.
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
        *libc::__errno_location() = errno;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_by_what_a_terminal_sends() {
        for (typed, key) in [
            (&b"q"[..], Some(Key::End)),
            (b"\x1b[A", Some(Key::Scroll(-1))),
            (b"\x1bOB", Some(Key::Scroll(1))),
            (b"\x1b[6~", Some(Key::Scroll(8))),
            (b"jjq", Some(Key::End)),
            (b"x", None),
            (b"", None),
            (b"\xff\x1b", None),
        ] {
            assert_eq!(read_key(typed), key, "{typed:?}");
        }
    }
}
