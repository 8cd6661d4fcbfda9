//! Which paths exist: read from the schema of the fact types, so that a misspelt one is found before any run.

use super::view::Names;
use serde_json::Value;

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
        for path in ["nvml.gpu", "nvml.gpus[].nam", "nvml.gpus.name", "request.good.known", "targets", "host.os_name.x"]
        {
            assert!(!paths.exists(path), "{path}");
        }
    }
}
