//! Reads the client's own request from a curl command line. Nothing is executed and nothing is expanded.

use super::{body, files};
use crate::probe::service::message::{Encoding, Message, Place};
use crate::probe::service::secrets::shown_url;
use crate::probe::service::transport::Trust;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// Longest command that is read, bytes.
const COMMAND_CAP: usize = 1 << 20;

/// A client's request, and how it wants to be connected.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    pub message: Message,
    /// The URL of the command line, without credentials.
    pub url: Url,
    pub trust: Trust,
}

/// Options without a value that change nothing here. Output, retries and verbosity are the doctor's own affair.
const IGNORED: &[&str] = &[
    "-s",
    "--silent",
    "-S",
    "--show-error",
    "-v",
    "--verbose",
    "-i",
    "--include",
    "--show-headers",
    "-f",
    "--fail",
    "--fail-with-body",
    "--compressed",
    "-#",
    "--progress-bar",
    "-N",
    "--no-buffer",
    "--http1.0",
    "-0",
    "--http1.1",
    "--http2",
    "-4",
    "--ipv4",
    "-6",
    "--ipv6",
    "--no-keepalive",
    "--tcp-nodelay",
    "-O",
    "--remote-name",
    "-g",
    "--globoff",
    "--no-progress-meter",
    "--basic",
    "--path-as-is",
    "-J",
];
/// Options with a value that change nothing here.
const IGNORED_VALUE: &[&str] = &[
    "-o",
    "--output",
    "-w",
    "--write-out",
    "--connect-timeout",
    "--retry",
    "--retry-delay",
    "--retry-max-time",
    "--keepalive-time",
    "-D",
    "--dump-header",
    "--trace",
    "--trace-ascii",
    "--stderr",
    "-c",
    "--cookie-jar",
];
/// Options with a value that are understood.
const VALUE: &[&str] = &[
    "-X",
    "--request",
    "-H",
    "--header",
    "-d",
    "--data",
    "--data-ascii",
    "--data-raw",
    "--data-binary",
    "--data-urlencode",
    "--json",
    "-F",
    "--form",
    "--form-string",
    "-u",
    "--user",
    "--url",
    "-A",
    "--user-agent",
    "-b",
    "--cookie",
    "-m",
    "--max-time",
    "-e",
    "--referer",
    "--cacert",
    "-T",
    "--upload-file",
    "--oauth2-bearer",
];
/// Options without a value that are understood.
const FLAG: &[&str] = &["-k", "--insecure", "-G", "--get", "-L", "--location", "-I", "--head"];

/// Reads `text`; file names in it are relative to `folder`.
pub fn parse(text: &str, folder: &Path) -> Result<ClientRequest, String> {
    if text.len() > COMMAND_CAP {
        return Err(format!("the curl command is longer than {COMMAND_CAP} bytes"));
    }
    let mut draft = Draft::default();
    for (option, value) in options(&tokens(text)?)? {
        draft.take(&option, value, folder).map_err(|error| format!("curl option {option}: {error}"))?;
    }
    draft.finish()
}

/// The words after `curl`, up to the end of the command.
fn tokens(text: &str) -> Result<Vec<String>, String> {
    // Windows editors begin a file with a byte order mark and end its lines with two characters.
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    // A continued line ends a word here; shlex would make an empty one of it. cmd.exe continues lines with ^.
    let text = text.replace(" \\\n", " \n").replace("\t\\\n", " \n").replace(" ^\n", " \n");
    if expands(&text) {
        let words = "the curl command holds a shell variable, a substitution or $'...' quoting, which only a shell expands; \
                     write the value, in '...'";
        return Err(words.into());
    }
    let words = shlex::split(&text).ok_or("the curl command has an unclosed quote or ends in a backslash")?;
    let is_curl = |word: &String| word == "curl" || word.ends_with("/curl") || word == "curl.exe";
    let start = words.iter().position(is_curl).ok_or("no curl command in it (expected: curl URL ...)")?;
    let ends = |word: &&String| !matches!(word.as_str(), "|" | "||" | "&&" | "&" | ";" | ">" | ">>" | "2>" | "2>&1");
    let words: Vec<String> = words.iter().skip(start + 1).take_while(ends).cloned().collect();
    if words.iter().any(|word| word == "curl") {
        return Err("more than one curl command; give the one to examine".into());
    }
    Ok(words)
}

