//! Lists of texts: the words of a command line, variables, pairs of a name and a value.

use super::Walk;
use crate::redact::patterns;
use crate::redact::places::{self, Way};
use crate::secret::{self, MASK, Pem, header_is_plain, is_in_flag};
use serde_json::Value;

impl Walk {
    pub(super) fn shown_list(&mut self, items: &mut [Value], way: &mut Way<'_>, pem: &mut Pem) {
        // A command line: `--api-key`, and its values as the next words. The key of a log ends with the log.
        let (mut flag, mut values) = (String::new(), 0_usize);
        let mut own = Pem::default();
        let pem = if pem.is_open() { pem } else { &mut own };
        if let [Value::String(name), value @ Value::String(_)] = items
            && places::is_secret_field(name)
            && value.as_str().is_some_and(|value| secret::is_made(value, 8))
        {
            let name = name.clone();
            self.mask(value, &name);
        }
        for item in items {
            if let Value::String(text) = item {
                let of_flag = flag.starts_with('-') && !flag.contains(['=', ' ']) && is_in_flag(&flag);
                if of_flag && (values == 0 && !text.starts_with("--") || values > 0 && secret::another(text)) {
                    values += 1;
                    self.mask(item, &flag.clone());
                    continue;
                }
                if matches!(flag.as_str(), "-H" | "--header") {
                    self.header(text, 0);
                } else if text.starts_with("--header=") {
                    self.header(text, "--header=".len());
                } else if let Some((name, value)) = text.split_once('=')
                    && is_variable_name(name)
                    && is_in_flag(name)
                    && !(value.is_empty() || secret::is_variable(value))
                {
                    *text = format!("{name}={}", self.without(name, value));
                    (flag, values) = (String::new(), 0);
                    continue;
                }
                let original = text.clone();
                self.behind_flag(&flag, text);
                (flag, values) = (original, 0);
            }
            self.shown(item, way, pem);
        }
    }

    /// `Name: value`: the value goes, unless the name is on the list.
    fn header(&mut self, text: &mut String, from: usize) {
        if let Some((name, value)) = text[from..].split_once(':')
            && !header_is_plain(name.trim())
            && !value.contains(MASK)
        {
            *text = format!("{}{name}: {}", &text[..from], self.without(name, value.trim()));
        }
    }

    /// The word behind a flag, such as `--host`: what it is stands in the word before.
    fn behind_flag(&mut self, flag: &str, text: &mut String) {
        let names = ["host", "node", "addr", "user"].iter().any(|name| flag.contains(name));
        if !self.mask_identifiers || !flag.starts_with("--") || flag.contains('=') || !names || text.starts_with('-') {
            return;
        }
        let flagged = format!("{flag}={text}");
        let offset = flag.len() + 1;
        let mut found = patterns::each(&flagged, patterns::About::default());
        found.retain(|one| one.range.start >= offset);
        for one in &mut found {
            one.range = one.range.start - offset..one.range.end - offset;
        }
        self.replace(text, found);
    }
}

/// Whether variables are called like that.
fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
