//! One check, explained from its own YAML.

use crate::check::{Spec, Step};
use std::io::Write;

/// Writes what a check means, how it is told and what to do.
pub fn explain(spec: &Spec, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{}: {}", spec.id, spec.title)?;
    let kind = if spec.symptom { "symptom" } else { "cause" };
    writeln!(out, "stage {}, {kind}, severity {}, {}", spec.stage, spec.severity.name(), spec.confidence.name())?;
    section(out, "What it means", &spec.means)?;
    section(out, "How it is told from its neighbours", &spec.told_apart)?;
    section(out, "It holds when", &spec.when)?;
    if let Some(warn_if) = &spec.warn_if {
        section(out, "It is only a warning when", warn_if)?;
    }
    if let Some(proven_if) = &spec.proven_if {
        section(out, "It is proven when", proven_if)?;
    }
    writeln!(out, "\nIts proof: {}", spec.evidence.join(", "))?;
    if !spec.explains.is_empty() {
        writeln!(out, "It explains: {}", spec.explains.join(", "))?;
    }
    writeln!(out, "\nWhat to do")?;
    for Step { say, run } in &spec.fix {
        let (say, run) = (instruction(say, " / "), instruction(run, "  # or: "));
        if !say.is_empty() {
            writeln!(out, "  - {say}")?;
        }
        if !run.is_empty() {
            writeln!(out, "      {run}")?;
        }
    }
    if !spec.docs.is_empty() {
        writeln!(out, "\nRead more")?;
        spec.docs.iter().try_for_each(|link| writeln!(out, "  {link}"))?;
    }
    Ok(())
}

fn section(out: &mut dyn Write, title: &str, text: &str) -> std::io::Result<()> {
    writeln!(out, "\n{title}\n  {}", text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A step without its template marks: what depends on the facts of a run reads as `<its.path>`, and of the branches of a
/// condition each is told: `<one or another>` for words, `between` them otherwise.
fn instruction(template: &str, between: &str) -> String {
    let mut open = vec![Branches::default()];
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        write(&mut open, &rest[..start]);
        let (expression, close) = match &rest[start..] {
            mark if mark.starts_with("{{") => (true, "}}"),
            mark if mark.starts_with("{%") => (false, "%}"),
            _ => {
                write(&mut open, "{");
                rest = &rest[start + 1..];
                continue;
            }
        };
        let end = rest[start + 2..].find(close).map_or(rest.len(), |end| start + 2 + end);
        let mark = rest[start + 2..end].trim_matches(['-', ' ', '\n']);
        rest = rest.get(end + 2..).unwrap_or("");
        match mark.split_whitespace().next() {
            _ if expression => write(&mut open, &place(mark)),
            Some("if") => open.push(Branches::default()),
            Some("elif" | "else") => open.iter_mut().last().into_iter().for_each(Branches::next),
            Some("endif") if open.len() > 1 => {
                let told = open.pop().unwrap_or_default().told(between);
                write(&mut open, &told);
            }
            _ => {}
        }
    }
    write(&mut open, rest);
    let text: String = open.into_iter().map(|branches| branches.told(between)).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn write(open: &mut [Branches], text: &str) {
    if let Some(branches) = open.last_mut() {
        branches.current.push_str(text);
    }
}

/// The branches of one condition.
#[derive(Default)]
struct Branches {
    before: Vec<String>,
    current: String,
}

impl Branches {
    fn next(&mut self) {
        self.before.push(std::mem::take(&mut self.current));
    }

    fn told(mut self, between: &str) -> String {
        if self.before.is_empty() {
            return self.current;
        }
        self.next();
        self.before.retain(|branch| !branch.trim().is_empty());
        match self.before.as_slice() {
            [one] => one.clone(),
            words if words.iter().all(|branch| branch.split_whitespace().count() == 1) => {
                format!("<{}>", words.iter().map(|word| word.trim()).collect::<Vec<_>>().join(" or "))
            }
            sentences => sentences.join(between),
        }
    }
}

/// The place to fill in that stands for an expression: the path whose value it is made of.
fn place(expression: &str) -> String {
    // `{"a": "b"}[path]` is a word for the value at the path.
    let path = match expression.strip_prefix('{').and_then(|map| map.split_once("}[")) {
        Some((_, index)) => index.split(']').next().unwrap_or(index),
        None => expression,
    };
    let path = [" | ", " or ", " if ", "[:"].iter().fold(path, |path, end| path.split(end).next().unwrap_or(path));
    format!("<{}>", path.trim_matches(['{', '}', '(', ')', ' ']))
}

#[cfg(test)]
mod tests {
    fn instruction(template: &str) -> String {
        super::instruction(template, " / ")
    }

    #[test]
    fn template_marks_become_places_to_fill_in() {
        assert_eq!(
            instruction("kill {{ a.b[0].pid | int }}{% if x %} now{% endif %} {json}"),
            "kill <a.b[0].pid> now {json}"
        );
        assert_eq!(instruction("{{ never closed"), "<never closed>");
        assert_eq!(instruction("{% never closed"), "");
        assert_eq!(instruction("{% endif %}{% else %}a"), "a");
        assert_eq!(instruction("lib-{{ (nvml.version or \"VERSION\") | major }}"), "lib-<nvml.version>");
        assert_eq!(instruction("{{ {\"a\": \"b\"}[container.kind] | default(\"d\") }} run"), "<container.kind> run");
    }

    #[test]
    fn branches_do_not_run_together() {
        assert_eq!(instruction("cu{% if x %}118{% elif y %}126{% else %}128{% endif %}"), "cu<118 or 126 or 128>");
        assert_eq!(instruction("{% if x -%} Do this. {%- else %}Do that.{% endif %}"), "Do this. / Do that.");
        assert_eq!(
            instruction("run{% if x %} -f {{ a.b }}{% endif %}{% if y %}{% else %} now{% endif %}"),
            "run -f <a.b> now"
        );
        assert_eq!(
            instruction("{% if a %}x {% if b %}1{% else %}2{% endif %}{% else %}y z{% endif %}"),
            "x <1 or 2> / y z"
        );
    }
}