/// Splits words into options with their values; a URL becomes `--url`.
fn options(words: &[String]) -> Result<Vec<(String, Option<String>)>, String> {
    let mut found = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = |option: &str, attached: Option<String>| match attached {
            Some(value) => Ok(Some(value)),
            None => words.next().cloned().map(Some).ok_or(format!("curl option {option} lacks its value")),
        };
        if word.starts_with("--") {
            let takes = VALUE.contains(&word.as_str()) || IGNORED_VALUE.contains(&word.as_str());
            if takes {
                let value = value(word, None)?;
                found.push((word.clone(), value));
            } else if FLAG.contains(&word.as_str()) || IGNORED.contains(&word.as_str()) {
                found.push((word.clone(), None));
            } else {
                let name = word.split('=').next().unwrap_or_default();
                return Err(format!("curl option {name} is not supported"));
            }
        } else if word.starts_with('-') && word.len() > 1 {
            // Short options may be joined, the last one with its value: -sSXPOST.
            let mut rest = word.get(1..).unwrap_or_default().chars();
            while let Some(letter) = rest.next() {
                let option = format!("-{letter}");
                if VALUE.contains(&option.as_str()) || IGNORED_VALUE.contains(&option.as_str()) {
                    let attached = Some(rest.as_str().to_owned()).filter(|rest| !rest.is_empty());
                    let value = value(&option, attached)?;
                    found.push((option, value));
                    break;
                }
                if !FLAG.contains(&option.as_str()) && !IGNORED.contains(&option.as_str()) {
                    return Err(format!("curl option {option} is not supported"));
                }
                found.push((option, None));
            }
        } else {
            found.push(("--url".into(), Some(word.clone())));
        }
    }
    Ok(found)
}

/// A request under construction.
#[derive(Default)]
struct Draft {
    method: Option<String>,
    url: Option<Url>,
    headers: Vec<(String, String)>,
    body: body::Draft,
    get: bool,
    head: bool,
    follow: bool,
    limit: Option<Duration>,
    trust: Trust,
}

impl Draft {
    fn take(&mut self, option: &str, value: Option<String>, folder: &Path) -> Result<(), String> {
        let value = value.unwrap_or_default();
        match option {
            "-X" | "--request" => self.method = Some(value),
            "-H" | "--header" => self.header(&value)?,
            "--url" => self.url(&value)?,
            "-u" | "--user" => {
                self.headers.push((
                    "authorization".into(),
                    format!("Basic {}", crate::probe::service::message::base64(value.as_bytes())),
                ));
            }
            "--oauth2-bearer" => self.headers.push(("authorization".into(), format!("Bearer {value}"))),
            "-A" | "--user-agent" => self.headers.push(("user-agent".into(), value)),
            "-e" | "--referer" => self.headers.push(("referer".into(), value)),
            "-b" | "--cookie" if value.contains('=') => self.headers.push(("cookie".into(), value)),
            "-b" | "--cookie" => return Err("cookie files are not supported; give NAME=VALUE".into()),
            "-m" | "--max-time" => {
                let seconds = value.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
                self.limit = Some(seconds.ok_or(format!("{value:?} is not a number of seconds"))?);
            }
            "--cacert" => self.trust.roots = Some(files::read(folder, &value)?),
            "-k" | "--insecure" => self.trust.insecure = true,
            "-G" | "--get" => self.get = true,
            "-I" | "--head" => self.head = true,
            "-L" | "--location" => self.follow = true,
            _ if IGNORED.contains(&option) || IGNORED_VALUE.contains(&option) => {}
            _ => self.body.take(option, &value, folder)?,
        }
        Ok(())
    }

