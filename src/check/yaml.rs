//! YAML with places: the only file that names the saphyr-parser crate. serde tells where something is wrong only while it
//! reads; a misspelt path is found later.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashMap;

/// Deepest nesting. A check needs 4.
const DEEPEST: usize = 32;
/// Most values, with those that an alias repeats. A check has less than 200.
const MOST_VALUES: usize = 20_000;

/// A place in a text: characters from its start, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The first character, counted from 0.
    pub start: usize,
    /// How many characters; at least 1.
    pub length: usize,
}

/// A text as YAML.
pub struct Document {
    text: Vec<char>,
    /// What stands in it.
    pub root: Node,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where.
    pub place: Place,
    /// What.
    pub kind: Kind,
}

/// The kinds of values.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A text, a number, true or false.
    Scalar(String, Written),
    /// A list.
    List(Vec<Node>),
    /// Keys and their values, in order.
    Map(Vec<(Node, Node)>),
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// As it is.
    Plain,
    /// Between single quotes.
    Single,
    /// Between double quotes, with escapes.
    Double,
    /// Below `|` or `>`.
    Block,
}

/// What is wrong with a text that is no YAML, and where.
#[derive(Debug)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: String,
}

/// The first tab that stands where YAML wants spaces, if that is what a fault is about: parsers name other places for it.
fn tab_in_an_indent(text: &str, fault: &Fault) -> Option<Fault> {
    if !["tab", "cannot start any token"].iter().any(|said| fault.problem.contains(said)) {
        return None;
    }
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.chars().take_while(|c| matches!(c, ' ' | '\t'));
        if let Some(at) = indent.enumerate().find(|(_, c)| *c == '\t').map(|(at, _)| at) {
            let problem = "a tab stands in the indent, where only spaces may".to_owned();
            return Some(Fault { place: Place { start: start + at, length: 1 }, problem });
        }
        start += line.chars().count();
    }
    None
}

impl Document {
    /// One in which nothing stands.
    pub fn empty() -> Document {
        let kind = Kind::Scalar(String::new(), Written::Plain);
        Document { text: Vec::new(), root: Node { place: Place { start: 0, length: 1 }, kind } }
    }

    /// Reads the first document of a text; an empty one is an empty text.
    pub fn parse(text: &str) -> Result<Document, Fault> {
        Self::read(text).map_err(|fault| tab_in_an_indent(text, &fault).unwrap_or(fault))
    }

    fn read(text: &str) -> Result<Document, Fault> {
        let characters: Vec<char> = text.chars().collect();
        let end = characters.len();
        let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), values: 0, end };
        let root = loop {
            match reader.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (Event::StreamEnd | Event::DocumentEnd, span) => {
                    break Node { place: place(span, end), kind: Kind::Scalar(String::new(), Written::Plain) };
                }
                (event, span) => break reader.node(event, span, 0)?,
            }
        };
        // What follows is read for its faults alone.
        loop {
            match reader.next()? {
                (Event::StreamEnd, _) => return Ok(Document { text: characters, root }),
                (Event::DocumentStart(true), span) => {
                    return Err(Fault { place: place(span, end), problem: "a second document in one file".into() });
                }
                _ => {}
            }
        }
    }

    /// Line and column of a place, both from 1.
    pub fn line_and_column(&self, place: Place) -> (usize, usize) {
        let before = &self.text[..place.start.min(self.text.len())];
        let line = before.iter().filter(|c| **c == '\n').count() + 1;
        (line, before.iter().rev().take_while(|c| **c != '\n').count() + 1)
    }

    /// The place of a part of a scalar's value, from its `start`-th character on. What the value folds (line ends, spaces
    /// before them) or writes otherwise (escapes) is walked along.
    pub fn inside(&self, scalar: &Node, start: usize, length: usize) -> Place {
        let Kind::Scalar(value, written) = &scalar.kind else { return scalar.place };
        let counted = |until: usize| value.chars().take(until).filter(|c| !c.is_whitespace()).count();
        let first = counted(start);
        let last = counted(start + length.max(1)).max(first + 1) - 1;
        let places = self.visible(scalar, *written, last + 1);
        match (places.get(first), places.get(last).or(places.last())) {
            (Some(first), Some(last)) => Place { start: *first, length: last.saturating_sub(*first) + 1 },
            // The end of the text, where something is missing.
            _ => Place { start: places.last().map_or(scalar.place.start, |last| last + 1), length: 1 },
        }
    }

    /// Where the first characters of a scalar stand that are no white space.
    fn visible(&self, scalar: &Node, written: Written, most: usize) -> Vec<usize> {
        let mut at = scalar.place.start;
        let end = (at + scalar.place.length).min(self.text.len());
        let here = |at: usize| self.text.get(at).copied().unwrap_or('\0');
        match written {
            Written::Block if matches!(here(at), '|' | '>') => {
                while at < end && here(at) != '\n' {
                    at += 1;
                }
            }
            Written::Single | Written::Double if matches!(here(at), '\'' | '"') => at += 1,
            _ => {}
        }
        let mut places = Vec::new();
        while at < end && places.len() < most {
            let (c, next) = (here(at), here(at + 1));
            let (shown, wide) = match (written, c) {
                (Written::Single, '\'') if next == '\'' => (true, 2),
                (Written::Double, '\\') => match next {
                    'n' | 't' | 'r' | ' ' | '\n' => (false, 2),
                    'x' => (true, 4),
                    'u' => (true, 6),
                    'U' => (true, 10),
                    _ => (true, 2),
                },
                _ => (!c.is_whitespace(), 1),
            };
            if shown {
                places.push(at);
            }
            at += wide;
        }
        places
    }
}

