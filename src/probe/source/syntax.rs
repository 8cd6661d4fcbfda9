//! From tokens to imports, calls and single assignments.

use super::token::{Kind, Token, tokens};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Words before a bracket that make no call of it.
const KEYWORDS: &[&str] = &[
    "and", "as", "assert", "async", "await", "case", "class", "def", "del", "elif", "else", "except", "for", "from",
    "if", "import", "in", "is", "lambda", "not", "or", "raise", "return", "while", "with", "yield",
];
/// Longest name with dots that is followed.
const PARTS_MAX: usize = 8;
/// Longest text of tokens that is put together, bytes.
pub const WRITTEN_MAX: usize = 1200;
/// Statements behind whose colon another may stand on the same line.
const COMPOUND: &[&str] = &["try", "else", "finally", "if", "elif", "except", "with", "for", "while"];

/// One source file, taken apart.
pub struct Source<'a> {
    pub text: &'a str,
    pub tokens: Vec<Token>,
    /// The other bracket of each bracket.
    partners: BTreeMap<usize, usize>,
    /// What names stand for by import: `ort` for `onnxruntime`.
    aliases: BTreeMap<&'a str, String>,
    /// Modules that are imported, by their first name.
    pub imported: BTreeSet<&'a str>,
    /// Values of names that are assigned once; nothing for names that are bound in other ways too.
    assigned: BTreeMap<String, Option<Range<usize>>>,
}

/// A call.
pub struct Call {
    /// What is called, with imports resolved; it begins with a dot where an expression stands before it.
    pub callee: String,
    /// The token with which it begins, and the one behind its end.
    pub tokens: Range<usize>,
    /// The line on which the called name stands.
    pub line: usize,
    pub arguments: Vec<Argument>,
}

/// One argument: its name, if it has one, and its value.
pub struct Argument {
    pub name: Option<String>,
    pub value: Range<usize>,
    /// Whether it stands for any number of arguments (`*args`, `**options`).
    pub unpacked: bool,
}

impl<'a> Source<'a> {
    /// Takes a text apart.
    pub fn of(text: &'a str) -> Self {
        let tokens = tokens(text);
        let partners = partners(text, &tokens);
        let mut source = Self {
            text,
            tokens,
            partners,
            aliases: BTreeMap::new(),
            imported: BTreeSet::new(),
            assigned: BTreeMap::new(),
        };
        source.read_statements();
        source
    }

