//! Says whether a value is what a schema wants: the keywords that OpenAPI documents use, within bounds.
//!
//! A validator of our own, because the schema is a stranger's: its work is counted, cycles of references at one value
//! end, and what it cannot decide it says. OpenAPI's own words count: `nullable`, `readOnly`, a boolean
//! `exclusiveMinimum`.

use super::format;
use super::pattern::Pattern;
use super::view::target;
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

/// Schemas looked at for one request, and nesting of them, at most.
const STEPS: usize = 200_000;
const DEPTH: usize = 100;
/// Problems told of one value, at most.
const TOLD: usize = 5;

/// Whether a value is what its schema wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Valid,
    /// What is wrong, each with the place in the value.
    Invalid(Vec<String>),
    /// What could not be decided.
    Undecided(String),
}

/// Validates values against schemas of one document.
#[derive(Debug)]
pub struct Validator<'a> {
    root: &'a Value,
    steps: Cell<usize>,
    patterns: RefCell<HashMap<&'a str, Option<Pattern>>>,
    undecided: RefCell<Option<String>>,
    problems: RefCell<Vec<String>>,
}

/// Where the validator stands: the path in the value, and references followed at this very value.
struct At<'s, 'a> {
    path: String,
    depth: usize,
    followed: &'s [&'a str],
    /// Whether problems are to be told; alternatives are tried silently.
    tells: bool,
}

impl<'s, 'a> At<'s, 'a> {
    fn inside(&self, name: &str) -> At<'s, 'a> {
        let path = if self.tells { format!("{}/{name}", self.path) } else { String::new() };
        At { path, depth: self.depth + 1, followed: &[], tells: self.tells }
    }
}

impl<'a> Validator<'a> {
    /// A validator for schemas whose references lead into `root`.
    pub fn new(root: &'a Value) -> Self {
        Self {
            root,
            steps: Cell::new(STEPS),
            patterns: RefCell::default(),
            undecided: RefCell::default(),
            problems: RefCell::default(),
        }
    }

    /// Whether the value is what all of the schemas want.
    pub fn verdict(&self, schemas: &[&'a Value], value: &Value) -> Verdict {
        self.undecided.take();
        self.problems.take();
        let at = At { path: String::new(), depth: 0, followed: &[], tells: true };
        let holds = schemas.iter().all(|schema| self.holds(schema, value, &at));
        match (holds, self.undecided.take()) {
            (false, _) => Verdict::Invalid(self.problems.take()),
            (true, Some(what)) => Verdict::Undecided(what),
            (true, None) => Verdict::Valid,
        }
    }

    /// Whether nothing is known to be wrong with the value.
    pub fn accepts(&self, schemas: &[&'a Value], value: &Value) -> bool {
        self.undecided.take();
        let at = At { path: String::new(), depth: 0, followed: &[], tells: false };
        schemas.iter().all(|schema| self.holds(schema, value, &at))
    }

    fn open(&self, what: impl Into<String>) -> bool {
        self.undecided.borrow_mut().get_or_insert_with(|| what.into());
        true
    }

    fn wrong(&self, at: &At, what: impl FnOnce() -> String) -> bool {
        let mut problems = self.problems.borrow_mut();
        if at.tells && problems.len() < TOLD {
            let place = if at.path.is_empty() { "the value" } else { &at.path };
            let what: String = what().chars().take(200).collect();
            problems.push(format!("{place} {what}"));
        }
        false
    }

    fn holds(&self, schema: &'a Value, value: &Value, at: &At<'_, 'a>) -> bool {
        let object = match schema {
            Value::Bool(false) => return self.wrong(at, || "is not allowed".into()),
            Value::Object(object) => object,
            _ => return true,
        };
        if self.steps.get() == 0 || at.depth >= DEPTH {
            return self.open("the schema is too large or too deep to validate against");
        }
        self.steps.set(self.steps.get() - 1);
        if value.is_null() && object.get("nullable") == Some(&Value::Bool(true)) {
            return true;
        }
        let referred = match object.get("$ref").and_then(Value::as_str) {
            Some(reference) if !at.followed.contains(&reference) => match target(self.root, reference) {
                Ok(found) => {
                    let followed: Vec<&str> = at.followed.iter().copied().chain([reference]).collect();
                    let at = At { path: at.path.clone(), depth: at.depth + 1, followed: &followed, tells: at.tells };
                    self.holds(found, value, &at)
                }
                Err(problem) => self.open(problem),
            },
            _ => true,
        };
        referred
            && self.typed(object, value, at)
            && self.listed(object, value, at)
            && match value {
                Value::Number(number) => self.number(object, number.as_f64().unwrap_or(f64::NAN), at),
                Value::String(text) => self.string(object, text, at),
                Value::Array(list) => self.array(object, list, at),
                Value::Object(members) => self.object(object, members, at),
                _ => true,
            }
            && self.combined(object, value, at)
    }

    fn typed(&self, object: &Map<String, Value>, value: &Value, at: &At) -> bool {
        let names: Vec<&str> = match object.get("type") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(name)) => vec![name],
            _ => return true,
        };
        let fits = |name: &&str| match *name {
            "string" | "file" => value.is_string(),
            "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            // Words of single tools, such as "bytes" and "any".
            _ => true,
        };
        names.is_empty()
            || names.iter().any(fits)
            || self.wrong(at, || format!("is not of type {}", names.join(" or ")))
    }

