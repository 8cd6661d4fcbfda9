//! What stands for something else in the text, explained below it: tokens, and what is to be put in by hand.

use crate::report::MASKED;
use crate::report::page::Page;
use crate::secret::has_stand_in;
use std::io::{Result, Write};

/// What a command holds where only its reader knows the value, and what that is.
const PLACEHOLDERS: &[(&str, &str)] = &[
    ("://HOST:PORT", "the address of your server in place of HOST:PORT"),
    (" --client-request FILE", "a file with your client's request, such as a curl command line, in place of FILE"),
    (" --config CONFIG", "your config file in place of CONFIG"),
    (" CONTAINER", "the container's name in place of CONTAINER"),
    // The doctor's own sample, which is no file; one of the client's is named without its type.
    ("@speech.wav;type=audio/wav", "a recording of yours in place of speech.wav"),
    (" values)\"]", "all values of a list in place of \"... (N values)\""),
    (":TAG", "the image's version in place of TAG"),
];

/// Writes what the marks in this text stand for, where it has any and does not say so itself.
pub fn explained(text: &str, page: &mut Page) -> Result<()> {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = |put: &str| {
        let mark = put.rsplit("in place of ").next().unwrap_or(put);
        words.contains(&format!("in place of {mark}")) || words.contains(&format!("in place of http://{mark}"))
    };
    let puts: Vec<&str> =
        PLACEHOLDERS.iter().filter(|(mark, put)| text.contains(mark) && !said(put)).map(|(_, put)| *put).collect();
    if !puts.is_empty() {
        writeln!(page)?;
        page.paragraph("", &format!("In the commands put {}.", puts.join("; ")))?;
    }
    match has_stand_in(text) {
        true => writeln!(page).and_then(|()| page.paragraph("", MASKED)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Style;

    fn said(text: &str) -> String {
        let mut out = Vec::new();
        explained(text, &mut Page::new(&Style { width: 400, ..Style::default() }, &mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_to_be_put_in_by_hand_is_said_once() {
        let demo = said("gpu-doctor run --server http://HOST:PORT --client-request FILE");
        assert!(said("-F 'audio=@speech.wav;type=audio/wav'").contains("recording of yours in place of speech.wav"));
        assert!(demo.contains("your server in place of HOST:PORT; a file with your client's request"), "{demo}");
        assert_eq!(said("put its address in place of http://HOST:PORT: gpu-doctor run --server http://HOST:PORT"), "");
        assert_eq!(
            said("docker start CONTAINER"),
            "\nIn the commands put the container's name in place of CONTAINER.\n"
        );
        assert_eq!(said("gpu-doctor run --server http://127.0.0.1:8000/ --client-request a.txt"), "");
    }

    #[test]
    fn tokens_are_explained_where_there_are_any() {
        assert!(said("pod pod-315185 of node host-4262ca").contains("stand for names and addresses"));
        assert!(said("docker inspect ctr-d40d76a2 > c.json").contains("stand for names and addresses"));
        assert_eq!(said("a pod, host-side, ip-10-0-0-1, the GPU-wheel"), "");
    }
}