    /// The text of a token; empty behind the last.
    pub fn word(&self, index: usize) -> &'a str {
        self.tokens.get(index).and_then(|token| self.text.get(token.start..token.end)).unwrap_or_default()
    }

    fn kind(&self, index: usize) -> Option<Kind> {
        self.tokens.get(index).map(|token| token.kind)
    }

    /// Whether a token is a name or a keyword.
    pub fn is_name(&self, index: usize) -> bool {
        self.kind(index) == Some(Kind::Name)
    }

    /// Whether a token ends a logical line.
    pub fn ends_line(&self, index: usize) -> bool {
        self.kind(index) == Some(Kind::LineEnd)
    }

    /// The bracket that closes the one at `open`.
    pub fn closing(&self, open: usize) -> Option<usize> {
        self.partners.get(&open).copied().filter(|close| *close > open)
    }

    /// The bracket that opens the one at `close`.
    pub fn opening(&self, close: usize) -> Option<usize> {
        self.partners.get(&close).copied().filter(|open| *open < close)
    }

    /// The tokens as they are written, in one line and without comments; not many more than [`WRITTEN_MAX`] bytes of them.
    pub fn written(&self, range: Range<usize>) -> String {
        let mut written = String::new();
        let mut end = None;
        for index in range {
            if written.len() > WRITTEN_MAX {
                break;
            }
            let Some(token) = self.tokens.get(index).filter(|token| token.kind != Kind::LineEnd) else { continue };
            let apart = end.is_some_and(|end| end != token.start);
            let tight = written.ends_with(['(', '[', '{']) || token.kind == Kind::Close;
            if apart && !tight {
                written.push(' ');
            }
            written.push_str(self.word(index));
            end = Some(token.end);
        }
        written
    }

    /// Every call, in the order of the text.
    pub fn calls(&self) -> Vec<Call> {
        (0..self.tokens.len()).filter_map(|open| self.call(open)).collect()
    }

    fn call(&self, open: usize) -> Option<Call> {
        let close = *self.partners.get(&open).filter(|close| **close > open)?;
        let name = open.checked_sub(1).filter(|_| self.word(open) == "(")?;
        if !self.is_name(name) || KEYWORDS.contains(&self.word(name)) {
            return None;
        }
        let mut first = name;
        let mut parts = vec![self.word(name)];
        let mut of_expression = false;
        while let Some(dot) = first.checked_sub(1).filter(|dot| self.word(*dot) == ".") {
            match dot.checked_sub(1) {
                Some(before) if self.is_name(before) && parts.len() < PARTS_MAX => {
                    parts.push(self.word(before));
                    first = before;
                }
                _ => {
                    of_expression = true;
                    break;
                }
            }
        }
        if first.checked_sub(1).is_some_and(|before| ["def", "class"].contains(&self.word(before))) {
            return None;
        }
        parts.reverse();
        let written = parts.join(".");
        let callee = if of_expression { format!(".{written}") } else { self.resolved(&written) };
        let line = self.tokens.get(name)?.line;
        Some(Call { callee, tokens: first..close + 1, line, arguments: self.arguments(open, close) })
    }

    /// The name with its first part replaced by what it was imported as.
    fn resolved(&self, name: &str) -> String {
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        match self.aliases.get(first) {
            Some(module) if rest.is_empty() => module.clone(),
            Some(module) => format!("{module}.{rest}"),
            None => name.to_owned(),
        }
    }

    fn arguments(&self, open: usize, close: usize) -> Vec<Argument> {
        self.parts(open + 1..close).into_iter().map(|part| self.argument(part)).collect()
    }

    fn argument(&self, part: Range<usize>) -> Argument {
        let at = part.start;
        if self.is_name(at) && self.word(at + 1) == "=" && at + 1 < part.end {
            return Argument { name: Some(self.word(at).to_owned()), value: at + 2..part.end, unpacked: false };
        }
        Argument { name: None, unpacked: self.word(at) == "*", value: part }
    }

    /// The range cut at its commas, those inside brackets aside.
    pub fn parts(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        let (mut begin, mut at) = (range.start, range.start);
        while at < range.end {
            if self.word(at) == "," {
                parts.push(begin..at);
                begin = at + 1;
            }
            at = self.partners.get(&at).filter(|close| **close > at).map_or(at + 1, |close| close + 1);
        }
        parts.push(begin..range.end);
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// The value of a name that is assigned once in the file and bound in no other way; the range itself otherwise.
    pub fn value(&self, range: Range<usize>) -> Range<usize> {
        let name = self.written(range.clone());
        match self.assigned.get(&name) {
            Some(Some(value)) if !name.is_empty() => value.clone(),
            _ => range,
        }
    }

    /// The value of a name that is assigned once in the file and bound in no other way.
    pub fn assigned_once(&self, name: &str) -> Option<Range<usize>> {
        self.assigned.get(name).cloned().flatten()
    }

    /// The bracket that belongs to the one at `index`.
    pub fn partner(&self, index: usize) -> Option<usize> {
        self.partners.get(&index).copied()
    }

    /// Logical lines: imports, assignments, and what else binds a name.
    fn read_statements(&mut self) {
        let mut begin = 0;
        let mut statements = Vec::new();
        for (index, token) in self.tokens.iter().enumerate() {
            if token.kind == Kind::LineEnd || (token.kind == Kind::Operator && self.word(index) == ";") {
                statements.push(begin..index);
                begin = index + 1;
            }
        }
        statements.push(begin..self.tokens.len());
        for statement in statements {
            // `try: import x`
            let compound = COMPOUND.contains(&self.word(statement.start));
            let colon = statement.clone().take(16).find(|at| compound && self.word(*at) == ":");
            self.read_statement(colon.map_or(statement.clone(), |colon| colon + 1..statement.end));
            self.forget_others(&statement);
        }
    }

    fn read_statement(&mut self, statement: Range<usize>) {
        match self.word(statement.start) {
            "import" => self.import(statement.start + 1..statement.end),
            "from" => self.import_from(statement),
            _ => self.assignment(statement),
        }
    }

    /// `import a.b as c, d`.
    fn import(&mut self, names: Range<usize>) {
        for part in self.parts(names) {
            let module: String = part.clone().map(|at| self.word(at)).take_while(|word| *word != "as").collect();
            let first = self.word(part.start);
            self.imported.insert(first);
            let renamed = part.clone().find(|at| self.word(*at) == "as").map(|at| self.word(at + 1));
            match renamed {
                Some(name) => drop(self.aliases.insert(name, module)),
                None => drop(self.aliases.insert(first, first.to_owned())),
            }
        }
    }

    /// `from a.b import (c as d, e)`.
    fn import_from(&mut self, statement: Range<usize>) {
        let Some(import) = statement.clone().find(|at| self.word(*at) == "import") else { return };
        let module: String = (statement.start + 1..import).map(|at| self.word(at)).collect();
        if self.is_name(statement.start + 1) {
            self.imported.insert(self.word(statement.start + 1));
        }
        let names = match self.word(import + 1) {
            "(" => import + 2..self.partners.get(&(import + 1)).copied().unwrap_or(statement.end),
            _ => import + 1..statement.end,
        };
        for part in self.parts(names) {
            let name = self.word(part.start);
            let renamed = part.clone().find(|at| self.word(*at) == "as").map_or(name, |at| self.word(at + 1));
            if self.is_name(part.start) {
                self.aliases.insert(renamed, format!("{module}.{name}"));
            }
        }
    }

    /// `name = value`, `self.name = value`, `name: type = value`.
    fn assignment(&mut self, statement: Range<usize>) {
        let mut at = statement.start;
        while at < statement.end && (self.is_name(at) || self.word(at) == ".") {
            at += 1;
        }
        let target = self.written(statement.start..at);
        if target.is_empty() || KEYWORDS.contains(&self.word(statement.start)) {
            return;
        }
        if self.word(at) == ":" {
            at = (at..statement.end).find(|at| self.word(*at) == "=").unwrap_or(statement.end);
        }
        let value = (self.word(at) == "=").then(|| at + 1..statement.end);
        if let Some(value) = value {
            let twice = self.assigned.contains_key(&target);
            self.assigned.insert(target, (!twice).then_some(value));
        } else if self.word(at).len() == 2 && self.word(at).ends_with('=') && self.word(at) != "==" {
            self.assigned.insert(target, None);
        }
    }

    /// Parameters, loop variables and lists that grow have no one value.
    fn forget_others(&mut self, statement: &Range<usize>) {
        let defines = statement.clone().take(3).any(|at| self.word(at) == "def");
        let mut forgotten = Vec::new();
        for at in statement.clone().filter(|at| self.is_name(*at)) {
            let before = at.checked_sub(1).map_or("", |before| self.word(before));
            let grows = self.word(at + 1) == "."
                && ["append", "insert", "extend", "remove", "pop", "clear"].contains(&self.word(at + 2));
            let bound = ["for", "as", "global"].contains(&before) || self.word(at + 1) == ":=";
            let parameter = defines && ["(", ",", "*"].contains(&before) && at > statement.start + 1;
            if grows || bound || parameter {
                forgotten.push(self.word(at).to_owned());
                forgotten.push(format!("self.{}", self.word(at)));
            }
        }
        self.assigned.extend(forgotten.into_iter().map(|name| (name, None)));
    }
}

/// Pairs of brackets that belong together, both ways. Those that do not match have none.
fn partners(text: &str, tokens: &[Token]) -> BTreeMap<usize, usize> {
    let mut partners = BTreeMap::new();
    let mut open: Vec<(usize, &str)> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let word = text.get(token.start..token.end).unwrap_or_default();
        match token.kind {
            Kind::Open => open.push((index, word)),
            Kind::Close => {
                if let Some((begin, _)) =
                    open.pop().filter(|(_, begin)| matches!((*begin, word), ("(", ")") | ("[", "]") | ("{", "}")))
                {
                    partners.insert(begin, index);
                    partners.insert(index, begin);
                }
            }
            // The end of a logical line is only given outside of brackets, or where they were left open.
            Kind::LineEnd => open.clear(),
            _ => {}
        }
    }
    partners
}