    fn listed(&self, object: &Map<String, Value>, value: &Value, at: &At) -> bool {
        if let Some(only) = object.get("const")
            && !equal(only, value)
        {
            return self.wrong(at, || format!("is not {only}"));
        }
        match object.get("enum").and_then(Value::as_array) {
            Some(options) if !options.iter().any(|option| equal(option, value)) => self
                .wrong(at, || format!("is none of {}", object.get("enum").map(Value::to_string).unwrap_or_default())),
            _ => true,
        }
    }

    fn number(&self, object: &Map<String, Value>, value: f64, at: &At) -> bool {
        let of = |key: &str| object.get(key).and_then(Value::as_f64);
        let excluded = |key: &str| object.get(key) == Some(&Value::Bool(true));
        let low = of("minimum").is_some_and(|low| value < low || excluded("exclusiveMinimum") && value == low)
            || of("exclusiveMinimum").is_some_and(|low| value <= low);
        let high = of("maximum").is_some_and(|high| value > high || excluded("exclusiveMaximum") && value == high)
            || of("exclusiveMaximum").is_some_and(|high| value >= high);
        let uneven = of("multipleOf").filter(|step| *step > 0.0).is_some_and(|step| {
            let turns = value / step;
            (turns - turns.round()).abs() > 1e-9 * turns.abs().max(1.0)
        });
        match (low, high, uneven) {
            (true, ..) => self.wrong(at, || format!("({value}) is too small")),
            (_, true, _) => self.wrong(at, || format!("({value}) is too large")),
            (.., true) => self.wrong(at, || format!("({value}) is not a multiple of what it should be")),
            _ => true,
        }
    }

    fn string(&self, object: &'a Map<String, Value>, text: &str, at: &At) -> bool {
        let length = text.chars().count() as f64;
        let of = |key: &str| object.get(key).and_then(Value::as_f64);
        if of("minLength").is_some_and(|least| length < least) {
            return self.wrong(at, || format!("is shorter than {} characters", of("minLength").unwrap_or_default()));
        }
        if of("maxLength").is_some_and(|most| length > most) {
            return self.wrong(at, || format!("is longer than {} characters", of("maxLength").unwrap_or_default()));
        }
        if let Some(pattern) = object.get("pattern").and_then(Value::as_str) {
            let mut patterns = self.patterns.borrow_mut();
            let read = patterns.entry(pattern).or_insert_with(|| Pattern::read(pattern));
            match read.as_ref().and_then(|read| read.fits(text)) {
                Some(true) => {}
                Some(false) => return self.wrong(at, || format!("does not match {pattern:?}")),
                None => drop(self.open(format!("the pattern {:?} cannot be tried", start(pattern)))),
            }
        }
        match object.get("format").and_then(Value::as_str) {
            Some(name) if !format::fits(name, text) => self.wrong(at, || format!("is no {name}")),
            _ => true,
        }
    }

    fn array(&self, object: &'a Map<String, Value>, list: &[Value], at: &At<'_, 'a>) -> bool {
        let of = |key: &str| object.get(key).and_then(Value::as_f64);
        let count = list.len() as f64;
        if of("minItems").is_some_and(|least| count < least) || of("maxItems").is_some_and(|most| count > most) {
            return self.wrong(at, || format!("has {count} items, too few or too many"));
        }
        if object.get("uniqueItems") == Some(&Value::Bool(true)) {
            let mut seen = HashSet::new();
            if !list.iter().all(|item| seen.insert(item.to_string())) {
                return self.wrong(at, || "has equal items".into());
            }
        }
        let items = object.get("items");
        let prefix = object.get("prefixItems").or(items).and_then(Value::as_array);
        let rest = if items.is_some_and(Value::is_array) { object.get("additionalItems") } else { items };
        for (index, item) in list.iter().enumerate() {
            let schema = prefix.and_then(|list| list.get(index)).or(rest);
            if !schema.is_none_or(|schema| self.holds(schema, item, &at.inside(&index.to_string()))) {
                return false;
            }
        }
        let silent = At { path: String::new(), depth: at.depth + 1, followed: &[], tells: false };
        match object.get("contains") {
            Some(schema) if of("minContains") != Some(0.0) => {
                list.iter().any(|item| self.holds(schema, item, &silent))
                    || self.wrong(at, || "holds no item of the kind that it should contain".into())
            }
            _ => true,
        }
    }