impl Node {
    /// The text, if it is a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// The key of a mapping and its value.
    pub fn entry(&self, key: &str) -> Option<(&Node, &Node)> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(name, value)| (name, value))
    }

    fn size(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar(..) => 0,
            Kind::List(items) => items.iter().map(Node::size).sum(),
            Kind::Map(entries) => entries.iter().map(|(key, value)| key.size() + value.size()).sum(),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    values: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let place = Place { start: error.marker().index().min(self.end), length: 1 };
                Err(Fault { place, problem: error.info().to_owned() })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Fault> {
        let place = place(span, self.end);
        let fault = |problem: &str| Fault { place, problem: problem.into() };
        self.values += 1;
        if depth > DEEPEST || self.values > MOST_VALUES {
            return Err(fault("nested too deep, or too many values"));
        }
        let (anchor, kind) = match event {
            Event::Scalar(text, style, anchor, _) => (anchor, Kind::Scalar(text.into_owned(), written(style))),
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd | Event::StreamEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                (anchor, Kind::List(items))
            }
            Event::MappingStart(anchor, _) => {
                let mut entries = Vec::new();
                loop {
                    let key = match self.next()? {
                        (Event::MappingEnd | Event::StreamEnd, _) => break,
                        (event, span) => self.node(event, span, depth + 1)?,
                    };
                    let (event, span) = self.next()?;
                    entries.push((key, self.node(event, span, depth + 1)?));
                }
                (anchor, Kind::Map(entries))
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or_else(|| fault("an alias of something that is not there"))?;
                self.values += node.size();
                if self.values > MOST_VALUES {
                    return Err(fault("too many values"));
                }
                return Ok(node.clone());
            }
            _ => return Err(fault("a value is missing")),
        };
        let node = Node { place, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }
}

fn written(style: ScalarStyle) -> Written {
    match style {
        ScalarStyle::Plain => Written::Plain,
        ScalarStyle::SingleQuoted => Written::Single,
        ScalarStyle::DoubleQuoted => Written::Double,
        ScalarStyle::Literal | ScalarStyle::Folded => Written::Block,
    }
}

fn place(span: Span, end: usize) -> Place {
    let start = span.start.index().min(end);
    Place { start, length: span.end.index().min(end).saturating_sub(start).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str, key: &str, part: &str) -> (usize, usize, String) {
        let document = Document::parse(text).unwrap();
        let (_, value) = document.root.entry(key).unwrap();
        let value_text = value.text().unwrap();
        let start = value_text[..value_text.find(part).unwrap()].chars().count();
        let place = document.inside(value, start, part.chars().count());
        let (line, column) = document.line_and_column(place);
        (line, column, text.chars().skip(place.start).take(place.length).collect())
    }

    #[test]
    fn a_part_of_a_value_is_found_however_it_is_written() {
        let text = "a: one two\nb: 'it''s two'\nc: \"a \\\"two\\\"\\n two2\"\nd: >-\n  ümläut\n  and\n    two\ne: |\n  x\n  two\n";
        assert_eq!(shown(text, "a", "two"), (1, 8, "two".into()));
        assert_eq!(shown(text, "b", "two"), (2, 11, "two".into()));
        assert_eq!(shown(text, "c", "two2"), (3, 17, "two2".into()));
        assert_eq!(shown(text, "d", "two"), (7, 5, "two".into()));
        assert_eq!(shown(text, "e", "two"), (10, 3, "two".into()));
        assert_eq!(shown("k:\n  plain over\n  two lines\n", "k", "two"), (3, 3, "two".into()));
    }

    #[test]
    fn what_is_no_yaml_says_where() {
        let fault = |text: &str| {
            let fault = Document::parse(text).err().unwrap_or_else(|| panic!("read: {text}"));
            (text[..fault.place.start].matches('\n').count() + 1, fault.problem)
        };
        assert_eq!(fault("a: 1\nb: [1, 2\nc: 3\n").0, 3);
        assert_eq!(fault("a: b: c\n").0, 1);
        assert!(fault("a: 1\n---\nb: 2\n").1.contains("second document"));
        assert!(fault(&"[".repeat(100)).1.contains("too deep"));
        let laughs: String = (0..30).map(|n| format!("a{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1)).collect();
        assert!(fault(&format!("a0: &a0 [x]\n{laughs}")).1.contains("too many"));
    }

    #[test]
    fn an_empty_text_is_no_fault() {
        assert_eq!(Document::parse("").unwrap().root.text(), Some(""));
        assert_eq!(Document::parse("# nothing\n").unwrap().root.text(), Some(""));
    }

    proptest! {
        /// Whatever the bytes: an answer, and places that lie in the text.
        #[test]
        fn any_text_is_read_or_refused(text in "([a-c]: |[-?] |[\\[\\]{},:&*!|>'\"%@#]|\\PC|\n| ){0,60}") {
            let size = text.chars().count();
            match Document::parse(&text) {
                Err(fault) => prop_assert!(fault.place.start <= size),
                Ok(document) => {
                    let mut nodes = vec![&document.root];
                    while let Some(node) = nodes.pop() {
                        prop_assert!(node.place.start <= size);
                        prop_assert!(document.inside(node, 1, 2).start <= size + 1);
                        document.line_and_column(node.place);
                        match &node.kind {
                            Kind::Scalar(..) => {}
                            Kind::List(items) => nodes.extend(items),
                            Kind::Map(entries) => nodes.extend(entries.iter().flat_map(|(key, value)| [key, value])),
                        }
                    }
                }
            }
        }
    }
}
