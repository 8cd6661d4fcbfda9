//! Answers as they may be quoted: configurations of serving software hold keys, and variables of its processes.

use crate::probe::server_log::text::masked;
use crate::secret::{MASK, is_in_field};
use serde_json::Value;

/// What holds variables with any name, such as Ray's `runtime_env`.
const VARIABLES: &[&str] = &["env_vars"];

/// An answer without the values of fields that are named like secrets, and without what looks like one.
pub fn without_secrets(answer: &str) -> String {
    match serde_json::from_str::<Value>(answer) {
        Err(_) => masked(answer),
        Ok(mut value) => match hide(&mut value) {
            true => value.to_string(),
            false => answer.to_owned(),
        },
    }
}

/// Masks such fields and what looks like a secret in other texts; false if there are none. What was parsed is not nested deeper than its parser allows.
fn hide(value: &mut Value) -> bool {
    let mut found = false;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| found |= hide(item)),
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                let is_secret = is_in_field(name) || VARIABLES.contains(&name.as_str());
                // Switches and numbers tell no secret.
                if !is_secret || matches!(value, Value::Null | Value::Bool(_) | Value::Number(_)) {
                    found |= hide(value);
                } else {
                    (*value, found) = (MASK.into(), true);
                }
            }
        }
        Value::String(text) => {
            let shown = masked(text);
            found = shown != *text;
            *text = shown;
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_and_variables_are_hidden_and_the_rest_stays_as_it_is() {
        let triton =
            r#"{"name":"m","parameters":{"api_key":{"string_value":"planted"},"token_count":{"string_value":"7"}}}"#;
        let expected = r#"{"name":"m","parameters":{"api_key":"***","token_count":{"string_value":"7"}}}"#;
        assert_eq!(without_secrets(triton), expected);
        let ray = r#"[{"runtime_env":{"env_vars":{"DSN":"planted"}},"url":"https://u:planted@h/x","said":"Bearer planted1"}]"#;
        let shown = without_secrets(ray);
        assert!(!shown.contains("planted") && shown.contains("//***@h/x"), "{shown}");
        let plain = "{ \"models\" : [ ] }\n";
        assert_eq!(without_secrets(plain), plain);
        assert_eq!(without_secrets("token=planted {"), "token=*** {");
    }

    proptest! {
        #[test]
        fn whatever_stands_behind_the_name_of_a_secret_is_hidden(depth in 0usize..40, is_list: bool, text in "[a-z]{1,8}") {
            let mut value = Value::from(format!("planted {text}"));
            for _ in 0..depth {
                value = if is_list { vec![value].into() } else { serde_json::json!({ "string_value": value }) };
            }
            let answer = serde_json::json!({ "model": [{ "hfToken": value, "name": text }] }).to_string();
            prop_assert!(!without_secrets(&answer).contains("planted"));
        }

        #[test]
        fn any_text_is_survived(text in "(?s).{0,200}") {
            let _ = without_secrets(&text);
        }
    }
}
