//! A shell's words, without a shell: quotes, comments, continued lines, here-documents, and variables that the same text
//! sets. Nothing is run.

use std::collections::BTreeMap;

/// Stands in a word for what only a shell could put there.
pub const HOLE: char = '\0';
/// Deepest command inside a command (`$(...)`).
const DEPTH: usize = 8;
/// Passes in which variables that are set by other variables become known.
const PASSES: usize = 4;

/// One word of a command.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Word {
    /// The text, with a [`HOLE`] for each part that is not known.
    pub text: String,
    /// What the first hole stands for: `the shell variable TOKEN`.
    pub open: Option<String>,
}

/// What a command reads from its standard input.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A here-document or here-string.
    Text(Word),
    /// `< FILE`.
    File(Word),
}

/// One command: its words, its input and the line on which it begins, from 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Command {
    pub words: Vec<Word>,
    pub input: Option<Input>,
    pub line: usize,
}

type Variables = BTreeMap<String, Option<String>>;

/// Every command of the text, those inside `$(...)` included.
pub fn commands(text: &str) -> Result<Vec<Command>, String> {
    // Windows editors begin a file with a byte order mark and end its lines with two characters.
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace(HOLE, " ");
    // cmd.exe continues lines with ^ and escapes with it; it has no variables of ours.
    let for_cmd = text.contains(" ^\n") || text.contains("^\"");
    let text = if for_cmd { without_carets(&text) } else { text };
    let characters: Vec<char> = text.chars().collect();
    let mut variables = Variables::new();
    for _ in 0..PASSES {
        let mut reader = Reader::new(&characters, &variables, for_cmd);
        reader.read(false, 0)?;
        let set = assignments(&reader.found);
        if set == variables {
            return Ok(reader.found);
        }
        variables = set;
    }
    let mut reader = Reader::new(&characters, &variables, for_cmd);
    reader.read(false, 0)?;
    Ok(reader.found)
}

fn without_carets(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '^' => match characters.next() {
                Some('\n') => plain.push(' '),
                Some(escaped) => plain.push(escaped),
                None => {}
            },
            c => plain.push(c),
        }
    }
    plain
}

/// Variables that are set to one known value; nothing for those that are set twice, read or looped over.
fn assignments(commands: &[Command]) -> Variables {
    let mut set = Variables::new();
    for command in commands {
        let mut words = command.words.iter().peekable();
        let first = words.peek().map(|word| word.text.as_str()).unwrap_or_default();
        if matches!(first, "for" | "read" | "while" | "select") {
            words.skip(1).for_each(|word| drop(set.insert(word.text.clone(), None)));
            continue;
        }
        if matches!(first, "export" | "local" | "declare" | "readonly") {
            words.next();
        }
        let pairs: Vec<_> = words.map(|word| (assigned(&word.text), word)).collect();
        // `NAME=value command` sets it for that command alone.
        if pairs.iter().any(|(pair, word)| pair.is_none() && !word.text.starts_with('-')) {
            continue;
        }
        for (pair, word) in pairs {
            let Some((name, value)) = pair else { continue };
            let value = word.open.is_none().then(|| value.to_owned());
            set.entry(name.to_owned()).and_modify(|old| *old = None).or_insert(value);
        }
    }
    set
}

fn assigned(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    is_name(name).then_some((name, value))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

struct Reader<'a> {
    characters: &'a [char],
    at: usize,
    line: usize,
    variables: &'a Variables,
    /// The text was written for cmd.exe.
    for_cmd: bool,
    found: Vec<Command>,
    command: Command,
    word: Option<Word>,
    /// Here-documents that begin on the next line: delimiter, whether it was quoted, whether tabs are cut.
    documents: Vec<(String, bool, bool)>,
}

impl<'a> Reader<'a> {
    fn new(characters: &'a [char], variables: &'a Variables, for_cmd: bool) -> Self {
        let (found, command, word, documents) = (Vec::new(), Command::default(), None, Vec::new());
        Self { characters, at: 0, line: 1, variables, for_cmd, found, command, word, documents }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().text.push(c);
    }

