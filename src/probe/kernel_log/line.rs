//! One line of a kernel log: its time and the kernel's message.
//!
//! Understood are `dmesg` (plain, -t, -T, -x, -H, --time-format iso), the ring buffer and `/dev/kmsg` as they are,
//! `journalctl -k` (short, short-precise, short-iso, short-monotonic) and syslog's `kern.log` and `messages`.

use regex::Regex;
use std::sync::LazyLock;

/// A kernel's message.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// Time as it is written; none if the line has none.
    pub at: Option<String>,
    /// The message.
    pub message: String,
}

/// Longest message that is kept, bytes; the kernel's own limit is about 1 KiB.
const MESSAGE_MAX: usize = 2048;
/// Programs that write what the kernel answered them.
const SPEAKERS: &[&str] = &["systemd-modules-load", "modprobe", "systemd-udevd", "(udev-worker)", "kmod"];

/// Reads one line. Nothing comes of a line that another program than the kernel wrote to the same file.
pub fn read(line: &str) -> Option<Line> {
    static COLOR: LazyLock<Regex> = LazyLock::new(|| regex(r"\x1b\[[0-9;?]{0,20}[A-Za-z]"));
    static RECORD: LazyLock<Regex> = LazyLock::new(|| regex(r"^\d{1,4},\d+,(\d+)(\d{6}),[^;]{0,60};"));
    static LEVEL: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?:<\d{1,3}>|(?:\S+: )?kern\s*:\s*\w+\s*:\s*)"));
    static SYSLOG: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"^(\p{L}[\p{L}.]{1,6}\s+\d{1,2} \d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?) +(.*)$",
        )
    });
    let line = COLOR.replace_all(line.trim_end(), "");
    let mut rest = line.as_ref();
    if let Some(found) = RECORD.captures(rest) {
        let at = format!("{}.{}", &found[1], &found[2]);
        return Some(of(Some(at), &rest[found[0].len()..]));
    }
    if let Some(found) = LEVEL.find(rest) {
        rest = &rest[found.end()..];
    }
    if let Some(found) = SYSLOG.captures(rest) {
        let (at, rest) = (&found[1], found.get(2).map_or("", |rest| rest.as_str()));
        let message = match spoken_by(rest) {
            Some(("kernel", message)) => bracketed(message).1,
            Some((speaker, message)) if SPEAKERS.contains(&speaker) => message,
            // `dmesg --time-format iso` writes a comma before the fraction, and no host.
            _ if at.contains(',') => rest,
            _ => return None,
        };
        return Some(of(Some(at.to_string()), message));
    }
    let (at, rest) = bracketed(rest);
    // `short-monotonic` names the host after the bracket.
    let rest = match spoken_by(rest) {
        Some(("kernel", message)) if at.is_some() => message,
        _ => rest,
    };
    Some(of(at, rest))
}

