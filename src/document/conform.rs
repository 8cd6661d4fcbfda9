//! Holds a document against the JSON Schema of its type: what does not fit and where; of a newer version, what to leave
//! aside.
//!
//! Only what schemars writes is understood: references, alternatives, constants, types, members and items.

use serde_json::{Map, Value, json};

/// References, alternatives and members below one another, at most.
const DEPTH_MAX: usize = 400;
/// Longest text that a message quotes, characters.
const QUOTED_MAX: usize = 40;
/// Least likeness of a name that is proposed for another, 0 to 1.
const LIKENESS_LEAST: f64 = 0.8;

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member of an object.
    Member(String),
    /// An item of a list, from 0.
    Item(usize),
}

/// A path as people write it.
pub fn written(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Member(name) if text.is_empty() => text.push_str(name),
            Step::Member(name) => text.extend([".", name]),
            Step::Item(number) => text.push_str(&format!("[{number}]")),
        }
    }
    text
}

/// What does not fit.
pub struct Unfit {
    /// Where.
    pub path: Vec<Step>,
    /// What was expected and found.
    pub problem: String,
}

/// A walk through a document.
pub struct Walk<'s> {
    schema: &'s Value,
    /// Whether what is not known is left aside.
    prunes: bool,
    /// What was.
    pub aside: Vec<String>,
    path: Vec<Step>,
    depth: usize,
}

impl<'s> Walk<'s> {
    /// A walk by this schema. If it `prunes`, it takes out what the schema does not know, where it can.
    pub fn new(schema: &'s Value, prunes: bool) -> Self {
        Self { schema, prunes, aside: Vec::new(), path: Vec::new(), depth: 0 }
    }

    /// Walks the document.
    ///
    /// # Errors
    /// The first thing that does not fit and cannot be left aside.
    pub fn fit(&mut self, document: &mut Value) -> Result<(), Unfit> {
        self.value(document, self.schema)
    }

    fn value(&mut self, value: &mut Value, schema: &'s Value) -> Result<(), Unfit> {
        if self.depth > DEPTH_MAX {
            return Err(self.unfit("nested too deep".into()));
        }
        self.depth += 1;
        let fits = self.value_at_depth(value, resolved(self.schema, schema));
        self.depth -= 1;
        fits
    }

    fn value_at_depth(&mut self, value: &mut Value, schema: &'s Value) -> Result<(), Unfit> {
        for alternatives in ["oneOf", "anyOf"].iter().filter_map(|key| schema.get(key)?.as_array()) {
            self.alternative(value, alternatives)?;
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.value(value, part)?;
        }
        if !of_type(value, schema) {
            return Err(self.unfit(format!("expected {}, found {}", expected(schema), found(value))));
        }
        if let Some(choices) = choices(schema)
            && !choices.contains(&&*value)
        {
            return Err(self.not_among(value, &choices));
        }
        match value {
            Value::Object(members) => self.members(members, schema),
            Value::Array(items) => self.items(items, schema),
            _ => Ok(()),
        }
    }

    /// One of several shapes: the one that the value's type, constants and members speak for.
    fn alternative(&mut self, value: &mut Value, alternatives: &'s [Value]) -> Result<(), Unfit> {
        let root = self.schema;
        let shapes: Vec<&'s Value> = alternatives.iter().map(|one| resolved(root, one)).collect();
        let likely: Vec<&'s Value> = shapes.iter().copied().filter(|shape| is_likely(root, value, shape)).collect();
        let is_fact = |shapes: &[&Value]| ["known", "unknown"].iter().all(|way| shapes.iter().any(|s| wants(s, way)));
        let problem = match likely.as_slice() {
            [] => self.none_of(value, &shapes),
            [one] => match self.value(value, one) {
                Ok(()) => return Ok(()),
                Err(unfit) => unfit,
            },
            several => {
                let mut first = None;
                for one in several {
                    let (mut tried, aside, path) = (value.clone(), self.aside.len(), self.path.len());
                    match self.value(&mut tried, one) {
                        Ok(()) => {
                            *value = tried;
                            return Ok(());
                        }
                        Err(unfit) => {
                            self.aside.truncate(aside);
                            self.path.truncate(path);
                            first.get_or_insert(unfit);
                        }
                    }
                }
                first.unwrap_or_else(|| self.none_of(value, several))
            }
        };
        if self.prunes && is_fact(&shapes) {
            let said = format!("{}: {}", written(&problem.path), problem.problem);
            *value = json!({"unknown": {"why": "unsupported", "detail": format!("a newer version wrote what this one does not know: {said}")}});
            self.aside.push(said);
            return Ok(());
        }
        Err(problem)
    }

    fn members(&mut self, members: &mut Map<String, Value>, schema: &'s Value) -> Result<(), Unfit> {
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let names: Vec<String> = members.keys().cloned().collect();
        let mut strangers = Vec::new();
        for name in names {
            let member = known.and_then(|known| known.get(&name)).or(others.filter(|others| others.is_object()));
            self.path.push(Step::Member(name.clone()));
            let fits = match member {
                Some(schema) => members.get_mut(&name).map_or(Ok(()), |value| self.value(value, schema)),
                // Without a word on others everything is allowed, as in a map of anything.
                None if known.is_none() || others == Some(&Value::Bool(true)) => Ok(()),
                None => {
                    strangers.push(name.clone());
                    let near = nearest(&name, known.into_iter().flat_map(Map::keys).map(String::as_str));
                    let near = near.map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
                    match others {
                        Some(_) => Err(self.unfit(format!("there is no member of that name{near}"))),
                        // It is read over, not refused.
                        None => {
                            let said = format!("{}: there is no member of that name", written(&self.path));
                            self.aside.extend(self.prunes.then_some(said));
                            Ok(())
                        }
                    }
                }
            };
            self.path.pop();
            match fits {
                Err(unfit) if self.prunes && !required.contains(&name.as_str()) => {
                    self.aside.push(format!("{}: {}", written(&unfit.path), unfit.problem));
                    members.shift_remove(&name);
                }
                fits => fits?,
            }
        }
        match required.iter().find(|name| !members.contains_key(**name)) {
            None => Ok(()),
            Some(lacking) => {
                let near = nearest(lacking, strangers.iter().map(String::as_str));
                let near = near.map_or(String::new(), |near| format!("; is \"{near}\" meant for it?"));
                Err(self.unfit(format!("it lacks the member \"{lacking}\"{near}")))
            }
        }
    }

