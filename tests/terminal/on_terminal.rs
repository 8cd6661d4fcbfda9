//! On a real pseudo-terminal and in a real pipe: colours, and the terminal's width.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use unicode_width::UnicodeWidthStr;

fn doctor(snapshot: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-doctor"));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color").envs(variables.iter().copied());
    command.arg("diagnose").arg(snapshot).args(arguments).stdin(Stdio::null());
    command
}

fn snapshot(name: &str) -> PathBuf {
    crate::cases::fixtures().join("snapshots").join(format!("{name}.json"))
}

/// What is written on a terminal of so many columns.
fn on_terminal(columns: u16, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    of_on_terminal(&snapshot("a1"), columns, arguments, variables)
}

fn of_on_terminal(snapshot: &Path, columns: u16, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut other, mut own) = (-1, -1);
    // SAFETY: two live places for descriptors and a size; no name and no settings are asked for.
    let opened = unsafe { libc::openpty(&mut other, &mut own, std::ptr::null_mut(), std::ptr::null_mut(), &size) };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: descriptors that were opened just now, and belong to nobody else.
    let (other, own) = unsafe { (OwnedFd::from_raw_fd(other), OwnedFd::from_raw_fd(own)) };
    let mut command = doctor(snapshot, arguments, variables);
    let mut child = command.stdout(own.try_clone().unwrap()).stderr(own).spawn().unwrap();
    // The command holds the program's end of the terminal as well.
    drop(command);
    let (mut shown, mut terminal, mut buffer) = (Vec::new(), File::from(other), [0; 4096]);
    // A terminal that nobody holds any more answers with an error.
    while let Ok(length @ 1..) = terminal.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..length]);
    }
    assert_eq!(child.wait().unwrap().code(), Some(1));
    String::from_utf8(shown).unwrap().replace("\r\n", "\n")
}

fn in_pipe(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    String::from_utf8(doctor(&snapshot("a1"), arguments, variables).output().unwrap().stdout).unwrap()
}

fn uncoloured(text: &str) -> String {
    let parts = text.split("\u{1b}[").enumerate();
    parts.map(|(place, part)| if place == 0 { part } else { part.split_once('m').unwrap().1 }).collect()
}

/// The longest line that words fill.
fn widest(text: &str) -> usize {
    let prose = |line: &&str| !line.contains("gpu-doctor run") && !line.contains("curl ");
    text.lines().filter(prose).map(UnicodeWidthStr::width).max().unwrap()
}

#[test]
fn a_terminal_gets_its_width_and_colours_and_a_pipe_neither() {
    let piped = in_pipe(&[], &[]);
    assert!(!piped.contains('\u{1b}'), "{piped}");
    assert!((90..=100).contains(&widest(&piped)), "{}", widest(&piped));
    for (columns, most) in [(72, 72), (90, 90), (40, 60), (200, 120)] {
        let shown = on_terminal(columns, &[], &[]);
        assert!(shown.contains("\u{1b}[1;31m"), "the headline of a failure is red: {shown}");
        let width = widest(&uncoloured(&shown));
        assert!(width <= most && width > most - 12, "{columns} columns: {width}\n{shown}");
    }
    // A terminal that was never told its size.
    assert!((90..=100).contains(&widest(&uncoloured(&on_terminal(0, &[], &[])))));
    assert_eq!(uncoloured(&on_terminal(100, &[], &[])), piped, "but for the colours they are one");
}

#[test]
fn columns_are_the_users_word() {
    assert!(widest(&in_pipe(&[], &[("COLUMNS", "64")])) <= 64);
    assert!(widest(&uncoloured(&on_terminal(110, &[], &[("COLUMNS", "70")]))) <= 70);
}

#[test]
fn variables_turn_colours_on_and_off() {
    let has = |text: &str| text.contains('\u{1b}');
    for off in [("NO_COLOR", "1"), ("CLICOLOR", "0"), ("TERM", "dumb")] {
        let shown = on_terminal(80, &[], &[off]);
        assert!(!has(&shown) && shown.contains("FIRST BREAK"), "{off:?}: {shown}");
    }
    assert!(has(&on_terminal(80, &[], &[("NO_COLOR", "")])), "an empty one says nothing");
    assert!(has(&in_pipe(&[], &[("CLICOLOR_FORCE", "1")])));
    assert!(has(&in_pipe(&["--format", "short"], &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")])));
    assert!(!has(&in_pipe(&[], &[("CLICOLOR_FORCE", "0")])) && !has(&in_pipe(&[], &[("CLICOLOR", "1")])));
    assert!(!has(&in_pipe(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")])));
    // Forms for programs have none, whatever is said.
    assert!(!has(&in_pipe(&["--format", "json"], &[("CLICOLOR_FORCE", "1")])));
}

#[test]
fn a_file_has_no_colours_also_where_the_terminal_has() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.txt");
    let shown = on_terminal(64, &["--output", &format!("text={}", file.display())], &[]);
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(shown.contains('\u{1b}') && !kept.contains('\u{1b}'));
    assert_eq!(kept, in_pipe(&[], &[]), "as wide as in a pipe");
}

/// Commands are copied from one's own terminal, and reports are sent from everywhere else.
#[test]
fn names_of_machines_are_told_on_a_terminal_and_nowhere_else() {
    let text = std::fs::read_to_string(snapshot("a1")).unwrap();
    let mut named: serde_json::Value = serde_json::from_str(&text).unwrap();
    let server = "http://gpu-box-77.acme.net:8000/?api_key=Q7SECRET99";
    named["target"]["server"] = server.into();
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), named.to_string()).unwrap();
    for (form, told) in [("text", true), ("short", false), ("markdown", false), ("github", false), ("json", false)] {
        let shown = of_on_terminal(file.path(), 100, &["--format", form, "-v"], &[]);
        assert_eq!(shown.contains("gpu-box-77"), told, "{form}: {shown}");
        let piped = doctor(file.path(), &["--format", form, "-v"], &[]).output().unwrap().stdout;
        let piped = String::from_utf8(piped).unwrap();
        assert!(piped.len() > 20 && !piped.contains("gpu-box-77"), "{form}: {piped}");
        assert!(!shown.contains("Q7SECRET99") && !piped.contains("Q7SECRET99"), "{form}");
    }
}

/// Whoever reads a report of a snapshot that was masked when it was saved learns what tokens are.
#[test]
fn tokens_are_explained_in_replays_too() {
    let text = std::fs::read_to_string(snapshot("a1")).unwrap();
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    for (server, told) in [("http://host-3f2a9c:8000/", true), ("http://127.0.0.1:8000/", false)] {
        let mut named: serde_json::Value = serde_json::from_str(&text).unwrap();
        named["target"]["server"] = server.into();
        std::fs::write(file.path(), named.to_string()).unwrap();
        for form in ["text", "markdown", "html"] {
            let said = doctor(file.path(), &["--format", form], &[]).output().unwrap().stdout;
            let said = String::from_utf8(said).unwrap();
            assert_eq!(said.contains("--include-identifiers"), told, "{form}: {said}");
        }
    }
}
