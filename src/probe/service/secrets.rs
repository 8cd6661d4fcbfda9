//! The secrets of a conversation: what they are, and texts without them.

use super::message::{Content, Message, Place};
use crate::secret::{MASK, PLAIN_HEADERS, is_in_field, writings};
use serde_json::Value;
use url::{Url, form_urlencoded};

/// Nesting to which a body is searched.
const DEPTH: usize = 32;

/// Values of secret headers and fields: an answer may echo them.
#[derive(Debug, Default, Clone)]
pub struct Secrets {
    /// Longest first, so that a secret inside another one does not tear it apart.
    known: Vec<String>,
}

impl Secrets {
    /// Learns the secrets of a message.
    pub fn learn(&mut self, message: &Message) {
        message.headers.iter().for_each(|(name, value)| self.learn_header(name, value));
        for field in &message.fields {
            match &field.content {
                content if field.place == Place::Header => self.learn_header(&field.name, &content.as_text()),
                content if field.place == Place::Cookie && !field.guess => self.add(&content.as_text()),
                Content::Text(text) if is_in_field(&field.name) => self.add(text),
                Content::Json(value) => self.learn_json(value, is_in_field(&field.name), DEPTH),
                _ => {}
            }
        }
        let body = message.verbatim.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        if let Some(body) = body {
            self.learn_body(body);
        }
    }

    /// Learns the secrets of a header.
    pub fn learn_header(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        if name == "referer" {
            return self.learn_url(value);
        }
        if PLAIN_HEADERS.contains(&name.as_str()) {
            return;
        }
        self.add(value);
        if is_in_field(&name) {
            // `Bearer abc`: the token alone is as secret. A cookie's values likewise.
            let pieces = value.split([' ', ';', '=', ',', '"']);
            pieces.filter(|piece| *piece != "Bearer").for_each(|piece| self.add(piece));
        }
    }

    /// A body whose fields are not known by its content type.
    fn learn_body(&mut self, body: &str) {
        if let Ok(value) = serde_json::from_str(body) {
            return self.learn_json(&value, false, DEPTH);
        }
        for (name, value) in form_urlencoded::parse(body.as_bytes()) {
            if is_in_field(name.trim()) {
                self.add(&value);
            }
        }
    }

    fn learn_json(&mut self, value: &Value, secret: bool, depth: usize) {
        match value {
            _ if depth == 0 => {}
            Value::String(text) if secret => self.add(text),
            Value::Number(number) if secret => self.add(&number.to_string()),
            Value::Array(list) => list.iter().for_each(|item| self.learn_json(item, secret, depth - 1)),
            Value::Object(members) => {
                members.iter().for_each(|(name, item)| self.learn_json(item, secret || is_in_field(name), depth - 1));
            }
            _ => {}
        }
    }

    fn learn_url(&mut self, text: &str) {
        let Ok(url) = Url::parse(text) else { return };
        if let Some(password) = url.password() {
            self.add(password);
        }
        let secret = url.query_pairs().filter(|(name, _)| is_in_field(name));
        secret.for_each(|(_, value)| self.add(&value));
    }

    /// Adds a value, also as a form and as JSON would write it.
    fn add(&mut self, value: &str) {
        for text in writings(value) {
            // Shorter ones would tear unrelated text apart.
            if text.len() >= 6 && !self.known.contains(&text) {
                self.known.push(text);
            }
        }
        self.known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// The text without the secrets.
    pub fn masked(&self, text: &str) -> String {
        self.known.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }
}

/// A URL as the user wrote it, for a message about it: without what may be a user, a password or a query.
pub fn shown_url(text: &str) -> String {
    let text = match text.split_once('?') {
        Some((start, _)) => format!("{start}?{MASK}"),
        None => text.to_owned(),
    };
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://{MASK}{}", &text[..scheme], &text[at..]),
        (None, Some(at)) => format!("{MASK}{}", &text[at..]),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_of_a_body_are_found_however_deep_they_stand() {
        let mut secrets = Secrets::default();
        secrets.learn_body(r#"{"text": "spoken words", "login": [{"password": "S3CRET\"yy", "name": "somebody"}]}"#);
        secrets.learn_body("password=S3CRETxx&lang=english");
        let echoed = r#"spoken words somebody {"password":"S3CRET\"yy"} S3CRET"yy S3CRETxx english"#;
        assert_eq!(secrets.masked(echoed), r#"spoken words somebody {"password":"***"} *** *** english"#);
    }

    #[test]
    fn an_echo_in_another_writing_is_masked() {
        let mut secrets = Secrets::default();
        secrets.learn_header("Authorization", r#"Token token="S3CRET xx""#);
        secrets.learn_header("X-Api-Key", "S3CRET yy");
        secrets.learn_header("Referer", "http://u:S3CRETzz@h/?token=S3CRETww&page=number");
        let echoed = "S3CRET+yy S3CRET%20yy S3CRETzz S3CRETww number";
        assert_eq!(secrets.masked(echoed), "*** *** *** *** number");
    }

    #[test]
    fn a_url_is_shown_without_its_credentials() {
        assert_eq!(shown_url("http://bob:S3CRET@h:99999/x?token=S3CRET"), "http://***@h:99999/x?***");
        assert_eq!(shown_url("bob:S3CRET@h"), "***@h");
        assert_eq!(shown_url("^"), "^");
        assert_eq!(shown_url("http://h:1/p"), "http://h:1/p");
    }

    proptest! {
        #[test]
        fn any_url_is_shown_without_a_panic(text in ".{0,60}") {
            shown_url(&text);
        }

        #[test]
        fn any_body_is_searched_without_a_panic(text in ".{0,200}") {
            Secrets::default().learn_body(&text);
        }
    }
}
