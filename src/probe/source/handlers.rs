//! Functions and classes of a source, and which function handles which path.

use super::calls::unquoted;
use super::syntax::Source;
use super::token::Kind;
use std::collections::BTreeMap;
use std::ops::Range;

/// Calls that tie a path to a function: decorators of FastAPI, Flask and their kin, and what they are short for.
const ROUTE_CALLS: &[&str] = &[
    "get",
    "post",
    "put",
    "patch",
    "route",
    "api_route",
    "add_url_rule",
    "add_api_route",
    "add_get",
    "add_post",
    "add_put",
    "add_route",
    "path",
    "re_path",
];
/// Functions and classes that are looked at, at most.
const BLOCKS_MAX: usize = 5000;

/// A function or a class.
pub struct Block<'a> {
    pub name: &'a str,
    pub is_class: bool,
    /// The tokens between the brackets behind the name: parameters or bases.
    pub head: Range<usize>,
    /// The tokens of its statements.
    pub body: Range<usize>,
    /// What its decorators call, in words: `app.post`, `bentoml.api`.
    pub decorators: Vec<String>,
    /// The path that it handles; empty where the text does not tell.
    pub route: String,
}

/// The blocks of a source, and for each token the innermost function that it belongs to.
pub struct Blocks<'a> {
    pub all: Vec<Block<'a>>,
    /// Index into `all` by token.
    pub owner: Vec<Option<usize>>,
}

impl<'a> Blocks<'a> {
    /// Finds them in one walk.
    pub fn of(source: &Source<'a>) -> Self {
        let mut all: Vec<Block> = Vec::new();
        let mut owner = vec![None; source.tokens.len()];
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut decorators: Vec<Range<usize>> = Vec::new();
        let mut begins = true;
        for index in 0..source.tokens.len() {
            let Some(token) = source.tokens.get(index) else { break };
            if token.kind == Kind::LineEnd {
                begins = true;
                continue;
            }
            if std::mem::replace(&mut begins, false) {
                let column = column(source, token.start);
                while let Some((block, _)) = open.pop_if(|(_, own)| *own >= column) {
                    if let Some(block) = all.get_mut(block) {
                        block.body.end = index;
                    }
                }
                match source.word(index) {
                    "@" => decorators.push(index + 1..line_end(source, index)),
                    "def" | "class" | "async" if all.len() < BLOCKS_MAX => {
                        let at = if source.word(index) == "async" { index + 1 } else { index };
                        let made = block(source, at, std::mem::take(&mut decorators));
                        if let Some(made) = made {
                            all.push(made);
                            open.push((all.len() - 1, column));
                        }
                    }
                    _ => decorators.clear(),
                }
            }
            if let (Some(owner), Some((block, _))) = (
                owner.get_mut(index),
                open.iter().rev().find(|(block, _)| all.get(*block).is_some_and(|block| !block.is_class)),
            ) {
                *owner = Some(*block);
            }
        }
        for (block, _) in open {
            if let Some(block) = all.get_mut(block) {
                block.body.end = source.tokens.len();
            }
        }
        let mut blocks = Self { all, owner };
        blocks.routes_by_call(source);
        blocks
    }

    /// `app.post("/asr")(asr)`, `app.add_url_rule("/asr", view_func=asr)`.
    fn routes_by_call(&mut self, source: &Source) {
        let mut routes: BTreeMap<String, String> = BTreeMap::new();
        for call in source.calls() {
            let last = call.callee.rsplit('.').next().unwrap_or_default();
            if !ROUTE_CALLS.contains(&last) {
                continue;
            }
            let Some(path) = call.arguments.iter().find_map(|one| text_of(source, &one.value)).filter(|p| is_path(p))
            else {
                continue;
            };
            let end = call.tokens.end;
            let called = (source.word(end) == "(" && source.closing(end) == Some(end + 2)).then(|| end + 1..end + 2);
            let argument = call.arguments.iter().skip(1).map(|one| one.value.clone());
            for value in called.into_iter().chain(argument) {
                let written = source.written(value);
                let name = written.rsplit('.').next().unwrap_or_default().to_owned();
                routes.entry(name).or_insert_with(|| path.to_owned());
            }
        }
        for block in self.all.iter_mut().filter(|block| !block.is_class && block.route.is_empty()) {
            if let Some(route) = routes.get(block.name) {
                block.route.clone_from(route);
            }
        }
    }
}

/// The text of a range that is one plain string.
pub fn text_of<'a>(source: &Source<'a>, range: &Range<usize>) -> Option<&'a str> {
    let one = range.len() == 1 && source.tokens.get(range.start).is_some_and(|token| token.kind == Kind::Text);
    let word = source.word(range.start);
    (one && !word.starts_with(['f', 'F'])).then(|| unquoted(word))
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() <= 200 && !text.contains(char::is_whitespace)
}

fn column(source: &Source, start: usize) -> usize {
    let before = source.text.get(..start).unwrap_or_default();
    start - before.rfind('\n').map_or(0, |newline| newline + 1)
}

fn line_end(source: &Source, from: usize) -> usize {
    let rest = source.tokens.iter().skip(from).position(|token| token.kind == Kind::LineEnd);
    rest.map_or(source.tokens.len(), |length| from + length)
}

/// The block whose `def` or `class` stands at `at`.
fn block<'a>(source: &Source<'a>, at: usize, decorators: Vec<Range<usize>>) -> Option<Block<'a>> {
    let is_class = source.word(at) == "class";
    if !is_class && source.word(at) != "def" {
        return None;
    }
    let name = source.word(at + 1);
    let head = match source.closing(at + 2) {
        Some(close) if source.word(at + 2) == "(" => at + 3..close,
        _ if is_class => at + 2..at + 2,
        _ => return None,
    };
    let mut route = String::new();
    let mut called = Vec::new();
    for range in decorators {
        let open = range.clone().find(|index| source.word(*index) == "(");
        let name = source.written(range.start..open.unwrap_or(range.end));
        let tells = ROUTE_CALLS.contains(&name.rsplit('.').next().unwrap_or_default());
        if let (Some(open), true, true) = (open, tells, route.is_empty()) {
            let close = source.closing(open).unwrap_or(range.end);
            let text = (open + 1..close).find_map(|index| text_of(source, &(index..index + 1)));
            route = text.filter(|text| is_path(text)).unwrap_or_default().to_owned();
        }
        called.push(name);
    }
    let begin = head.end;
    Some(Block { name, is_class, head, body: begin..begin, decorators: called, route })
}