    fn items(&mut self, items: &mut Vec<Value>, schema: &'s Value) -> Result<(), Unfit> {
        let places = schema.get("prefixItems").and_then(Value::as_array);
        let mut kept = Vec::with_capacity(items.len());
        for (number, mut item) in std::mem::take(items).into_iter().enumerate() {
            let place = places.and_then(|places| places.get(number));
            let Some(schema) = place.or(schema.get("items")) else {
                kept.push(item);
                continue;
            };
            self.path.push(Step::Item(number));
            let fits = self.value(&mut item, schema);
            self.path.pop();
            match fits {
                Ok(()) => kept.push(item),
                // In a row of fixed places none can be left out.
                Err(unfit) if self.prunes && place.is_none() => {
                    self.aside.push(format!("{}: {}", written(&unfit.path), unfit.problem));
                }
                Err(unfit) => return Err(unfit),
            }
        }
        *items = kept;
        Ok(())
    }

    fn unfit(&self, problem: String) -> Unfit {
        Unfit { path: self.path.clone(), problem }
    }

    fn not_among(&self, value: &Value, choices: &[&Value]) -> Unfit {
        let names: Vec<&str> = choices.iter().filter_map(|choice| choice.as_str()).collect();
        let near = value.as_str().and_then(|text| nearest(text, names.iter().copied()));
        let near = near.map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
        self.unfit(format!("expected one of {}, found {}{near}", names.join(", "), quoted(value)))
    }

    /// No shape has anything of the value.
    fn none_of(&self, value: &Value, shapes: &[&'s Value]) -> Unfit {
        let choices: Vec<&Value> = shapes.iter().filter_map(|shape| choices(shape)).flatten().collect();
        if value.is_string() && !choices.is_empty() {
            return self.not_among(value, &choices);
        }
        let mut wanted: Vec<String> = shapes.iter().map(|shape| expected(shape)).collect();
        wanted.dedup();
        self.unfit(format!("expected {}, found {}", wanted.join(" or "), found(value)))
    }
}

/// A schema behind its references.
fn resolved<'s>(root: &'s Value, mut schema: &'s Value) -> &'s Value {
    for _ in 0..32 {
        let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { break };
        let Some(meant) = root.pointer(reference.trim_start_matches('#')) else { break };
        schema = meant;
    }
    schema
}

/// The values of which it must be one.
fn choices(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(one), _) => Some(vec![one]),
        (None, Some(many)) => Some(many.iter().collect()),
        (None, None) => None,
    }
}

/// Whether an object of this schema must have a member of that name.
fn wants(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|required| required.iter().any(|one| one == name))
}

/// Whether a value may be meant by this shape: type, constants, members that must be there.
fn is_likely(root: &Value, value: &Value, shape: &Value) -> bool {
    if !of_type(value, shape) || choices(shape).is_some_and(|choices| !choices.contains(&value)) {
        return false;
    }
    let Some(members) = value.as_object() else { return true };
    let required = shape.get("required").and_then(Value::as_array).into_iter().flatten();
    required.filter_map(Value::as_str).all(|name| {
        let member = shape.get("properties").and_then(|all| all.get(name)).map(|schema| resolved(root, schema));
        let constant = member.and_then(|schema| schema.get("const"));
        members.get(name).is_some_and(|value| constant.is_none_or(|constant| constant == value))
    })
}

fn of_type(value: &Value, schema: &Value) -> bool {
    let fits = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    match schema.get("type") {
        Some(Value::String(name)) => fits(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(fits),
        _ => true,
    }
}

/// What a schema wants, in words.
fn expected(schema: &Value) -> String {
    if let Some(choices) = choices(schema) {
        return choices.iter().map(|choice| choice.to_string()).collect::<Vec<_>>().join(" or ");
    }
    let word = |name: &str| match name {
        "null" => "null",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "array" => "a list",
        _ => "an object",
    };
    let required = schema.get("required").and_then(Value::as_array);
    match (schema.get("type"), required.map(Vec::as_slice)) {
        (Some(Value::String(name)), Some([one])) if name == "object" => format!("an object with {one}"),
        (Some(Value::String(name)), _) => word(name).into(),
        (Some(Value::Array(names)), _) => {
            names.iter().filter_map(Value::as_str).map(word).collect::<Vec<_>>().join(" or ")
        }
        _ => "something else".into(),
    }
}

/// A value in words, without what it holds.
fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(members) => match members.keys().next() {
            Some(first) => format!("an object with \"{}\"", shortened(first)),
            None => "an empty object".into(),
        },
    }
}

fn quoted(value: &Value) -> String {
    value.as_str().map_or_else(|| found(value), |text| format!("\"{}\"", shortened(text)))
}

fn shortened(text: &str) -> String {
    text.chars().take(QUOTED_MAX).collect()
}

/// The name that is most like another, if one is like it.
fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let name = shortened(name);
    let like = names.map(|other| (strsim::jaro_winkler(&name, other), other));
    like.filter(|(likeness, _)| *likeness >= LIKENESS_LEAST).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other)
}