    fn object(&self, object: &'a Map<String, Value>, members: &Map<String, Value>, at: &At<'_, 'a>) -> bool {
        let of = |key: &str| object.get(key).and_then(Value::as_f64);
        let count = members.len() as f64;
        if of("minProperties").is_some_and(|least| count < least)
            || of("maxProperties").is_some_and(|most| count > most)
        {
            return self.wrong(at, || format!("has {count} properties, too few or too many"));
        }
        let properties = object.get("properties").and_then(Value::as_object);
        let read_only = |name: &str| {
            let schema = properties.and_then(|all| all.get(name));
            schema.and_then(|schema| schema.get("readOnly")) == Some(&Value::Bool(true))
        };
        for name in object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) && !read_only(name) {
                return self.wrong(at, || format!("lacks {name}, which is required"));
            }
        }
        for (name, wanted) in object.get("dependentRequired").and_then(Value::as_object).into_iter().flatten() {
            let mut wanted = wanted.as_array().into_iter().flatten().filter_map(Value::as_str);
            if members.contains_key(name) && !wanted.all(|other| members.contains_key(other)) {
                return self.wrong(at, || format!("has {name} without what it depends on"));
            }
        }
        let patterns = object.get("patternProperties").and_then(Value::as_object);
        for (name, member) in members {
            let inside = at.inside(name);
            if read_only(name) {
                return self.wrong(&inside, || "is read-only".into());
            }
            if let Some(schema) = object.get("propertyNames")
                && !self.holds(schema, &Value::String(name.clone()), &inside)
            {
                return false;
            }
            let mut named = false;
            if let Some(schema) = properties.and_then(|all| all.get(name)) {
                named = true;
                if !self.holds(schema, member, &inside) {
                    return false;
                }
            }
            for (pattern, schema) in patterns.into_iter().flatten() {
                let mut known = self.patterns.borrow_mut();
                let fits = known.entry(pattern).or_insert_with(|| Pattern::read(pattern)).as_ref();
                let fits = fits.and_then(|pattern| pattern.fits(name));
                drop(known);
                named |= fits != Some(false);
                if fits == Some(true) && !self.holds(schema, member, &inside) {
                    return false;
                }
            }
            match object.get("additionalProperties").filter(|_| !named) {
                Some(Value::Bool(false)) => return self.wrong(&inside, || "is not a property of the schema".into()),
                Some(schema) if !self.holds(schema, member, &inside) => return false,
                _ => {}
            }
        }
        true
    }

    fn combined(&self, object: &'a Map<String, Value>, value: &Value, at: &At<'_, 'a>) -> bool {
        let here = |tells| At { path: at.path.clone(), depth: at.depth + 1, followed: at.followed, tells };
        let list = |key: &str| object.get(key).and_then(Value::as_array).filter(|list| !list.is_empty());
        if let Some(all) = list("allOf")
            && !all.iter().all(|schema| self.holds(schema, value, &here(at.tells)))
        {
            return false;
        }
        if let Some(any) = list("anyOf")
            && !any.iter().any(|schema| self.holds(schema, value, &here(false)))
        {
            return self.wrong(at, || "fits none of the alternatives".into());
        }
        if let Some(one) = list("oneOf") {
            let fitting = one.iter().filter(|schema| self.holds(schema, value, &here(false))).take(2).count();
            if fitting != 1 {
                let how = if fitting == 0 { "none" } else { "more than one" };
                return self.wrong(at, || format!("fits {how} of the alternatives, of which exactly one has to hold"));
            }
        }
        if let Some(not) = object.get("not")
            && self.holds(not, value, &here(false))
        {
            return self.wrong(at, || "is what it must not be".into());
        }
        if let Some(condition) = object.get("if") {
            let branch = if self.holds(condition, value, &here(false)) { "then" } else { "else" };
            return object.get(branch).is_none_or(|schema| self.holds(schema, value, &here(at.tells)));
        }
        true
    }
}

fn start(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Equality of JSON values, in which 1 and 1.0 are one number.
pub fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => left == right,
    }
}
