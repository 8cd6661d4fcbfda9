//! RECORD: which files a distribution installed, each with its hash (PEP 376, PEP 627; CSV with three columns).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Most rows read of one RECORD; torch has 13,000.
const ROWS_MAX: usize = 100_000;
/// Length of a SHA-256, bytes.
const DIGEST_BYTES: usize = 32;

/// One file that a distribution lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Path from site-packages, as written: it may lead out of it (`../../../bin/pip`).
    pub path: String,
    /// SHA-256 of the file as installed; `None` if the row has none, or another kind of hash.
    pub sha256: Option<[u8; DIGEST_BYTES]>,
}

/// The rows of a RECORD, in order. Rows without a path are left out.
pub fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && rows.len() < ROWS_MAX {
        let (columns, after) = row(rest);
        rest = after;
        let mut columns = columns.into_iter();
        let path = columns.next().unwrap_or_default();
        if !path.is_empty() {
            rows.push(Row { path, sha256: columns.next().as_deref().and_then(sha256) });
        }
    }
    rows
}

/// The columns of the first row, and the text after it. A quoted column may hold commas, line ends and doubled quotes.
fn row(text: &str) -> (Vec<String>, &str) {
    let mut columns = vec![String::new()];
    let mut quoted = false;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let column = columns.last_mut().expect("there is always one");
        match c {
            '"' if quoted && characters.peek().is_some_and(|(_, next)| *next == '"') => {
                characters.next();
                column.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if column.is_empty() => quoted = true,
            ',' if !quoted => columns.push(String::new()),
            '\n' if !quoted => return (columns, text.get(at + 1..).unwrap_or_default()),
            '\r' if !quoted && characters.peek().is_some_and(|(_, next)| *next == '\n') => {}
            c => column.push(c),
        }
    }
    (columns, "")
}

/// The digest in `sha256=<urlsafe base64 without padding>`.
fn sha256(column: &str) -> Option<[u8; DIGEST_BYTES]> {
    let encoded = column.strip_prefix("sha256=")?.trim_end_matches('=');
    URL_SAFE_NO_PAD.decode(encoded).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_are_read_as_csv() {
        let text = "../../../bin/x,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\r\n\
                    \"a, \"\"b\"\".py\",md5=abc,3\nx-1.dist-info/RECORD,,\n\n,sha256=,\nlast.py";
        let rows = rows(text);
        let paths: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
        assert_eq!(paths, ["../../../bin/x", "a, \"b\".py", "x-1.dist-info/RECORD", "last.py"]);
        assert_eq!(rows[0].sha256.unwrap()[..4], [0xe3, 0xb0, 0xc4, 0x42], "the digest of nothing");
        assert!(rows[1..].iter().all(|row| row.sha256.is_none()));
    }

    #[test]
    fn a_quote_without_end_and_rows_without_end_are_survived() {
        assert_eq!(rows("\"a,b\nc").len(), 1);
        assert_eq!(rows(&"a\n".repeat(ROWS_MAX + 5)).len(), ROWS_MAX);
    }

    fn quoted(path: &str) -> String {
        match path.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", path.replace('"', "\"\"")),
            false => path.to_owned(),
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([a-z./]{0,6}|[\",\r\n=]|sha256=|.){0,60}") {
            for row in rows(&text) {
                prop_assert!(!row.path.is_empty());
            }
        }

        #[test]
        fn what_was_written_is_read(files in prop::collection::vec(("[a-z./, \"]{1,12}[a-z]", prop::array::uniform32(any::<u8>())), 0..8)) {
            let text: String = files.iter()
                .map(|(path, digest)| format!("{},sha256={},1\n", quoted(path), URL_SAFE_NO_PAD.encode(digest)))
                .collect();
            let expected: Vec<Row> =
                files.into_iter().map(|(path, digest)| Row { path, sha256: Some(digest) }).collect();
            prop_assert_eq!(rows(&text), expected);
        }
    }
}
