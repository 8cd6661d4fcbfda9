//! What people see of a watch: lines, or a full screen.

use super::terminal::{Key, Terminal};
use crate::commands::note::say;
use crate::probe::watch::{Summary, Turn};
use crate::report::{Style, WatchLines, WatchView};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long Ctrl-C, a key or another size of the window may go unnoticed.
const NOTICE: Duration = Duration::from_millis(50);

/// What people see.
pub struct Screen {
    lines: WatchLines,
    /// On standard error, because something else goes to standard output.
    aside: bool,
    /// Nobody reads it any more.
    gone: bool,
    full: Option<Full>,
    end: Arc<AtomicBool>,
}

struct Full {
    terminal: Terminal,
    view: WatchView,
    scroll: usize,
    size: (usize, usize),
}

impl Screen {
    /// Lines on standard output, or on standard error where that is a terminal. `end` is set by Ctrl-C.
    pub fn new(lines: WatchLines, aside: bool, end: Arc<AtomicBool>) -> Self {
        Self { lines, aside, gone: false, full: None, end }
    }

    /// Shows a full screen from now on. Where there is no terminal for it, that is said, and the lines stay.
    pub fn fill(&mut self, view: WatchView) {
        let place = if self.aside { "standard error" } else { "standard output" };
        let is_terminal = if self.aside { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal.is_empty() || terminal == "dumb");
        let why_not = match (is_terminal, dumb) {
            (false, _) => format!("{place} is no terminal"),
            (true, true) => "TERM names no terminal that can be drawn on".into(),
            (true, false) => match Terminal::take(self.aside, &self.end) {
                Ok(terminal) => {
                    let size = terminal.size();
                    self.full = Some(Full { terminal, view, scroll: 0, size });
                    self.draw();
                    return;
                }
                Err(error) => format!("{place}: {error}"),
            },
        };
        say(&format!("--tui: {why_not}; plain lines are written instead"));
    }

    /// What is watched, and what is not.
    pub fn begin(&mut self, notes: &[String]) {
        self.write(|lines, out| lines.begin(notes, out));
    }

    /// An interval; `said` is what happened besides.
    pub fn turn(&mut self, turn: &Turn, said: &[String]) {
        match &mut self.full {
            Some(full) => {
                full.view.take(turn);
                said.iter().for_each(|said| full.view.note(&turn.time, said));
                self.draw();
            }
            None => {
                self.write(|lines, out| lines.turn(turn, out));
                said.iter().for_each(|said| say(said));
            }
        }
    }

    /// Waits for the next interval. Tells whether to go on.
    pub fn wait(&mut self, until: Instant) -> bool {
        while !self.gone && !self.end.load(Ordering::SeqCst) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let Some(full) = &mut self.full else {
                std::thread::sleep(NOTICE.min(left));
                continue;
            };
            // Less than a millisecond is no time to poll.
            let key = full.terminal.key(NOTICE.min(left).max(Duration::from_millis(1)));
            match key {
                Some(Key::End) => return false,
                Some(Key::Scroll(by)) => full.scroll = full.scroll.saturating_add_signed(by),
                None => {}
            }
            if key.is_some() || full.terminal.size() != full.size {
                self.draw();
            }
        }
        false
    }

    /// What it came to, on the screen that stays.
    pub fn end(&mut self, summary: &Summary, written: &[String], style: &Style) {
        self.full = None;
        self.write(|lines, out| lines.end(summary, written, style, out));
    }

    fn draw(&mut self) {
        let Some(full) = &mut self.full else { return };
        full.size = full.terminal.size();
        let frame = full.view.draw(full.size.0, full.size.1, full.scroll);
        full.scroll = frame.scrolled;
        if full.terminal.show(&frame.lines).is_err() {
            self.gone = true;
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut WatchLines, &mut dyn Write) -> std::io::Result<()>) {
        if self.gone {
            return;
        }
        let mut text = Vec::new();
        // Memory takes whatever is written.
        let _ = write(&mut self.lines, &mut text);
        let written = match self.aside {
            true if !std::io::stderr().is_terminal() => Ok(()),
            true => std::io::stderr().write_all(&text),
            false => std::io::stdout().write_all(&text).and_then(|()| std::io::stdout().flush()),
        };
        self.gone = written.is_err();
    }
}
