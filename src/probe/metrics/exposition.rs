//! The text format of Prometheus, and OpenMetrics where it differs
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>): one line of it.

use std::borrow::Cow;

/// Labels of one sample, at most.
const LABELS_MAX: usize = 64;

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// Name, with its suffix `_total`, `_sum` or `_count`.
    pub name: &'a str,
    /// Labels in the order in which they stand.
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    /// May be infinite or not a number.
    pub value: f64,
}

/// Reads a line. `None` is one without a sample: empty, or a comment (`# TYPE`, `# HELP`, `# EOF`).
///
/// # Errors
/// What the line lacks.
pub fn sample(line: &str) -> Result<Option<Sample<'_>>, &'static str> {
    let line = line.trim_matches([' ', '\t', '\r']);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line.find(['{', ' ', '\t']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || !name.chars().enumerate().all(|(index, c)| in_name(index, c)) {
        return Err("no name of a metric");
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    // A time and, in OpenMetrics, an example may follow.
    let value = rest.split_ascii_whitespace().next().ok_or("no value")?;
    let value = value.parse().map_err(|_| "a value that is no number")?;
    Ok(Some(Sample { name, labels, value }))
}

/// Names begin without a digit; TensorFlow Serving's begin with a colon.
fn in_name(index: usize, c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':' || index > 0 && c.is_ascii_digit()
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// Labels up to the closing brace, and what follows it. A comma may stand after the last one, as TorchServe writes it.
fn labels(mut rest: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        if labels.len() == LABELS_MAX {
            return Err("more than 64 labels");
        }
        let (name, after) = rest.split_once('=').ok_or("labels without an end")?;
        let name = name.trim_matches([' ', '\t']);
        if name.is_empty() || !name.chars().enumerate().all(|(index, c)| c != ':' && in_name(index, c)) {
            return Err("no name of a label");
        }
        let after = after.trim_start_matches([' ', '\t']).strip_prefix('"').ok_or("a label without quotes")?;
        let (value, after) = quoted(after)?;
        labels.push((name, value));
        rest = after;
    }
}

/// A value up to its closing quote, and what follows it.
fn quoted(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let end = || "a label's value without an end";
    let stop = text.find(['"', '\\']).ok_or_else(end)?;
    let (plain, rest) = text.split_at(stop);
    if let Some(rest) = rest.strip_prefix('"') {
        return Ok((Cow::Borrowed(plain), rest));
    }
    let (mut value, mut chars) = (plain.to_owned(), rest.chars());
    loop {
        match chars.next().ok_or_else(end)? {
            '"' => return Ok((Cow::Owned(value), chars.as_str())),
            '\\' => value.push(match chars.next().ok_or_else(end)? {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> (String, Vec<(String, String)>, f64) {
        let sample = sample(line).unwrap().unwrap();
        let labels = sample.labels.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
        (sample.name.to_owned(), labels, sample.value)
    }

    #[test]
    fn lines_of_several_writers() {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let plain = read("llamacpp:n_decode_total 6");
        assert_eq!(plain, ("llamacpp:n_decode_total".into(), vec![], 6.0));
        let torchserve = read(r#"Requests2XX{Level="Host",Hostname="vm",} 5.0"#);
        assert_eq!(torchserve.1, [label("Level", "Host"), label("Hostname", "vm")]);
        let timed = read(r#"x{a="b"} 1.5e3 1395066363000"#);
        assert_eq!(timed.2, 1500.0);
        let example = read(r##"h_bucket{le="0.1"} 8 # {trace_id="K}\"x"} 0.054 1520879607.789"##);
        assert_eq!((example.1.len(), example.2), (1, 8.0));
        let escaped = read(r#"x{path="C:\\a \"b\"\nc}",other = "1"} 2"#);
        assert_eq!(escaped.1, [label("path", "C:\\a \"b\"\nc}"), label("other", "1")]);
        assert_eq!(read(r#":tensorflow:serving:request_count{status="OK"} 3"#).0, ":tensorflow:serving:request_count");
        assert!(read("x NaN").2.is_nan() && read("x +Inf").2.is_infinite() && read("x -Inf").2 < 0.0);
        for silent in ["", "  ", "# TYPE x counter", "# EOF", "#", "\r"] {
            assert_eq!(sample(silent), Ok(None));
        }
    }

    #[test]
    fn what_is_no_sample_is_said() {
        for (line, expected) in [
            ("x", "no value"),
            ("x{a=\"b\"}", "no value"),
            ("x five", "a value that is no number"),
            ("9x 5", "no name of a metric"),
            ("{\"detail\": \"Not Found\"}", "no name of a metric"),
            ("<html> 1", "no name of a metric"),
            ("x{a=b} 1", "a label without quotes"),
            ("x{a=\"b 1", "a label's value without an end"),
            ("x{a=\"b\\", "a label's value without an end"),
            ("x{1a=\"b\"} 1", "no name of a label"),
            ("x{a", "labels without an end"),
        ] {
            assert_eq!(sample(line), Err(expected), "{line}");
        }
        let many = format!("x{{{}}} 1", "a=\"\",".repeat(65));
        assert_eq!(sample(&many), Err("more than 64 labels"));
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in "(?s).{0,200}") {
            let _ = sample(&line);
        }

        #[test]
        fn a_line_that_is_nearly_right_is_read(line in r#"[a:_]{1,3}\{?([ab,= \\"{}]{0,9})\}? ?[0-9eE+.N#-]{0,6}"#) {
            if let Ok(Some(sample)) = sample(&line) {
                prop_assert!(!sample.name.is_empty() && sample.labels.len() <= LABELS_MAX);
            }
        }

        #[test]
        fn what_is_written_is_read(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,12}",
            labels in prop::collection::vec(("[a-z_][a-z0-9_]{0,5}", "(?s).{0,12}"), 0..5),
            value in any::<f64>().prop_filter("a number", |value| !value.is_nan()),
        ) {
            let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let written: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
            let read = read(&format!("{name}{{{}}} {value}", written.join(",")));
            prop_assert_eq!(read, (name, labels, value));
        }
    }
}
