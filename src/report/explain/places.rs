//! A text of a check as it stands before any run: what depends on the facts becomes a place to fill in.

use super::expression::{Named, Names, bare, in_a_list_of_one, list, named, place};
use crate::words::folded_command;
use regex::Regex;
use std::sync::LazyLock;

/// Of the branches of a condition in words: `one (or: another)`.
pub const SENTENCES: &str = "(or: ";
/// Of the branches of a condition in a command.
pub const COMMANDS: &str = "  # or: ";

/// A text without its template marks: what depends on the facts of a run reads as `<its.path>`, and of the branches of a
/// condition each is told: `<one or another>` for words, `between` them otherwise.
pub fn filled(template: &str, between: &str) -> String {
    let mut open = vec![Branches::default()];
    let mut names = Names::new();
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
        let words: Vec<&str> = mark.split_whitespace().collect();
        match words.as_slice() {
            _ if expression => {
                let place = place(mark, &names);
                // `{{ x[:1] | upper }}{{ x[1:] }}` is one text.
                let again = place.starts_with('<') && open.last().is_some_and(|last| last.current.ends_with(&place));
                if !again {
                    write(&mut open, &place);
                }
            }
            // What stands in it is no template.
            ["raw"] => {
                let (literal, after) = rest.split_once("{% endraw %}").unwrap_or((rest, ""));
                write(&mut open, literal);
                rest = after;
            }
            ["set", name, "=", ..] => {
                let value = mark.split_once('=').map_or("", |(_, value)| value);
                let value = named(value, &names);
                names.insert((*name).into(), value);
            }
            ["set", name] => {
                let (value, after) = rest.split_once("{% endset %}").unwrap_or((rest, ""));
                names.insert((*name).into(), Named::Path(bare(&filled(value, between))));
                rest = after;
            }
            ["for", name, "in", ..] => {
                let gone_through = mark.split_once(" in ").map_or("", |(_, list)| list);
                let path = list(gone_through, &names);
                names.insert(name.trim_end_matches(',').into(), Named::Path(format!("{path}[]")));
            }
            ["if", condition @ ..] => {
                open.push(Branches { decided: in_a_list_of_one(&condition.join(" ")), ..Branches::default() });
            }
            ["elif" | "else", ..] => open.iter_mut().last().into_iter().for_each(Branches::next),
            ["endif"] if open.len() > 1 => {
                let told = open.pop().unwrap_or_default().told(between);
                write(&mut open, &told);
            }
            _ => {}
        }
    }
    write(&mut open, rest);
    let text: String = open.into_iter().map(|branches| branches.told(between)).collect();
    match between {
        SENTENCES => tidied(&text.split_whitespace().collect::<Vec<_>>().join(" ")),
        _ => folded_command(&text),
    }
}

/// Where what is left out has stood, no space before a comma and no two marks in a row.
fn tidied(text: &str) -> String {
    static SPACE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r" ([,;:.)])( |$)").expect("a fixed pattern"));
    static TWO_MARKS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[,;:] *([.;,])( |$)").expect("a fixed pattern"));
    let text = text.replace("><", "> <");
    let text = SPACE.replace_all(&text, "$1$2");
    TWO_MARKS.replace_all(&text, "$1$2").into_owned()
}

/// Which parts of a template depend on the facts.
#[derive(Debug, Default, PartialEq)]
pub struct Depends {
    /// Some part is left out where it does not apply.
    pub in_part: bool,
    /// There is no part that is always told.
    pub as_whole: bool,
}

/// Which parts of a template depend on the facts: those of an `if` without `else`, and what is told of each in a list.
pub fn depends(template: &str) -> Depends {
    static TAG: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?s)\{%-?\s*(\w+)\s*(.*?)\s*-?%\}").expect("a fixed pattern"));
    let mut depends = Depends::default();
    let mut open: Vec<bool> = Vec::new();
    let (mut start, mut always) = (0, false);
    for tag in TAG.captures_iter(template) {
        let (Some(whole), word, rest) = (tag.get(0), &tag[1], &tag[2]) else { continue };
        always |= !open.contains(&true) && !template[start..whole.start()].trim().is_empty();
        start = whole.end();
        match word {
            "if" => open.push(in_a_list_of_one(rest).is_none()),
            "for" => open.push(true),
            // One branch or another is told.
            "else" => open.iter_mut().last().into_iter().for_each(|last| *last = false),
            "endif" => depends.in_part |= open.pop().unwrap_or_default(),
            "endfor" => drop(open.pop()),
            _ => {}
        }
    }
    always |= !template[start..].trim().is_empty();
    depends.as_whole = !always && !template.trim().is_empty();
    depends
}

