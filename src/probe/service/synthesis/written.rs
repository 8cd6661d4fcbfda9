//! Writes values of parameters as OpenAPI's `style` and `explode` (and Swagger 2.0's `collectionFormat`) say.

use crate::probe::service::message::{Content, Field, Place};
use crate::probe::service::schema::operation::Parameter;
use serde_json::Value;

/// The fields that carry a parameter's value.
pub fn fields(parameter: &Parameter, value: &Value, guess: bool) -> Vec<Field> {
    let name = parameter.name;
    let field = |name: &str, content| Field { name: name.to_owned(), place: parameter.place, content, guess };
    let text = |key: &str| parameter.object.get(key).and_then(Value::as_str).unwrap_or_default();
    let old = parameter.object.contains_key("type");
    let usual = match parameter.place {
        Place::Query | Place::Cookie => "form",
        _ => "simple",
    };
    let style = match (text("collectionFormat"), text("style")) {
        ("ssv", _) => "spaceDelimited",
        ("pipes", _) => "pipeDelimited",
        (_, "") => usual,
        (_, style) => style,
    };
    let explode = match parameter.object.get("explode").and_then(Value::as_bool) {
        Some(explode) => explode,
        // Swagger 2.0 separates by commas unless it says otherwise.
        None if old => text("collectionFormat") == "multi",
        None => style == "form",
    };
    let separator = match style {
        "spaceDelimited" => " ",
        "pipeDelimited" => "|",
        "label" if explode => ".",
        _ => ",",
    };
    let prefix = match style {
        "label" => ".".to_owned(),
        "matrix" => format!(";{name}="),
        _ => String::new(),
    };
    match value {
        Value::Array(_) | Value::Object(_) if parameter.json => vec![field(name, Content::Text(value.to_string()))],
        // A query repeats the name for each item.
        Value::Array(_) if explode && parameter.place == Place::Query => {
            vec![field(name, Content::Json(value.clone()))]
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            vec![field(name, Content::Text(format!("{prefix}{}", items.join(separator))))]
        }
        Value::Object(members) if style == "deepObject" => members
            .iter()
            .map(|(key, member)| field(&format!("{name}[{key}]"), Content::Json(member.clone())))
            .collect(),
        Value::Object(members) if explode && parameter.place == Place::Query => {
            members.iter().map(|(key, member)| field(key, Content::Json(member.clone()))).collect()
        }
        Value::Object(members) => {
            let joint = if explode { "=" } else { "," };
            let pairs: Vec<String> =
                members.iter().map(|(key, member)| format!("{key}{joint}{}", plain(member))).collect();
            vec![field(name, Content::Text(format!("{prefix}{}", pairs.join(separator))))]
        }
        scalar if !prefix.is_empty() => vec![field(name, Content::Text(format!("{prefix}{}", plain(scalar))))],
        scalar => vec![field(name, Content::Json(scalar.clone()))],
    }
}

fn plain(value: &Value) -> String {
    Content::Json(value.clone()).as_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(place: Place, object: Value, value: Value) -> Vec<(String, String)> {
        let schema = json!({});
        let (object, required) = (object.as_object().unwrap(), true);
        let parameter = Parameter { name: "p", place, required, schema: &schema, object, json: false };
        fields(&parameter, &value, false).into_iter().map(|field| (field.name, field.content.as_text())).collect()
    }

    #[test]
    fn every_style_is_written_as_the_specification_shows_it() {
        let (list, object) = (json!(["blue", "black"]), json!({ "R": 100, "G": 200 }));
        for (place, how, value, expected) in [
            (Place::Query, json!({}), &list, r#"p=["blue","black"]"#),
            (Place::Query, json!({ "explode": false }), &list, "p=blue,black"),
            (Place::Query, json!({ "style": "pipeDelimited" }), &list, "p=blue|black"),
            (Place::Query, json!({ "style": "deepObject" }), &object, "p[R]=100 p[G]=200"),
            (Place::Query, json!({}), &object, "R=100 G=200"),
            (Place::Query, json!({ "type": "array" }), &list, "p=blue,black"),
            (Place::Query, json!({ "type": "array", "collectionFormat": "ssv" }), &list, "p=blue black"),
            (Place::Path, json!({}), &list, "p=blue,black"),
            (Place::Path, json!({ "style": "label", "explode": true }), &list, "p=.blue.black"),
            (Place::Path, json!({ "style": "matrix" }), &list, "p=;p=blue,black"),
            (Place::Path, json!({ "explode": true }), &object, "p=R=100,G=200"),
            (Place::Header, json!({}), &object, "p=R,100,G,200"),
        ] {
            let pairs = written(place, how.clone(), value.clone());
            let text: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(text.join(" "), expected, "{how}");
        }
    }
}
