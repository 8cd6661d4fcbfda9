//! All schema objects that hold for one value at once: the schema, what it refers to, and the parts of its `allOf`.

use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Schema objects joined into one view, at most.
const PARTS: usize = 64;

/// Schema objects that hold together, borrowed from the document. The outermost stands first.
#[derive(Debug, Clone, Default)]
pub struct View<'a> {
    pub parts: Vec<&'a Map<String, Value>>,
    /// Lists of alternatives (`anyOf`, `oneOf`) with the object that holds them; of each list one has to hold.
    pub groups: Vec<(&'a [Value], &'a Map<String, Value>)>,
    /// References that were followed.
    pub followed: Vec<&'a str>,
    /// What could not be looked at.
    pub lacking: Option<String>,
    /// The schema `false`: nothing is valid.
    pub never: bool,
}

/// A bound and whether the bound itself is excluded.
pub type Bound = Option<(f64, bool)>;

impl<'a> View<'a> {
    /// The view of schemas that hold together. References are looked up in `root` only.
    pub fn of(root: &'a Value, schemas: &[&'a Value]) -> Self {
        let mut view = View::default();
        for schema in schemas {
            view.add(root, schema);
        }
        view
    }

    /// This view with one of the alternatives of its first group, which is then settled.
    pub fn settled(&self, root: &'a Value, alternative: &'a Value) -> Self {
        let mut view = self.clone();
        view.groups.remove(0);
        view.add(root, alternative);
        view
    }

    fn add(&mut self, root: &'a Value, schema: &'a Value) {
        let mut open = vec![schema];
        while let Some(schema) = open.pop() {
            if self.parts.len() >= PARTS {
                self.lacking = Some(format!("the schema joins more than {PARTS} others"));
                return;
            }
            let object = match schema {
                Value::Bool(false) => {
                    self.never = true;
                    continue;
                }
                Value::Object(object) => object,
                _ => continue,
            };
            self.parts.push(object);
            for key in ["anyOf", "oneOf"] {
                if let Some(list) = object.get(key).and_then(Value::as_array).filter(|list| !list.is_empty()) {
                    self.groups.push((list, object));
                }
            }
            let all = object.get("allOf").and_then(Value::as_array).into_iter().flatten();
            open.extend(all.take(PARTS).collect::<Vec<_>>().into_iter().rev());
            if let Some(reference) = object.get("$ref").and_then(Value::as_str)
                && !self.followed.contains(&reference)
            {
                match target(root, reference) {
                    Ok(found) => {
                        self.followed.push(reference);
                        open.push(found);
                    }
                    Err(problem) => self.lacking = Some(problem),
                }
            }
        }
    }

    /// The first value of a keyword.
    pub fn first(&self, key: &str) -> Option<&'a Value> {
        self.parts.iter().find_map(|part| part.get(key))
    }

    /// The first text of a keyword; empty if there is none.
    pub fn text(&self, key: &str) -> &'a str {
        self.parts.iter().find_map(|part| part.get(key).and_then(Value::as_str)).unwrap_or_default()
    }

    /// Every value of a keyword.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &'a Value> {
        self.parts.iter().filter_map(move |part| part.get(key))
    }

    /// Whether a keyword is `true` in any part.
    pub fn is(&self, key: &str) -> bool {
        self.all(key).any(|value| value == &Value::Bool(true))
    }

    /// The type that a value should have: `file`, `string`, `integer`, `number`, `boolean`, `object`, `array`, `null`, or
    /// empty where the schema does not tell.
    pub fn kind(&self) -> &'static str {
        if self.is_file() {
            return "file";
        }
        let mut allowed: Option<Vec<&str>> = None;
        for declared in self.all("type") {
            let names: Vec<&str> = match declared {
                Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
                other => other.as_str().into_iter().collect(),
            };
            let number = names.contains(&"number");
            allowed = Some(match allowed {
                None => names,
                Some(old) if old.contains(&"number") && names.contains(&"integer") => names,
                Some(old) => old.into_iter().filter(|n| names.contains(n) || number && *n == "integer").collect(),
            });
        }
        let chosen = allowed.iter().flatten().find(|name| **name != "null").or(allowed.iter().flatten().next());
        match chosen.copied() {
            Some("string") => "string",
            Some("integer") => "integer",
            Some("number") => "number",
            Some("boolean") => "boolean",
            Some("array") => "array",
            Some("object") => "object",
            Some("null") => "null",
            _ => self.kind_by_keywords(),
        }
    }

    fn kind_by_keywords(&self) -> &'static str {
        let any = |keys: &[&str]| keys.iter().any(|key| self.first(key).is_some());
        match () {
            () if any(&["properties", "required", "minProperties", "patternProperties"]) => "object",
            () if self.first("additionalProperties").is_some_and(Value::is_object) => "object",
            () if any(&["items", "prefixItems", "minItems", "contains"]) => "array",
            () if any(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) => "number",
            () if any(&["pattern", "format", "minLength", "maxLength", "contentEncoding"]) => "string",
            () => "",
        }
    }

    fn is_file(&self) -> bool {
        let media = self.text("contentMediaType");
        self.all("format").any(|format| format == "binary")
            || self.all("type").any(|kind| kind == "file")
            || !media.is_empty() && media != "application/json" && self.text("contentEncoding").is_empty()
    }

    /// The lower bound.
    pub fn low(&self) -> Bound {
        self.bound("minimum", "exclusiveMinimum", |new, old| new > old)
    }

    /// The upper bound.
    pub fn high(&self) -> Bound {
        self.bound("maximum", "exclusiveMaximum", |new, old| new < old)
    }

    fn bound(&self, inclusive: &str, exclusive: &str, tighter: fn(f64, f64) -> bool) -> Bound {
        let mut found: Bound = None;
        let mut take = |value: f64, excluded: bool| match found {
            Some((old, was)) if !(tighter(value, old) || value == old && excluded && !was) => {}
            _ => found = Some((value, excluded)),
        };
        for part in &self.parts {
            // OpenAPI 3.0 says whether `minimum` is excluded; 3.1 has the bound there.
            let also = part.get(exclusive);
            if let Some(value) = part.get(inclusive).and_then(Value::as_f64) {
                take(value, also == Some(&Value::Bool(true)));
            }
            if let Some(value) = also.and_then(Value::as_f64) {
                take(value, true);
            }
        }
        found
    }

    /// The largest of a keyword's numbers, for `minLength` and the like; 0 without one.
    pub fn least(&self, key: &str) -> f64 {
        self.all(key).filter_map(Value::as_f64).fold(0.0, f64::max)
    }

    /// The smallest of a keyword's numbers, for `maxLength` and the like.
    pub fn most(&self, key: &str) -> f64 {
        self.all(key).filter_map(Value::as_f64).fold(f64::INFINITY, f64::min)
    }

    /// Names of the required properties, in order.
    pub fn required(&self) -> Vec<&'a str> {
        let mut seen = HashSet::new();
        let names = self.all("required").filter_map(Value::as_array).flatten().filter_map(Value::as_str);
        names.filter(|name| seen.insert(*name)).collect()
    }

    /// The properties in order, each with all schemas that hold for it.
    pub fn properties(&self) -> Vec<(&'a str, Vec<&'a Value>)> {
        let mut found: Vec<(&str, Vec<&Value>)> = Vec::new();
        let mut index: HashMap<&str, usize> = HashMap::new();
        for (name, schema) in self.all("properties").filter_map(Value::as_object).flatten() {
            match index.get(name.as_str()).and_then(|at| found.get_mut(*at)) {
                Some((_, schemas)) => schemas.push(schema),
                None => {
                    index.insert(name, found.len());
                    found.push((name, vec![schema]));
                }
            }
        }
        found
    }

    /// The schemas that hold for a property that `properties` does not list.
    pub fn further(&self, name: &str) -> Vec<&'a Value> {
        let mut schemas = Vec::new();
        for part in &self.parts {
            let patterns = part.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
            let fits =
                |pattern: &str| super::pattern::Pattern::read(pattern).is_some_and(|p| p.fits(name) == Some(true));
            let named: Vec<&Value> =
                patterns.take(20).filter(|(pattern, _)| fits(pattern)).map(|(_, schema)| schema).collect();
            if named.is_empty() {
                schemas.extend(part.get("additionalProperties").filter(|schema| schema.is_object()));
            }
            schemas.extend(named);
        }
        schemas
    }
}

/// What a reference inside the document stands for.
///
/// # Errors
/// References to files and other hosts, which are never fetched, and those that lead nowhere.
pub fn target<'a>(root: &'a Value, reference: &str) -> Result<&'a Value, String> {
    let shown: String = reference.chars().take(120).collect();
    let Some(pointer) = reference.strip_prefix('#') else {
        return Err(format!("$ref {shown:?} leads out of the document; it is not fetched"));
    };
    let pointer = match pointer.contains('%') {
        true => Cow::Owned(decoded(pointer)),
        false => Cow::Borrowed(pointer),
    };
    root.pointer(&pointer).ok_or_else(|| format!("$ref {shown:?} leads nowhere in the document"))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