fn write(open: &mut [Branches], text: &str) {
    if let Some(branches) = open.last_mut() {
        // Of parts of which one is told as a rule, each is a sentence.
        if branches.current.ends_with('.') && text.starts_with(char::is_uppercase) {
            branches.current.push(' ');
        }
        branches.current.push_str(text);
    }
}

/// Whether it is one word; a place to fill in is a word, whatever stands in it.
fn is_word(text: &str) -> bool {
    let mut inside = false;
    let words = text.chars().filter(|c| {
        inside = (inside || *c == '<') && *c != '>';
        !inside
    });
    let word = words.collect::<String>();
    // A place with something around it is no word among others: `<pci_address>.0 or 0`.
    word.split_whitespace().count() == 1 && (word == ">" || !word.contains('>'))
}

/// The branches of one condition.
#[derive(Default)]
struct Branches {
    /// Whether the first is taken or not, where no fact decides it.
    decided: Option<bool>,
    before: Vec<String>,
    current: String,
}

impl Branches {
    fn next(&mut self) {
        self.before.push(std::mem::take(&mut self.current));
    }

    fn told(mut self, between: &str) -> String {
        self.next();
        match self.decided {
            Some(true) => self.before.truncate(1),
            Some(false) => drop(self.before.remove(0)),
            None => {}
        }
        if self.before.len() == 1 {
            return self.before.remove(0);
        }
        self.before.retain(|branch| !branch.trim().is_empty());
        match self.before.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            // A comma or a full stop, by what follows.
            [first, ..] if !self.before.iter().any(|branch| branch.contains(char::is_alphanumeric)) => first.clone(),
            words if words.iter().all(|branch| is_word(branch)) => {
                format!("<{}>", words.iter().map(|word| bare(word.trim())).collect::<Vec<_>>().join(" or "))
            }
            [first, others @ ..] if between == SENTENCES => {
                others.iter().fold(first.trim_end().to_owned(), |told, other| {
                    let other = other.trim().trim_start_matches([',', ';', ':', '.']).trim_start();
                    let or =
                        if other.starts_with(char::is_uppercase) && told.ends_with(['.', ')']) { "Or" } else { "or" };
                    format!("{told} ({or}: {other})")
                }) + if others.last().is_some_and(|last| last.ends_with(' ')) { " " } else { "" }
            }
            commands => commands.join(between),
        }
    }
}

#[cfg(test)]
mod tests {
    fn instruction(template: &str) -> String {
        super::filled(template, super::SENTENCES)
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
        assert_eq!(instruction("{{ {\"a\": \"b\"}[container.kind] | default(\"d\") }} run"), "<one of b, d> run");
    }

