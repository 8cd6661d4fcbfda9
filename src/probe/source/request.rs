//! Which fields the server's code reads from a request, and what its handlers fetch from elsewhere.
//!
//! Flask and Werkzeug (`request.form["lang"]`), Starlette and Ray Serve (`(await request.json())["x"]`), FastAPI's
//! parameters and pydantic's models, LitServe's `decode_request`, KServe's `payload`, MLServer's and Triton's tensors,
//! BentoML's `@bentoml.api`, Django's `request.POST`. Only names that stand there as plain strings are told.

use super::handlers::{Block, Blocks, text_of};
use super::parameters;
use super::syntax::Source;
use crate::snapshot::{FetchCall, SourceField};
use std::collections::BTreeMap;

/// Fields and calls told of one file, at most.
const TOLD_MAX: usize = 200;
/// Names that a request has in handlers.
const REQUESTS: &[&str] = &["request", "req", "_request", "http_request", "raw_request"];
/// Calls that fetch over the network, with imports resolved.
const FETCHES: &[&str] = &[
    "requests.get",
    "requests.post",
    "requests.request",
    "httpx.get",
    "httpx.post",
    "httpx.stream",
    "urllib.request.urlopen",
    "urllib.request.urlretrieve",
    "urllib3.request",
    "wget.download",
];

/// What one file tells of requests.
#[derive(Default)]
pub struct Told {
    pub fields: Vec<SourceField>,
    pub fetches: Vec<FetchCall>,
}

/// Reads one source.
pub fn read(source: &Source, file: &str) -> Told {
    let blocks = Blocks::of(source);
    let mut told = Told::default();
    let models = parameters::models(source, &blocks);
    for (index, block) in blocks.all.iter().enumerate().filter(|(_, block)| !block.is_class) {
        for field in parameters::fields(source, block, &models) {
            told.push(source, file, &blocks, Some(index), field);
        }
    }
    let mut variables: BTreeMap<(Option<usize>, &str), &'static str> = BTreeMap::new();
    for (index, block) in blocks.all.iter().enumerate() {
        // LitServe hands over the decoded JSON, KServe's Python server the payload.
        let request = match block.name {
            "decode_request" => "request",
            "predict" | "preprocess" | "explain" => "payload",
            _ => continue,
        };
        let typed = block.head.clone().any(|at| source.word(at) == request && source.word(at + 1) == ":");
        if block.head.clone().any(|at| source.word(at) == request) && !typed {
            variables.insert((Some(index), request), "json");
        }
    }
    for at in 0..source.tokens.len() {
        if told.fields.len() >= TOLD_MAX {
            break;
        }
        let owner = blocks.owner.get(at).copied().flatten();
        if let Some(name) = assigned(source, at, owner, &variables) {
            match name {
                (name, Some(place)) => drop(variables.insert((owner, name), place)),
                (name, None) => drop(variables.remove(&(owner, name))),
            }
        }
        let Some((end, place)) = container(source, at, owner, &variables) else { continue };
        if let Some((name, demanded)) = accessed(source, end) {
            let field = Found { name: name.to_owned(), place, demanded, at: end };
            told.push(source, file, &blocks, owner, field);
        }
    }
    for call in source.calls() {
        let owner = blocks.owner.get(call.tokens.start).copied().flatten();
        let last = call.callee.rsplit('.').next().unwrap_or_default();
        if last == "get_input_tensor_by_name"
            && let Some(name) = call.arguments.get(1).and_then(|one| text_of(source, &one.value))
        {
            let field = Found { name: name.to_owned(), place: "tensor", demanded: true, at: call.tokens.start };
            told.push(source, file, &blocks, owner, field);
        }
        if let (true, Some(block)) = (FETCHES.contains(&call.callee.as_str()), owner.and_then(|at| blocks.all.get(at)))
            && told.fetches.len() < TOLD_MAX
        {
            told.fetches.push(FetchCall {
                callee: call.callee.clone(),
                at: format!("{file}:{}", call.line),
                function: block.name.to_owned(),
            });
        }
    }
    told
}

/// A field as it was found: `at` is a token on its line.
pub struct Found {
    pub name: String,
    pub place: &'static str,
    pub demanded: bool,
    pub at: usize,
}

impl Told {
    fn push(&mut self, source: &Source, file: &str, blocks: &Blocks, owner: Option<usize>, found: Found) {
        let name = found.name;
        let plain = name.chars().all(|c| c.is_alphanumeric() || "_-.[]".contains(c));
        if name.is_empty() || name.len() > 100 || !plain || self.fields.len() >= TOLD_MAX {
            return;
        }
        let block: Option<&Block> = owner.and_then(|at| blocks.all.get(at));
        let line = source.tokens.get(found.at).map_or(0, |token| token.line);
        let function = block.map_or("", |block| block.name).to_owned();
        let route = block.map_or("", |block| block.route.as_str()).to_owned();
        let same = |old: &&mut SourceField| old.name == name && old.function == function && old.place == found.place;
        match self.fields.iter_mut().find(same) {
            // Read twice: one demand is enough.
            Some(old) if found.demanded && !old.demanded => {
                old.demanded = true;
                old.at = format!("{file}:{line}");
            }
            Some(_) => {}
            None => self.fields.push(SourceField {
                name,
                place: found.place.into(),
                demanded: found.demanded,
                at: format!("{file}:{line}"),
                function,
                route,
            }),
        }
    }
}

