//! The text of an HTML page, as far as error pages need it.

/// Bytes of a page that are looked at, and characters kept of its text.
const PAGE_MAX: usize = 128 << 10;
const TEXT_MAX: usize = 16 << 10;

/// Whether a body is an HTML page.
pub fn is_page(body: &str) -> bool {
    let start = body.trim_start().get(..15.min(body.trim_start().len())).unwrap_or_default().to_ascii_lowercase();
    start.starts_with("<!doctype html")
        || start.starts_with("<html")
        || start.starts_with("<title")
        || start.starts_with("<h1")
}

/// What a page says, without tags, scripts and styles, entities read: each tag is a line's end.
pub fn text(page: &str) -> String {
    let mut end = page.len().min(PAGE_MAX);
    while !page.is_char_boundary(end) {
        end -= 1;
    }
    let mut rest = page.get(..end).unwrap_or_default();
    let mut out = String::new();
    while !rest.is_empty() && out.len() < TEXT_MAX {
        let Some(open) = rest.find('<') else {
            push(&mut out, rest);
            break;
        };
        push(&mut out, rest.get(..open).unwrap_or_default());
        rest = rest.get(open..).unwrap_or_default();
        let lower: String = rest.chars().take(8).collect::<String>().to_ascii_lowercase();
        let closing = match lower.as_str() {
            tag if tag.starts_with("<style") => "</style>",
            tag if tag.starts_with("<script") => "</script>",
            tag if tag.starts_with("<!--") => "-->",
            _ => ">",
        };
        rest = match rest.find(closing) {
            Some(at) => rest.get(at + closing.len()..).unwrap_or_default(),
            None => "",
        };
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    out
}

/// What a page says on one line, each text once.
pub fn line(page: &str) -> String {
    let text = text(page);
    let mut said: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !said.last().is_some_and(|last| last.contains(line)) {
            said.push(line);
        }
    }
    said.join(" - ")
}

fn push(out: &mut String, raw: &str) {
    let plain = raw
        .replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&apos;", "'")
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let plain = plain.trim();
    out.extend(plain.chars().take(TEXT_MAX));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_is_read_without_its_dress() {
        let page = "<!DOCTYPE html><html><head><title>KeyError: &#39;lang&#39;</title><style>p { x: 'lang is required' }\
            </style></head><!-- a comment --><body><h1>Bad &amp; Request</h1><script>missing</script><p>x</p>";
        assert!(is_page(page) && !is_page("{\"a\": \"<html\"}") && !is_page(""));
        assert_eq!(text(page).split_whitespace().collect::<Vec<_>>().join(" "), "KeyError: 'lang' Bad & Request x");
        assert_eq!(text("<style>never closed"), "\n");
    }

    proptest! {
        #[test]
        fn any_page_is_read_in_bounds(page in "(<style>|</style>|<!--|-->|<|>|&#39;|é|a|\n|\\PC{0,4}){0,200}") {
            is_page(&page);
            prop_assert!(text(&page).len() <= 4 * TEXT_MAX + PAGE_MAX);
        }
    }

    #[test]
    fn a_page_is_told_on_one_line_with_each_text_once() {
        let page =
            "<!doctype html>\n<html lang=en>\n<title>400 Bad Request</title>\n<h1>Bad Request</h1>\n<p>no sound</p>";
        assert_eq!(line(page), "400 Bad Request - no sound");
        assert_eq!(line("<html></html>"), "");
    }
}
