//! Which paths exist: read from the schema of the fact types, so that a misspelt one is found before any run.

use super::view::Names;
use crate::words::nearest;
use serde_json::Value;
use std::collections::BTreeSet;

/// Deepest path that is proposed instead of a misspelt one.
const DEEPEST: usize = 6;

/// A path that names nothing.
#[derive(Debug, PartialEq)]
pub struct Stray {
    /// The part that does not exist: `memory_totl_bytes` in `nvml.gpus[].memory_totl_bytes`.
    pub part: String,
    /// What was meant, if something is like it.
    pub near: Option<String>,
}

/// The schema of everything that a path may name.
pub struct Paths {
    schema: Value,
}

impl Paths {
    /// The paths of this version's fact types.
    pub fn new() -> Paths {
        Paths { schema: serde_json::to_value(schemars::schema_for!(Names)).expect("a schema is plain JSON") }
    }

    /// Whether the path names a fact, a part of one, or a room.
    pub fn exists(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// What is wrong with a path; nothing, if it names a fact.
    pub fn stray(&self, path: &str) -> Option<Stray> {
        let parts: Vec<&str> = path.split('.').collect();
        let right = (0..parts.len()).find(|right| !self.exists(&parts[..=*right].join(".")))?;
        let before = parts[..right].join(".");
        let (name, lists) = (parts[right].trim_end_matches("[]"), parts[right].ends_with("[]"));
        let within = if before.is_empty() { Some(&self.schema) } else { self.find(&before) };
        let fields = within.map(|within| self.fields(within)).unwrap_or_default();
        let stray = |near: Option<String>| Some(Stray { part: name.to_owned(), near });
        // The field is there, and is no list or record.
        if fields.contains(name) {
            let is_list = self.exists(format!("{before}.{name}[]").trim_start_matches('.'));
            let hint = match (lists, is_list) {
                (true, false) => format!("{name}, which is no list"),
                _ => name.to_owned(),
            };
            return stray(Some(hint));
        }
        if let Some(near) = nearest(name, fields.iter().map(String::as_str), 0.82) {
            return stray(Some(near.to_owned()));
        }
        // A list's element is asked for a field through the list itself.
        if self.exists(&format!("{before}[].{name}")) {
            return stray(Some(format!("{before}[].{name}, of one of the list: {before}.exists(x, x.{name} ...)")));
        }
        let all = self.all();
        let leaf = all.iter().find(|path| path.rsplit('.').next() == Some(name));
        stray(leaf.cloned().or_else(|| nearest(path, all.iter().map(String::as_str), 0.9).map(str::to_owned)))
    }

    /// Every path, lists and records included.
    pub fn all(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut open: Vec<(String, &Value)> = vec![(String::new(), &self.schema)];
        while let Some((path, schema)) = open.pop() {
            for name in self.fields(schema) {
                let mut inner = if path.is_empty() { name } else { format!("{path}.{name}") };
                if let (Some(mut value), true) = (self.find(&inner), inner.matches('.').count() < DEEPEST) {
                    all.push(inner.clone());
                    while let Some(items) = self.inside(value, &|schema| schema.get("items")) {
                        value = items;
                        inner.push_str("[]");
                    }
                    open.push((inner, value));
                }
            }
        }
        all.sort();
        all
    }

    /// The names of the fields of a record.
    fn fields(&self, schema: &Value) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let names_in = |schema: &Value| {
            let properties = schema.get("properties").and_then(Value::as_object)?;
            Some(properties.keys().cloned().collect::<BTreeSet<_>>())
        };
        let mut open = vec![schema];
        while let Some(schema) = open.pop() {
            if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
                open.extend(self.schema.pointer(reference.trim_start_matches('#')));
            }
            for alternative in
                ["oneOf", "anyOf", "allOf"].iter().filter_map(|key| schema.get(key)?.as_array()).flatten()
            {
                let known = alternative.get("properties").and_then(|properties| properties.get("known"));
                let unknown = alternative.get("properties").and_then(|properties| properties.get("unknown"));
                open.extend(known.or(unknown.is_none().then_some(alternative)));
            }
            names.extend(names_in(schema).unwrap_or_default());
        }
        names
    }

    fn find(&self, path: &str) -> Option<&Value> {
        let mut place = &self.schema;
        for name in path.split('.') {
            let (name, lists) = (name.trim_end_matches("[]"), name.matches("[]").count());
            place = self.field(place, name)?;
            for _ in 0..lists {
                place = self.inside(place, &|schema| schema.get("items"))?;
            }
        }
        Some(place)
    }

    fn field<'a>(&'a self, schema: &'a Value, name: &str) -> Option<&'a Value> {
        self.inside(schema, &|schema| {
            let named = schema.get("properties").and_then(|properties| properties.get(name));
            named.or_else(|| schema.get("additionalProperties").filter(|any| any.is_object()))
        })
    }

    /// Looks for something in a schema, through references, alternatives and the `known` of a fact.
    fn inside<'a>(&'a self, schema: &'a Value, look: &dyn Fn(&'a Value) -> Option<&'a Value>) -> Option<&'a Value> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.inside(self.schema.pointer(reference.trim_start_matches('#'))?, look);
        }
        let alternatives = ["oneOf", "anyOf", "allOf"].iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
        let mut alternatives = alternatives.peekable();
        if alternatives.peek().is_some() {
            let found = alternatives.find_map(|alternative| {
                match alternative.get("properties").and_then(|properties| properties.get("known")) {
                    Some(known) => self.inside(known, look),
                    None => self.inside(alternative, look),
                }
            });
            if found.is_some() {
                return found;
            }
        }
        look(schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_facts_exist_and_misspelt_ones_do_not() {
        let paths = Paths::new();
        let real = [
            "nvml.gpus",
            "nvml.gpus[].name",
            "nvml.gpus[].processes[].pid",
            "request.good.status",
            "model.opsets.ai_onnx",
            "execution.gpus[].utilization_percent.during.max",
            "target.server",
            "derived.gpu_visible",
            "process.environment.CUDA_VISIBLE_DEVICES",
        ];
        for path in real {
            assert!(paths.exists(path), "{path}");
        }
        let all = paths.all();
        assert!(all.len() > 500 && all.iter().all(|path| paths.exists(path)), "{}", all.len());
        for path in ["nvml.gpu", "nvml.gpus[].nam", "nvml.gpus.name", "request.good.known", "targets", "host.os_name.x"]
        {
            assert!(!paths.exists(path), "{path}");
        }
    }

    #[test]
    fn what_was_meant_is_found() {
        let paths = Paths::new();
        let near = |path: &str| paths.stray(path).unwrap_or_else(|| panic!("{path} exists")).near.unwrap_or_default();
        assert_eq!(paths.stray("nvml.gpus[].name"), None);
        assert_eq!(near("nvml.gpus[].memory_totl_bytes"), "memory_total_bytes");
        assert_eq!(near("nvlm.gpus"), "nvml");
        assert_eq!(near("derived.gpu_visibel"), "gpu_visible");
        assert!(near("nvml.gpus.name").starts_with("nvml.gpus[].name"));
        assert!(near("memory_total_bytes").ends_with(".memory_total_bytes"));
        assert_eq!(near("zzqqk"), "");
    }
}