    fn header(&mut self, line: &str) -> Result<(), String> {
        // `Name;` sends an empty header, `Name:` removes one of curl's own; there is none of those here.
        let Some((name, value)) = line.split_once(':') else {
            return line.ends_with(';').then_some(()).ok_or("a header is written NAME: VALUE".into());
        };
        let (name, value) = (name.trim(), value.trim());
        if value.contains("${") || value.contains("$(") || unexpanded(value) {
            return Err(format!("the value of {name} holds a shell variable; write its value or use --header"));
        }
        let valid =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&b));
        if !valid || value.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
            return Err(format!("{name:?} is not a valid header"));
        }
        match name.to_ascii_lowercase().as_str() {
            "content-type" => self.body.content_type = Some(value.to_owned()),
            // Written by the HTTP client itself; a compressed answer could not be read.
            "content-length" | "transfer-encoding" | "connection" | "expect" | "accept-encoding" => {}
            _ if value.is_empty() => {}
            _ => self.headers.push((name.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    fn url(&mut self, text: &str) -> Result<(), String> {
        let shown = shown_url(text);
        if self.url.is_some() {
            return Err(format!("a second URL, {shown:?}; give one request"));
        }
        if unexpanded(text) || text.contains("${") || text.contains("$(") {
            return Err(format!("{shown:?} holds a shell variable; write its value"));
        }
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let mut url = Url::parse(&full).map_err(|error| format!("{shown:?}: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!("{shown:?} is not an http or https URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let user = format!("{}:{}", url.username(), url.password().unwrap_or_default());
            self.headers.push((
                "authorization".into(),
                format!("Basic {}", crate::probe::service::message::base64(user.as_bytes())),
            ));
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        self.url = Some(url);
        Ok(())
    }

    fn finish(self) -> Result<ClientRequest, String> {
        let mut url = self.url.ok_or("the curl command names no URL")?;
        url.set_fragment(None);
        let query = self.body.query(self.get);
        let body = self.body.finish(self.get)?;
        let method = match self.method {
            Some(method) if method.bytes().all(|b| b.is_ascii_alphabetic()) && !method.is_empty() => {
                method.to_uppercase()
            }
            Some(method) => return Err(format!("curl option -X: {method:?} is not a method")),
            None if self.head => "HEAD".into(),
            None if body.put => "PUT".into(),
            None if body.encoding != Encoding::None => "POST".into(),
            None => "GET".into(),
        };
        let mut fields: Vec<_> = url.query_pairs().map(|(k, v)| body::text(&k, &v, Place::Query)).collect();
        fields.extend(query);
        fields.extend(body.fields);
        let message = Message {
            author: "client",
            method,
            // A brace in a path that is no template must not be taken for one.
            path: url.path().replace('{', "%7B").replace('}', "%7D"),
            fields,
            headers: self.headers,
            encoding: body.encoding,
            content_type: body.content_type,
            verbatim: body.verbatim,
            limit: self.limit,
            follow: self.follow,
        };
        Ok(ClientRequest { message, url, trust: self.trust })
    }
}

/// Whether a shell would put something else in place of a part of the text: `$NAME`, `${NAME}`, `$(command)`,
/// `` `command` `` or `$'...'` outside single quotes and comments.
fn expands(text: &str) -> bool {
    let mut quote = None;
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some('\''), '\'') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => {
                characters.next();
            }
            (Some(_), '"') => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') if before.is_whitespace() => while characters.next_if(|next| *next != '\n').is_some() {},
            (_, '`') => return true,
            (None, '$') if characters.peek() == Some(&'\'') => return true,
            (_, '$') if characters.peek().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '{' | '(')) => {
                return true;
            }
            _ => {}
        }
        before = c;
    }
    false
}

/// Whether the text holds `$NAME`, which a shell would have expanded.
fn unexpanded(text: &str) -> bool {
    text.split('$').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
}
