//! Texts of checks: the only file that names the minijinja crate.

use crate::words::{bytes, count, folded_command};
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, State, UndefinedBehavior, Value, filters};
use std::sync::LazyLock;

/// The values that templates are rendered over.
pub struct Values(Value);

impl Values {
    /// Takes the fields of a JSON object as variables. All are copied: make it once, not for each template.
    pub fn new(object: &serde_json::Value) -> Values {
        Values(Value::from(minijinja::value::Serde(object)))
    }
}

/// Renders a template over the known values; a fact that is not known reads "unknown".
pub fn render(source: &str, values: &Values) -> Result<String, String> {
    Ok(written(source, values)?.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Renders the template of a command: what it quotes stays as it is.
pub fn render_command(source: &str, values: &Values) -> Result<String, String> {
    Ok(folded_command(&written(source, values)?))
}

fn written(source: &str, values: &Values) -> Result<String, String> {
    ENVIRONMENT.render_str(source, values.0.clone()).map_err(|error| fault_in(source, &error))
}

/// What is wrong with a template, in one line: what the crate shows below it is for its own developers.
fn fault_in(source: &str, error: &Error) -> String {
    let said = error.detail().map_or(error.kind().to_string(), str::to_owned);
    format!("\"{}\": {}", source.trim(), said.lines().next().unwrap_or_default())
}

/// The paths that a template reads.
pub fn paths(source: &str) -> Result<Vec<String>, String> {
    let template = ENVIRONMENT.template_from_str(source).map_err(|error| fault_in(source, &error))?;
    let mut paths: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    paths.sort_unstable();
    Ok(paths)
}

/// What is wrong with a text that is no template: at which characters, and what. `None` if it is one.
///
/// Filters and functions are looked up when they are met: those of a branch that no fact opens here are not found.
pub fn fault(source: &str) -> Option<(std::ops::Range<usize>, String)> {
    use minijinja::ErrorKind::{
        SyntaxError, TemplateNotFound, UnknownFilter, UnknownFunction, UnknownMethod, UnknownTest,
    };
    let known = [SyntaxError, TemplateNotFound, UnknownFilter, UnknownFunction, UnknownMethod, UnknownTest];
    let error = match ENVIRONMENT.template_from_str(source) {
        Ok(template) => template.render(Value::UNDEFINED).err().filter(|error| known.contains(&error.kind()))?,
        Err(error) => error,
    };
    let bytes = error.range().unwrap_or(0..0);
    let characters = |end: usize| source.char_indices().take_while(|(at, _)| *at < end).count();
    let said = error.detail().map_or(error.kind().to_string(), str::to_owned);
    Some((characters(bytes.start)..characters(bytes.end), said))
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(|out, state, value| match value.kind() {
        ValueKind::Undefined | ValueKind::None => {
            out.write_str("unknown")?;
            Ok(())
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_filter("bytes", |number: Value| given(&number, |number| Ok(bytes(f64::try_from(number)?))));
    // For commands to copy: a path with a space stays one word.
    environment.add_filter("shell", |text: Value| {
        given(&text, |text| {
            let text = text.to_string();
            Ok(shlex::try_quote(&text).map_or(text.clone(), |quoted| quoted.into()))
        })
    });
    environment.add_filter("count", |items: Value, word: String| match items.is_undefined() {
        true => Ok(format!("an unknown number of {word}s")),
        false => items.try_iter().map(|items| count(items.count(), &word)),
    });
    // The crate's own give 0 for what is undefined.
    environment.add_filter("int", |state: &State, number: Value, rest: Kwargs| {
        given(&number, |number| filters::int(state, &number, None, None, rest))
    });
    environment.add_filter("float", |state: &State, number: Value, rest: Kwargs| {
        given(&number, |number| filters::float(state, &number, None, rest))
    });
    environment.add_filter("round", |number: Value, digits: Option<i32>, rest: Kwargs| {
        given(&number, |number| filters::round(number, digits, None, rest))
    });
    environment.add_filter("length", |items: Value| given(&items, |items| filters::length(&items)));
    environment
});

/// What a filter makes of a value; a fact that is not known stays so.
fn given<T: Into<Value>>(value: &Value, filter: impl FnOnce(Value) -> Result<T, Error>) -> Result<Value, Error> {
    if value.is_undefined() { Ok(Value::UNDEFINED) } else { filter(value.clone()).map(Into::into) }
}

#[cfg(test)]
mod tests {
    use super::Values;
    use serde_json::json;

    fn render(source: &str, values: &serde_json::Value) -> Result<String, String> {
        super::render(source, &Values::new(values))
    }

    #[test]
    fn a_missing_fact_reads_unknown_and_white_space_is_folded() {
        let text =
            render("onnxruntime {{ ort.version }}\n  at {{ ort.library }}", &json!({"ort": {"version": "1.23"}}));
        assert_eq!(text.unwrap(), "onnxruntime 1.23 at unknown");
    }

    #[test]
    fn filters_leave_what_is_not_known_unknown() {
        for (source, told) in [
            ("{{ a.b | round | int }} %", "unknown %"),
            ("{{ a.b | bytes }} and {{ a.b | shell }}", "unknown and unknown"),
            ("{{ a.b | count(\"GPU\") }}", "an unknown number of GPUs"),
            ("{{ a.b | length }} of {{ a.c | count(\"GPU\") }}", "unknown of 2 GPUs"),
            ("{{ a.n | round(1) }} {{ a.n | int }} {{ a.t | int }} {{ a.c | length }}", "2.5 2 7 2"),
        ] {
            assert_eq!(render(source, &json!({"a": {"c": [1, 2], "n": 2.46, "t": "7"}})).unwrap(), told, "{source}");
        }
    }

    #[test]
    fn what_is_no_template_says_where() {
        assert_eq!(super::fault("ü {{ a.b | count(\"x\") }}"), None);
        let (place, problem) = super::fault("ü {{ a.b }} {% if x %} {{ b | }}").unwrap();
        assert!((24..32).contains(&place.start) && !problem.is_empty(), "{place:?} {problem}");
        let (place, problem) = super::fault("{{ a.b | frobnicate }}").unwrap();
        assert!((0..10).contains(&place.start) && problem.contains("frobnicate"), "{place:?} {problem}");
    }

    #[test]
    fn a_fault_is_one_line() {
        let fault = render("a {{ b | frobnicate }}", &json!({"b": 1})).unwrap_err();
        assert_eq!(fault, "\"a {{ b | frobnicate }}\": filter frobnicate is unknown");
    }

    #[test]
    fn values_are_not_templates_and_are_not_escaped() {
        let text = render("{{ answer }}", &json!({"answer": "{\"detail\": \"<{{ x }}>\"}"}));
        assert_eq!(text.unwrap(), "{\"detail\": \"<{{ x }}>\"}");
    }

    #[test]
    fn bytes_read_as_people_say_them() {
        assert_eq!(render("{{ n|bytes }}", &json!({"n": 2_327_524})).unwrap(), "2.3 MB");
        assert_eq!(render("{{ n|bytes }}", &json!({"n": 12})).unwrap(), "12 B");
    }
}