type Variables<'a> = BTreeMap<(Option<usize>, &'a str), &'static str>;

/// The expression that begins at `at` and stands for a part of a request: the token behind it, and which part.
fn container(source: &Source, at: usize, owner: Option<usize>, variables: &Variables) -> Option<(usize, &'static str)> {
    let before = at.checked_sub(1).map_or("", |before| source.word(before));
    if before == "." || !source.is_name(at) {
        return None;
    }
    let mut end = at + 1;
    let mut name = source.word(at);
    let place = loop {
        if end == at + 1
            && let Some(place) = variables.get(&(owner, name))
        {
            break *place;
        }
        if source.word(end) != "." || !source.is_name(end + 1) {
            return loaded(source, at);
        }
        let attribute = source.word(end + 1);
        if REQUESTS.contains(&name) {
            end += 2;
            break part_of_request(source, attribute, &mut end)?;
        }
        name = attribute;
        end += 2;
    };
    let mut first = at;
    // (await request.json())
    while source.word(end) == ")" {
        let Some(open) = source.opening(end) else { break };
        let awaited = source.word(open + 1) == "await" && open + 2 == first;
        if open + 1 != first && !awaited || is_call(source, open) {
            break;
        }
        (first, end) = (open, end + 1);
    }
    Some((end, place))
}

fn is_call(source: &Source, open: usize) -> bool {
    open.checked_sub(1).is_some_and(|before| {
        source.is_name(before) && !["await", "return", "in", "and", "or", "not", "if"].contains(&source.word(before))
    })
}

/// Which part of a request an attribute is; `end` stands behind it and is moved behind a call of it.
fn part_of_request(source: &Source, attribute: &str, end: &mut usize) -> Option<&'static str> {
    let call = (source.word(*end) == "(").then(|| source.closing(*end)).flatten();
    let place = match (attribute, call) {
        ("form" | "values" | "POST", None) => "form",
        ("form", Some(_)) => "form",
        ("files" | "FILES", None) => "file",
        ("args" | "query_params" | "GET" | "query", None) => "query",
        ("headers", None) => "header",
        ("json" | "data", None) | ("get_json" | "json", Some(_)) => "json",
        _ => return None,
    };
    if let Some(close) = call {
        *end = close + 1;
    }
    Some(place)
}

/// `json.loads(request.data)`, `json.loads(await request.body())`.
fn loaded(source: &Source, at: usize) -> Option<(usize, &'static str)> {
    let is_load = ["json", "orjson", "ujson"].contains(&source.word(at))
        && source.word(at + 1) == "."
        && ["loads", "load"].contains(&source.word(at + 2))
        && source.word(at + 3) == "(";
    let close = source.closing(at + 3).filter(|_| is_load)?;
    let of_request = (at + 4..close).take(8).any(|index| REQUESTS.contains(&source.word(index)));
    of_request.then_some((close + 1, "json"))
}

/// What is read from the expression that ends before `end`: `["lang"]`, `.get("lang")`; and whether it must be there.
fn accessed<'a>(source: &Source<'a>, end: usize) -> Option<(&'a str, bool)> {
    match source.word(end) {
        "[" => {
            let close = source.closing(end).filter(|close| *close == end + 2)?;
            // A value that is set is not one that is read.
            let set = source.word(close + 1) == "=";
            text_of(source, &(end + 1..end + 2)).filter(|_| !set).map(|name| (name, true))
        }
        "." if ["get", "getlist", "getall", "get_list", "pop"].contains(&source.word(end + 1)) => {
            let close = source.closing(end + 2).filter(|_| source.word(end + 2) == "(")?;
            let alone = close == end + 4;
            let demanded = source.word(end + 1) == "pop" && alone;
            text_of(source, &(end + 3..end + 4)).map(|name| (name, demanded))
        }
        _ => None,
    }
}

/// The name that is assigned to at `at`, and which part of a request it then holds, if one.
fn assigned<'a>(
    source: &Source<'a>,
    at: usize,
    owner: Option<usize>,
    variables: &Variables,
) -> Option<(&'a str, Option<&'static str>)> {
    if source.word(at + 1) != "=" || !source.is_name(at) || at.checked_sub(1).is_some_and(|b| !source.ends_line(b)) {
        return None;
    }
    let name = source.word(at);
    let mut value = at + 2;
    // MLServer: {tensor.name: tensor for tensor in payload.inputs}
    if source.word(value) == "{"
        && let Some(close) = source.closing(value)
    {
        let tensors = (value..close).take(40).any(|i| source.word(i) == "." && source.word(i + 1) == "inputs");
        return Some((name, tensors.then_some("tensor")));
    }
    while ["await", "("].contains(&source.word(value)) && value < at + 6 {
        value += 1;
    }
    let Some((end, place)) = container(source, value, owner, variables) else { return Some((name, None)) };
    let whole = source.ends_line(end)
        || source.tokens.len() <= end
        || source.word(end) == "or"
        || source.word(end) == "." && ["to_dict", "copy"].contains(&source.word(end + 1));
    Some((name, whole.then_some(place)))
}
