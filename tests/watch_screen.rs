//! `gpu-doctor watch --tui` on a real pseudo-terminal: what is drawn, what keys and signals do, and that the terminal is
//! always given back.

mod setup;

use setup::doctor::gpu_doctor;
use setup::{GPU_DOCTOR, driver_variables, scenario};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

const TAKEN: &str = "\u{1b}[?1049h";
const GIVEN_BACK: &str = "\u{1b}[?1049l";

/// The doctor on a terminal of its own, of which it is the session's first process.
struct OnTerminal {
    child: Child,
    keys: File,
    shown: Receiver<Vec<u8>>,
    text: String,
    /// The program's end of the terminal: its settings outlive the program.
    own: OwnedFd,
    before: libc::termios,
}

fn size(columns: u16, rows: u16) -> libc::winsize {
    libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn settings(terminal: &OwnedFd) -> libc::termios {
    // SAFETY: plain data, zeroed; the call writes to it alone.
    unsafe {
        let mut settings: libc::termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(terminal.as_raw_fd(), &mut settings), 0);
        settings
    }
}

impl OnTerminal {
    fn start(arguments: &[&str], scenario: &Path) -> Self {
        let (mut other, mut own) = (-1, -1);
        // SAFETY: two live places for descriptors; no name and no settings are asked for.
        let opened =
            unsafe { libc::openpty(&mut other, &mut own, std::ptr::null_mut(), std::ptr::null_mut(), &size(80, 24)) };
        assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: descriptors that were opened just now, and belong to nobody else.
        let (other, own) = unsafe { (OwnedFd::from_raw_fd(other), OwnedFd::from_raw_fd(own)) };
        let before = settings(&own);
        let stream = || own.try_clone().unwrap();
        let mut command = Command::new(GPU_DOCTOR);
        command.args(["watch", "--tui"]).args(arguments).envs(driver_variables(scenario)).env("TERM", "xterm");
        command.stdin(stream()).stdout(stream()).stderr(stream());
        // SAFETY: two system calls in the child, which make the terminal its own.
        unsafe {
            command.pre_exec(|| {
                let taken = libc::setsid() >= 0 && libc::ioctl(0, libc::TIOCSCTTY, 0) == 0;
                if taken { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
        let child = command.spawn().unwrap();
        let keys = File::from(other);
        let mut reader = keys.try_clone().unwrap();
        // What the test does not read stays in the terminal.
        let (show, shown) = sync_channel(1);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if show.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, shown, text: String::new(), own, before }
    }

    /// Reads what is drawn until it is enough.
    fn until(&mut self, enough: impl Fn(&str) -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !enough(&self.text) {
            assert!(Instant::now() < end, "{}", self.text.rsplit("\u{1b}[H").next().unwrap_or_default());
            match self.shown.recv_timeout(Duration::from_millis(100)) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("it ended: {}", self.text),
            }
        }
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a signal to the child that this test started.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    fn resize(&self, columns: u16, rows: u16) {
        // SAFETY: a live structure and descriptor.
        assert_eq!(unsafe { libc::ioctl(self.keys.as_raw_fd(), libc::TIOCSWINSZ, &size(columns, rows)) }, 0);
    }

    /// Waits for its end. With it comes what stood behind the moment when the screen was given back.
    fn end(mut self) -> (ExitStatus, String) {
        let end = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it goes on: {}", self.text);
            while let Ok(bytes) = self.shown.recv_timeout(Duration::from_millis(50)) {
                self.text.push_str(&String::from_utf8_lossy(&bytes));
            }
        };
        while let Ok(bytes) = self.shown.recv_timeout(Duration::from_millis(200)) {
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
        let after = settings(&self.own);
        assert_eq!(after.c_lflag, self.before.c_lflag, "lines and echo are as they were");
        assert_eq!(self.text.matches(TAKEN).count(), self.text.matches(GIVEN_BACK).count(), "{}", self.text);
        let behind = self.text.rsplit_once(GIVEN_BACK).expect("it was given back").1;
        assert!(!behind.contains("\u{1b}[H"), "nothing is drawn on the screen that stays: {behind}");
        (status, behind.to_owned())
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// So many cards of the fake driver's busy one.
fn cards(count: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(scenario("healthy-busy")).unwrap();
    let (head, card) = text.split_at(text.find("  - name:").unwrap());
    let one = |index: u32| {
        card.replace("GPU-5f3c2a10", &format!("GPU-5f3c2a{index:02}"))
            .replace("0000:01:00.0", &format!("0000:{:02}:00.0", index + 1))
    };
    let path = folder.path().join("cards.yaml");
    std::fs::write(&path, head.to_owned() + &(0..count).map(one).collect::<String>()).unwrap();
    (folder, path)
}

#[test]
fn bars_are_drawn_and_q_ends_it_with_summary_and_diagnosis() {
    let mut screen = OnTerminal::start(&["--interval", "200ms"], &scenario("healthy-busy"));
    screen.until(|text| text.contains("█ 97%") && text.contains("520.0W  at most 520.0W"));
    assert!(screen.text.contains("GPU 0 NVIDIA H100 80GB HBM3  61°C"), "{}", screen.text);
    assert!(screen.text.contains("q: end, with the diagnosis"), "{}", screen.text);
    // Other keys do nothing.
    screen.keys.write_all(b"x\x1b[A").unwrap();
    screen.keys.write_all(b"q").unwrap();
    let (status, behind) = screen.end();
    assert_eq!(status.code(), Some(0), "{behind}");
    assert!(behind.contains("watched") && behind.contains("utilization 97 % on average"), "{behind}");
    assert!(behind.contains("No fault found"), "{behind}");
}

#[test]
fn a_window_of_another_size_is_filled_at_once() {
    let (_kept, eight) = cards(8);
    let mut screen = OnTerminal::start(&["--interval", "300ms"], &eight);
    screen.until(|text| text.contains("  7  ") && text.contains("  0  "));
    assert!(screen.text.contains("GPU%") && !screen.text.contains("arrow"), "8 fit into 80 x 24: {}", screen.text);
    screen.text.clear();
    screen.resize(60, 10);
    screen.until(|text| text.contains("arrow keys: 1 to 6 of 8 GPUs"));
    screen.text.clear();
    screen.keys.write_all(b"\x1b[B").unwrap();
    screen.until(|text| text.contains("2 to 7 of 8 GPUs"));
    screen.text.insert_str(0, TAKEN);
    screen.keys.write_all(b"\x03").unwrap();
    let (status, behind) = screen.end();
    assert!(status.code().is_some() && behind.contains("GPU 7 "), "Ctrl-C ends it as q does: {behind}");
}

#[test]
fn a_signal_that_ends_it_gives_the_terminal_back() {
    for signal in [libc::SIGHUP, libc::SIGQUIT, libc::SIGABRT] {
        let mut screen = OnTerminal::start(&["--interval", "1h"], &scenario("healthy-busy"));
        screen.until(|text| text.contains("q: end"));
        screen.signal(signal);
        let (status, _) = screen.end();
        assert_eq!(status.signal(), Some(signal), "it ended as it would have");
    }
    let mut screen = OnTerminal::start(&["--interval", "1h"], &scenario("healthy-busy"));
    screen.until(|text| text.contains("q: end"));
    screen.signal(libc::SIGTERM);
    let (status, behind) = screen.end();
    assert!(status.code().is_some(), "SIGTERM is a wish, as Ctrl-C is: {status:?} {behind}");
}

#[test]
fn a_terminal_that_nobody_reads_from_does_not_keep_it() {
    let (_folder, eight) = cards(8);
    let mut screen = OnTerminal::start(&["--interval", "100ms"], &eight);
    screen.until(|text| text.contains("q: end"));
    std::thread::sleep(Duration::from_secs(6));
    screen.signal(libc::SIGTERM);
    std::thread::sleep(Duration::from_millis(500));
    screen.signal(libc::SIGTERM);
    let end = Instant::now() + Duration::from_secs(10);
    while screen.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "it waits for a terminal that is full");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn it_is_stopped_and_goes_on() {
    let mut screen = OnTerminal::start(&["--interval", "300ms"], &scenario("healthy-busy"));
    screen.until(|text| text.contains("█ 97%"));
    screen.keys.write_all(b"\x1a").unwrap();
    screen.until(|text| text.contains(GIVEN_BACK));
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let mut status = 0;
        // SAFETY: asks about the child that this test started; one that stopped stays a child.
        let told = unsafe { libc::waitpid(screen.child.id() as i32, &mut status, libc::WUNTRACED | libc::WNOHANG) };
        if told > 0 {
            assert!(libc::WIFSTOPPED(status), "{status}");
            break;
        }
        assert!(Instant::now() < end, "it did not stop");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(settings(&screen.own).c_lflag, screen.before.c_lflag, "the shell has its terminal meanwhile");
    screen.signal(libc::SIGCONT);
    screen.until(|text| text.rsplit_once(TAKEN).is_some_and(|(_, since)| since.contains("█ 97%")));
    screen.keys.write_all(b"q").unwrap();
    assert!(screen.end().0.code().is_some());
}

#[test]
fn where_there_is_no_terminal_lines_are_written() {
    let said = gpu_doctor(
        &["watch", "--tui", "--interval", "200ms", "--count", "2"],
        &driver_variables(&scenario("healthy-busy")),
    );
    assert!(
        said.err.contains("--tui: standard output is no terminal; plain lines are written instead"),
        "{}",
        said.err
    );
    assert_eq!(said.out.matches("97%    30%").count(), 2, "{}", said.out);
    assert!(!said.out.contains('\u{1b}'), "{}", said.out);
}