fn of(at: Option<String>, message: &str) -> Line {
    let mut end = message.len().min(MESSAGE_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    Line { at, message: message[..end].trim().to_string() }
}

/// Speaker and message of `host kernel: message` and `host program[17]: message`.
fn spoken_by(text: &str) -> Option<(&str, &str)> {
    static SPOKEN: LazyLock<Regex> = LazyLock::new(|| regex(r"^[^\s\[\]]+ ([^\s:\[\]]{1,40})(?:\[\d+\])?: ?"));
    let found = SPOKEN.captures(text)?;
    Some((found.get(1)?.as_str(), &text[found.get(0)?.end()..]))
}

/// Time and rest of `[   12.345678] rest`, with the caller's bracket that some kernels add left out.
fn bracketed(text: &str) -> (Option<String>, &str) {
    static BRACKET: LazyLock<Regex> = LazyLock::new(|| regex(r"^\s*\[\s*([^\[\]]{1,40}?)\s*\]:? ?"));
    static TIME: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?:\+?\d+\.\d+|.*\d\d:\d\d.*)$"));
    static CALLER: LazyLock<Regex> = LazyLock::new(|| regex(r"^[TC]\d+$"));
    let (mut at, mut rest) = (None, text);
    while let Some(found) = BRACKET.captures(rest) {
        match &found[1] {
            time if at.is_none() && TIME.is_match(time) => at = Some(time.to_string()),
            caller if CALLER.is_match(caller) => {}
            _ => break,
        }
        rest = &rest[found[0].len()..];
    }
    (at, rest)
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.";

    #[test]
    fn every_form_of_a_line_gives_the_same_message() {
        let forms = [
            ("", None),
            ("[   12.345678] ", Some("12.345678")),
            ("<4>[   12.345678] ", Some("12.345678")),
            ("[   12.345678][  T713] ", Some("12.345678")),
            ("[   12.345678] [T1234567] ", Some("12.345678")),
            ("kern  :warn  : [   12.345678] ", Some("12.345678")),
            ("4,1207,12345678,-;", Some("12.345678")),
            ("4,1207,12345678,-,caller=T713;", Some("12.345678")),
            ("[Mon Nov 23 00:11:31 2026] ", Some("Mon Nov 23 00:11:31 2026")),
            ("[Nov23 00:11] ", Some("Nov23 00:11")),
            ("[  +0.000012] ", Some("+0.000012")),
            ("2026-11-23T00:11:31,345678+01:00 ", Some("2026-11-23T00:11:31,345678+01:00")),
            ("Nov 23 00:11:31 gpu-7 kernel: ", Some("Nov 23 00:11:31")),
            ("Nov  3 00:11:31 gpu-7 kernel: [   12.345678] ", Some("Nov  3 00:11:31")),
            ("Nov 23 00:11:31.345678 gpu-7 kernel: ", Some("Nov 23 00:11:31.345678")),
            ("2026-11-23T00:11:31+0100 gpu-7 kernel: ", Some("2026-11-23T00:11:31+0100")),
            (
                "2026-11-23T00:11:31.345678+01:00 gpu-7 kernel: [   12.345678] ",
                Some("2026-11-23T00:11:31.345678+01:00"),
            ),
            ("[   12.345678] gpu-7 kernel: ", Some("12.345678")),
            ("\u{1b}[32m[   12.345678] \u{1b}[0m", Some("12.345678")),
            ("10.0.0.7: kern: warning: [2026-11-23T00:11:31.3Z]: ", Some("2026-11-23T00:11:31.3Z")),
        ];
        for (prefix, at) in forms {
            let expected = Line { at: at.map(str::to_string), message: SAID.into() };
            assert_eq!(read(&format!("{prefix}{SAID}\r")), Some(expected), "{prefix}");
        }
    }

    #[test]
    fn what_other_programs_write_is_no_word_of_the_kernel() {
        for prefix in ["Nov 23 00:11:31 gpu-7 dcgm[812]: ", "2026-11-23T00:11:31+01:00 gpu-7 python: saw "] {
            assert_eq!(read(&format!("{prefix}{SAID}")), None, "{prefix}");
        }
        let refused =
            "Nov 23 00:11:31 gpu-7 systemd-modules-load[312]: Failed to insert module 'nvidia': Key was rejected";
        assert!(read(refused).unwrap().message.starts_with("Failed to insert"));
    }

    #[test]
    fn a_bracket_of_the_message_stays() {
        assert_eq!(read("[    2.5] [drm] Initialized nvidia-drm").unwrap().message, "[drm] Initialized nvidia-drm");
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read_or_not(line in "(<4>)?(\\[ {0,3}[0-9.]{0,9}\\]|Nov 23 00:11:31)? ?(\\PC{0,40}|x{0,5000})") {
            if let Some(read) = read(&line) {
                proptest::prop_assert!(read.message.len() <= MESSAGE_MAX);
            }
        }
    }
}
