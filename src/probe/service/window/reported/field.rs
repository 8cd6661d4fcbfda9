//! One member of a JSON text, found without keeping anything else of it.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The number or text at the end of a path; a number in it is a place in a list, and a list of one stands for what is in
/// it.
pub fn find(body: &[u8], path: &[String]) -> Option<String> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let found = Along(path).deserialize(&mut json).ok()?;
    json.end().ok()?;
    found
}

/// The rest of the path.
struct Along<'p>(&'p [String]);

impl Along<'_> {
    /// A value that is none at all is found where the path ends.
    fn here<E: Error>(self, value: impl ToString) -> Result<Option<String>, E> {
        Ok(self.0.is_empty().then(|| value.to_string()))
    }
}

impl<'de> DeserializeSeed<'de> for Along<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Along<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        self.here(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        self.here(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        self.here(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        self.here(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let first = self.0.first().map(String::as_str);
        while let Some(is_it) = map.next_key_seed(Is(first))? {
            match self.0.split_first().filter(|_| is_it) {
                Some((_, rest)) => found = map.next_value_seed(Along(rest))?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let place = self.0.split_first().and_then(|(name, rest)| Some((name.parse::<usize>().ok()?, rest)));
        if let Some((place, rest)) = place {
            for _ in 0..place {
                if list.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            let found = list.next_element_seed(Along(rest))?.flatten();
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(found);
        }
        let ends = self.0.is_empty();
        let first = list.next_element_seed(self)?.flatten();
        let mut single = !ends;
        while list.next_element::<IgnoredAny>()?.is_some() {
            single = false;
        }
        Ok(first.filter(|_| single))
    }
}

/// Whether a name is this one.
struct Is<'p>(Option<&'p str>);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(self.0 == Some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn one_member_is_found_and_the_rest_is_passed_over() {
        let told = |body: &str| find(body.as_bytes(), &path("timing.ms"));
        assert_eq!(
            told(r#"{"ms": 1, "timing": {"s": [1, {"ms": 2}], "ms": 3.25}, "x": null}"#).as_deref(),
            Some("3.25")
        );
        assert_eq!(told(r#"[{"timing": [{"ms": "5"}]}]"#).as_deref(), Some("5"));
        for none in [
            r#"[{"timing": {"ms": 1}}, 2]"#,
            r#"{"timing": {"ms": [1]}}"#,
            r#"{"timing": 4}"#,
            "{\"timing\": {\"ms\": 1}",
            "no JSON",
            "",
        ] {
            assert_eq!(told(none), None, "{none}");
        }
    }

    proptest! {
        /// As the whole text, parsed, has it.
        #[test]
        fn it_is_what_a_parser_finds(body in "[{](\"[ab]\": ([0-9]{1,3}|true|\"[a-z]\"|[{]\"[ab]\": [0-9]{1,2}[}]|\\[[{]\"b\": 1[}]\\]),?){0,4}[}]") {
            let body = body.replace(",}", "}");
            let Ok(whole) = serde_json::from_str::<Value>(&body) else { return Ok(()) };
            let inner = |value: &Value| match value {
                Value::Array(items) if items.len() == 1 => items[0].get("b").cloned(),
                value => value.get("b").cloned(),
            };
            let expected = whole.get("a").and_then(inner).filter(|one| one.is_number() || one.is_string());
            let expected = expected.map(|one| one.as_str().map_or(one.to_string(), str::to_owned));
            prop_assert_eq!(find(body.as_bytes(), &path("a.b")), expected, "{}", body);
        }
    }
}