    fn hole(&mut self, what: String) {
        let word = self.word.get_or_insert_default();
        word.text.push(HOLE);
        word.open.get_or_insert(what);
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take() {
            if self.command.words.is_empty() {
                self.command.line = self.line;
            }
            self.command.words.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        let command = std::mem::take(&mut self.command);
        if !command.words.is_empty() {
            self.found.push(command);
        }
    }

    /// Reads to the end, or to the bracket that closes a command inside another one.
    fn read(&mut self, inside: bool, depth: usize) -> Result<(), String> {
        while let Some(c) = self.next() {
            match c {
                ')' if inside => {
                    self.end_command();
                    return Ok(());
                }
                '\n' => self.line_end(),
                c if c.is_whitespace() => self.end_word(),
                '#' if self.word.is_none() => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.next();
                    }
                }
                '\\' if !self.for_cmd => match self.next() {
                    Some('\n') => {}
                    Some(escaped) => self.push(escaped),
                    None => return Err(UNCLOSED.into()),
                },
                '\'' if !self.for_cmd => self.single()?,
                '"' => self.double(depth)?,
                '$' | '`' if !self.for_cmd => self.expansion(c, depth)?,
                '|' | '(' | ')' => self.end_command(),
                // Inside a word they are taken for a part of it, as by whoever forgot the quotes around a URL.
                '&' | ';' if self.word.is_none() || self.peek(0).is_none_or(|c| c.is_whitespace() || c == '&') => {
                    self.end_command();
                }
                '<' | '>' => self.redirection(c)?,
                c => self.push(c),
            }
        }
        self.end_command();
        if inside { Err(UNCLOSED.into()) } else { Ok(()) }
    }

    fn line_end(&mut self) {
        self.end_word();
        let documents = std::mem::take(&mut self.documents);
        for (delimiter, quoted, tabs) in documents {
            let word = self.document(&delimiter, quoted, tabs);
            self.command.input = Some(Input::Text(word));
        }
        // Options on a line of their own belong to the command before, though a backslash was forgotten.
        let next = self.characters.iter().skip(self.at).find(|c| !matches!(c, ' ' | '\t'));
        if next != Some(&'-') {
            self.end_command();
        }
    }

    fn document(&mut self, delimiter: &str, quoted: bool, tabs: bool) -> Word {
        let mut word = Word::default();
        while self.at < self.characters.len() {
            let mut line = String::new();
            while let Some(c) = self.next().filter(|c| *c != '\n') {
                line.push(c);
            }
            let line = if tabs { line.trim_start_matches('\t') } else { &line };
            if line == delimiter {
                break;
            }
            if !quoted && (line.contains('`') || line.contains('$')) {
                word.open.get_or_insert("what a shell puts into the here-document".into());
            }
            word.text += line;
            word.text.push('\n');
        }
        word
    }

    fn redirection(&mut self, sign: char) -> Result<(), String> {
        // `2>`: the number is no word.
        if self.word.as_ref().is_some_and(|word| word.text.chars().all(|c| c.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        let mut signs = 1;
        while self.peek(0) == Some(sign) && signs < 3 {
            self.next();
            signs += 1;
        }
        let tabs = sign == '<' && signs == 2 && self.peek(0) == Some('-');
        while matches!(self.peek(0), Some('&' | ' ' | '\t')) || tabs && self.peek(0) == Some('-') {
            self.next();
        }
        let quoted = matches!(self.peek(0), Some('\'' | '"' | '\\'));
        while let Some(c) = self.peek(0).filter(|c| !c.is_whitespace() && !matches!(c, ';' | '|' | '&' | ')')) {
            self.next();
            match c {
                '\'' => self.single()?,
                '"' => self.double(DEPTH)?,
                '\\' => {}
                '$' | '`' => self.expansion(c, DEPTH)?,
                c => self.push(c),
            }
        }
        let target = self.word.take().unwrap_or_default();
        match (sign, signs) {
            ('<', 1) => self.command.input = Some(Input::File(target)),
            ('<', 2) => self.documents.push((target.text, quoted, tabs)),
            ('<', _) => {
                let text = format!("{}\n", target.text);
                self.command.input = Some(Input::Text(Word { text, ..target }));
            }
            _ => {}
        }
        Ok(())
    }

    fn single(&mut self) -> Result<(), String> {
        self.word.get_or_insert_default();
        loop {
            match self.next().ok_or(UNCLOSED)? {
                '\'' => return Ok(()),
                c => self.push(c),
            }
        }
    }

    fn double(&mut self, depth: usize) -> Result<(), String> {
        self.word.get_or_insert_default();
        loop {
            match self.next().ok_or(UNCLOSED)? {
                '"' => return Ok(()),
                '\\' => match self.next().ok_or(UNCLOSED)? {
                    '\n' => {}
                    c @ ('"' | '\\' | '$' | '`') => self.push(c),
                    c => {
                        self.push('\\');
                        self.push(c);
                    }
                },
                c @ ('$' | '`') if !self.for_cmd => self.expansion(c, depth)?,
                c => self.push(c),
            }
        }
    }

    /// What stands behind a `$` or a backquote.
    fn expansion(&mut self, sign: char, depth: usize) -> Result<(), String> {
        if sign == '`' {
            while self.next().ok_or(UNCLOSED)? != '`' {}
            self.hole("the output of a command".into());
            return Ok(());
        }
        match self.peek(0) {
            Some('\'') => {
                self.next();
                self.ansi()?;
            }
            Some('"') => {}
            Some('(') => {
                self.next();
                if depth >= DEPTH {
                    return Err("commands inside commands, too deep to be read".into());
                }
                let outer = (std::mem::take(&mut self.command), self.word.take());
                self.read(true, depth + 1)?;
                (self.command, self.word) = outer;
                self.hole("the output of a command".into());
            }
            Some('{') => {
                self.next();
                let mut name = String::new();
                while let Some(c) = self.next().filter(|c| *c != '}') {
                    name.push(c);
                }
                self.variable(&name);
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = self.peek(0).filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.next();
                }
                self.variable(&name);
            }
            Some(c) if c.is_ascii_digit() || matches!(c, '@' | '*' | '?') => {
                self.next();
                self.hole("an argument of the script".into());
            }
            _ => self.push('$'),
        }
        Ok(())
    }

    fn variable(&mut self, name: &str) {
        match self.variables.get(name) {
            Some(Some(value)) => value.chars().for_each(|c| self.push(c)),
            _ => {
                let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                self.hole(format!("the shell variable {name}"));
            }
        }
    }

    /// `$'...'`, as browsers write bodies with quotes or line ends inside.
    fn ansi(&mut self) -> Result<(), String> {
        self.word.get_or_insert_default();
        loop {
            let c = match self.next().ok_or(UNCLOSED)? {
                '\'' => return Ok(()),
                '\\' => match self.next().ok_or(UNCLOSED)? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'e' | 'E' => '\u{1b}',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    'x' => self.number(16, 2),
                    'u' => self.number(16, 4),
                    'U' => self.number(16, 8),
                    digit @ '0'..='7' => {
                        self.at -= 1;
                        debug_assert!(digit.is_ascii_digit());
                        self.number(8, 3)
                    }
                    other => other,
                },
                c => c,
            };
            self.push(c);
        }
    }

    fn number(&mut self, base: u32, digits: usize) -> char {
        let mut value = 0_u32;
        for _ in 0..digits {
            let Some(digit) = self.peek(0).and_then(|c| c.to_digit(base)) else { break };
            value = value.saturating_mul(base).saturating_add(digit);
            self.next();
        }
        char::from_u32(value).filter(|c| *c != HOLE).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

const UNCLOSED: &str = "the curl command has an unclosed quote or bracket, or ends in a backslash";