    #[test]
    fn names_of_the_template_are_what_they_stand_for() {
        let text = "{% set all = (ort.missing or []) | list %}{{ all | join(', ') }}: \
                    {% for one in all if one.package %}{{ one.soname }} {% endfor %}{{ \"x y\" }}";
        assert_eq!(instruction(text), "<ort.missing>: <ort.missing[].soname> x y");
        assert_eq!(
            instruction("{{ a.b[1:] }} {{ \"is\" if a.c else \"are\" }} x{{ \", \" if not loop.last }}"),
            "<a.b> <is or are> x"
        );
        assert_eq!(instruction("x{% if a %}.{% else %},{% endif %} y {% if b %}{% endif %}, z"), "x. y, z");
        for (template, told) in [
            (
                "nvidia-{{ (nvml.driver_version or \"V\") | split(\".\") | first }}",
                "nvidia-<first number of nvml.driver_version>",
            ),
            (
                "{% for l in ort.missing %}{{ l.soname | replace(\".so.\", \"|\") | split(\"|\") | last | first }}{% endfor %}",
                "<last number of ort.missing[].soname>",
            ),
            (
                "{% set t = {\"75\": \"turing-\", \"80\": \"\", \"86\": \"86-\"} %}\"{{ t[a.b] or \"the version\" }}\"",
                "\"<one of turing-, 86->\"",
            ),
            (
                "{{ {\"75\":\"turing-\",\"86\":\"86-\"}[a.b] | default(\"\") }}latest",
                "<one of turing-, 86- or nothing>latest",
            ),
            ("{% if x %}{{ a.id[:12] }}{% else %}C{% endif %} -b", "<first 12 characters of a.id or C> -b"),
            ("{% if x %}{{ a.b }}.0{% else %}0{% endif %}", "<a.b>.0 (or: 0)"),
            ("{% for x in (a.b if a.c else []) %}{{ x.y }}{% endfor %}", "<a.b[].y>"),
            ("{{ a.b[:1] | upper }}{{ a.b[1:] }} x {{ a.c }}{{ a.d }}", "<a.b> x <a.c> <a.d>"),
            ("GPU{{ \"s\" if a.n != 1 else \"\" }} {{ [a.b | int, 1] | max }}", "GPUs <a.b>"),
            ("{% set m = f | selectattr(\"x\") | list or f %}{{ m[0].name }}", "<f[].name>"),
            ("fit{{- (\" \" ~ a.b) if a.b }}", "fit <a.b>"),
            ("{{ (\"server: \" ~ target.server) | shell }}", "'server: <target.server>'"),
            ("{% if x %}{{ a.b }}{% else %}C{% endif %}", "<a.b or C>"),
            ("{{ a.list | length - 1 }} more", "<number of a.list less 1> more"),
            ("{{ a.code if a.code in [1, 2] else 3 }}", "<a.code or 3>"),
            (
                "{% set p = a.b | split(\":\") | list %}{{ p[0] }} {{ p[1] }}",
                "<first part of a.b> <second part of a.b>",
            ),
            ("{{ a.id[:12] }}", "<first 12 characters of a.id>"),
            (
                "{% for x in a.b %}{% if not loop.first %}, {% endif %}{{ x.c }}{% if not loop.last %}; {% endif %}{% endfor %}.",
                "<a.b[].c>.",
            ),
        ] {
            assert_eq!(instruction(template), told, "{template}");
        }
        let text = "{{ a.libraries | map(attribute=\"name\") | join(', ') }}: {{ a.libraries | count(\"library\") }}";
        assert_eq!(instruction(text), "<a.libraries[].name>: <number> libraries");
        assert_eq!(instruction("docker ps -f {% raw %}{{.ID}}{% endraw %} x"), "docker ps -f {{.ID}} x");
        assert_eq!(instruction("{% set a %}{{ b.c }}{% endset %}at {{ a }}"), "at <b.c>");
    }

    #[test]
    fn what_depends_on_the_facts_is_known() {
        use super::{Depends, depends};
        for (template, in_part, as_whole) in [
            ("Do {{ a.b }}.", false, false),
            ("", false, false),
            ("Do{% if a %} it{% endif %}.", true, false),
            ("{% if a %}Do it.{% endif %}", true, true),
            ("{% if a %}Do it.{% else %}Do that.{% endif %}", false, false),
            ("{% set x = a.b %}{% for y in x %}{{ y }}{% if not loop.last %}, {% endif %}{% endfor %}", false, true),
        ] {
            assert_eq!(depends(template), Depends { in_part, as_whole }, "{template}");
        }
    }

    #[test]
    fn branches_do_not_run_together() {
        assert_eq!(instruction("cu{% if x %}118{% elif y %}126{% else %}128{% endif %}"), "cu<118 or 126 or 128>");
        assert_eq!(instruction("{% if x -%} Do this. {%- else %}Do that.{% endif %}"), "Do this. (Or: Do that.)");
        assert_eq!(
            instruction("Told.{% for x in a %}Of that.{% endfor %}{% if b %}The end.{% endif %}"),
            "Told. Of that. The end."
        );
        assert_eq!(instruction("a{% if x %}, b c{% else %}; d e{% endif %}."), "a, b c (or: d e).");
        assert_eq!(
            instruction("run{% if x %} -f {{ a.b }}{% endif %}{% if y %}{% else %} now{% endif %}"),
            "run -f <a.b> now"
        );
        assert_eq!(
            instruction("{% if a %}x {% if b %}1{% else %}2{% endif %}{% else %}y z{% endif %}"),
            "x <1 or 2> (or: y z)"
        );
    }
}
