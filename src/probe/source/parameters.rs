//! Fields that handlers name as parameters: FastAPI's, BentoML's, MLServer's, and the models behind them.

use super::handlers::{Block, Blocks, text_of};
use super::request::Found;
use super::syntax::Source;
use std::collections::BTreeMap;
use std::ops::Range;

/// What FastAPI's functions say of a parameter's place.
const MARKERS: &[(&str, &str)] =
    &[("File", "file"), ("Form", "form"), ("Query", "query"), ("Header", "header"), ("Body", "json")];
/// Types that FastAPI takes from the query unless told otherwise.
const PLAIN: &[&str] = &["str", "int", "float", "bool", "Optional", "Literal", "date", "datetime", "UUID"];

/// Fields of the classes that may be the model of a body, by the class's name.
pub type Models<'a> = BTreeMap<&'a str, Vec<(String, bool, usize)>>;

/// The annotated members of classes: name, whether it must be there, a token on its line.
pub fn models<'a>(source: &Source<'a>, blocks: &Blocks<'a>) -> Models<'a> {
    let mut models = Models::new();
    for block in blocks.all.iter().filter(|block| block.is_class) {
        let based = block.head.clone().any(|at| ["BaseModel", "Struct"].contains(&source.word(at)))
            || block.head.clone().any(|at| models.contains_key(source.word(at)));
        if !based {
            continue;
        }
        let inherited = block.head.clone().find_map(|at| models.get(source.word(at)).cloned());
        let mut members = inherited.unwrap_or_default();
        for at in block.body.clone() {
            let begins = at.checked_sub(1).is_some_and(|before| source.ends_line(before));
            let owned = blocks.owner.get(at).is_some_and(Option::is_some);
            if !begins || owned || source.word(at + 1) != ":" || !source.is_name(at) {
                continue;
            }
            let line = at..(at..block.body.end).find(|index| source.ends_line(*index)).unwrap_or(block.body.end);
            let value = line.clone().find(|index| source.word(*index) == "=").map(|equal| equal + 1..line.end);
            let demanded = value.is_none_or(|value| {
                let written = source.written(value);
                written == "..." || written.starts_with("Field(...") || written == "Field()"
            });
            members.push((source.word(at).to_owned(), demanded, at));
        }
        models.insert(block.name, members);
    }
    models
}

/// The fields that a function's parameters stand for.
pub fn fields(source: &Source, block: &Block, models: &Models) -> Vec<Found> {
    let decorated = |name: &str| block.decorators.iter().any(|one| one.rsplit('.').next() == Some(name));
    let way = Way {
        fastapi: !block.route.is_empty() && source.imported.contains("fastapi"),
        bentoml: block.decorators.iter().any(|one| one == "bentoml.api" || one == "bentoml.task"),
        tensors: decorated("decode_args"),
        litserve: block.name == "decode_request",
    };
    if !(way.fastapi || way.bentoml || way.tensors || way.litserve) {
        return Vec::new();
    }
    let parameters = source.parts(block.head.clone());
    parameters.into_iter().flat_map(|part| parameter(source, block, models, &way, part)).collect()
}

/// By whose rules parameters are filled.
struct Way {
    fastapi: bool,
    bentoml: bool,
    tensors: bool,
    litserve: bool,
}

fn parameter(source: &Source, block: &Block, models: &Models, way: &Way, part: Range<usize>) -> Vec<Found> {
    let at = part.start;
    let name = source.word(at);
    if !source.is_name(at)
        || ["self", "cls"].contains(&name)
        || source.word(at + 1) != ":" && !has_default(source, &part)
    {
        return Vec::new();
    }
    let equal = top_level_equal(source, &part);
    let annotation = match source.word(at + 1) {
        ":" => at + 2..equal.unwrap_or(part.end),
        _ => at + 1..at + 1,
    };
    let default = equal.map_or(part.end..part.end, |equal| equal + 1..part.end);
    let found = |name: String, place, demanded| vec![Found { name, place, demanded, at }];
    let words = || annotation.clone().map(|index| source.word(index));
    if let Some(members) = words().find_map(|word| models.get(word)) {
        let member = |(name, demanded, at): &(String, bool, usize)| Found {
            name: name.clone(),
            place: "json",
            demanded: *demanded,
            at: *at,
        };
        return members.iter().map(member).collect();
    }
    let needed = default.is_empty();
    if way.tensors {
        return found(name.to_owned(), "tensor", needed);
    }
    if way.bentoml {
        let file = words().any(|word| ["Path", "Image", "BinaryIO"].contains(&word));
        return found(name.to_owned(), if file { "file" } else { "json" }, needed);
    }
    if !way.fastapi {
        return Vec::new();
    }
    let marked = |range: &Range<usize>| range.clone().find_map(|index| marker(source, index));
    if let Some((open, place)) = marked(&default) {
        return found(alias(source, open, name, place), place, lacks_default(source, open));
    }
    let upload = words().any(|word| word == "UploadFile");
    if let Some((open, place)) = marked(&annotation) {
        return found(alias(source, open, name, place), if upload { "file" } else { place }, needed);
    }
    if upload {
        return found(name.to_owned(), "file", needed);
    }
    let plain = words().next().is_some_and(|word| PLAIN.contains(&word));
    let in_path = block.route.contains(&format!("{{{name}"));
    if plain && !in_path { found(name.to_owned(), "query", needed) } else { Vec::new() }
}

fn has_default(source: &Source, part: &Range<usize>) -> bool {
    top_level_equal(source, part).is_some()
}

fn top_level_equal(source: &Source, part: &Range<usize>) -> Option<usize> {
    let mut at = part.start;
    while at < part.end {
        if source.word(at) == "=" {
            return Some(at);
        }
        at = source.closing(at).map_or(at + 1, |close| close + 1);
    }
    None
}

/// The bracket of a marker's call at `index`, and the place that it means.
fn marker(source: &Source, index: usize) -> Option<(usize, &'static str)> {
    let (_, place) = MARKERS.iter().find(|(name, _)| *name == source.word(index))?;
    (source.word(index + 1) == "(").then_some((index + 1, *place))
}

/// The name on the wire.
fn alias(source: &Source, open: usize, name: &str, place: &str) -> String {
    let close = source.closing(open).unwrap_or(open);
    let named = (open..close).find(|at| source.word(*at) == "alias" && source.word(at + 1) == "=");
    match named.and_then(|at| text_of(source, &(at + 2..at + 3))) {
        Some(alias) => alias.to_owned(),
        None if place == "header" => name.replace('_', "-"),
        None => name.to_owned(),
    }
}

/// Whether a marker's call gives no default: `Form()`, `Form(...)`, `Form(description="x")`.
fn lacks_default(source: &Source, open: usize) -> bool {
    let Some(close) = source.closing(open) else { return false };
    let parts = source.parts(open + 1..close);
    let named = |part: &Range<usize>| source.is_name(part.start) && source.word(part.start + 1) == "=";
    let first = parts.first().filter(|part| !named(part)).map(|part| source.written(part.clone()));
    let default = parts.iter().any(|part| named(part) && source.word(part.start).starts_with("default"));
    !default && first.is_none_or(|first| first == "...")
}
