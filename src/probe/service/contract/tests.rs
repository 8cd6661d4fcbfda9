//! Which requests break a contract, and whether an answer names a field.

use super::names;

#[test]
fn an_answer_names_a_field_by_its_word_and_not_by_an_echo() {
    for (body, field, named) in [
        (r#"{"detail":"lang parameter is required"}"#, "lang", true),
        (r#"{"detail":"Unsupported language: xx"}"#, "lang", true),
        (
            r#"{"detail":[{"type":"missing","loc":["body","audio"],"msg":"Field required","input":{"lang":"en"}}]}"#,
            "lang",
            false,
        ),
        (
            r#"{"detail":[{"type":"missing","loc":["body","audio"],"msg":"Field required","input":null}]}"#,
            "audio",
            true,
        ),
        ("Internal Server Error", "lang", false),
        ("<h1>slang is not allowed</h1>", "lang", false),
        ("KeyError: 'top-k'", "top-k", true),
        ("", "lang", false),
        ("<!doctype html>\n<html lang=en>\n<title>400 Bad Request</title>\n<p>could not understand.", "lang", false),
        ("<html lang=en><p>KeyError: &#39;lang&#39;</p>", "lang", true),
    ] {
        assert_eq!(names(body.as_bytes(), field), named, "{field} in {body}");
    }
}
