//! Reads the client's own request from a curl command line. Nothing is executed.

use super::body;
use super::choice;
use super::files::Files;
use super::request::{ClientRequest, Draft, Setting};
use super::shell::{self, Command, HOLE, Input, Word};
use crate::probe::service::message::{Encoding, Place};
use crate::probe::service::secrets::shown_url;
use std::time::Duration;

/// What is done with an option.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Use {
    /// Understood; with a value, or without.
    Value,
    Flag,
    /// Changes nothing here: output, retries and verbosity are the doctor's own affair.
    IgnoredValue,
    Ignored,
    /// Passed over, and said: the connection is the doctor's own, by its own options.
    ToldValue,
    Told,
}

#[rustfmt::skip]
const OPTIONS: &[(Use, &[&str])] = &[
    (Use::Value, &[
        "-X", "--request", "-H", "--header", "-d", "--data", "--data-ascii", "--data-raw", "--data-binary",
        "--data-urlencode", "--json", "-F", "--form", "--form-string", "-u", "--user", "--url", "--url-query", "-A",
        "--user-agent", "-b", "--cookie", "-m", "--max-time", "-e", "--referer", "--cacert", "-T", "--upload-file",
        "--oauth2-bearer", "-r", "--range",
    ]),
    (Use::Flag, &["-k", "--insecure", "-G", "--get", "-L", "--location", "--location-trusted", "-I", "--head"]),
    (Use::Ignored, &[
        "-s", "--silent", "-S", "--show-error", "-v", "--verbose", "-i", "--include", "--show-headers", "-f", "--fail",
        "--fail-with-body", "--fail-early", "--compressed", "-#", "--progress-bar", "-N", "--no-buffer", "--http1.0",
        "-0", "--http1.1", "--http2", "--http2-prior-knowledge", "--http3", "-4", "--ipv4", "-6", "--ipv6",
        "--no-keepalive", "--tcp-nodelay", "--tcp-fastopen", "-O", "--remote-name", "-g", "--globoff",
        "--no-progress-meter", "--basic", "--anyauth", "--path-as-is", "-J", "--remote-header-name", "-q", "--disable",
        "-Z", "--parallel", "--raw", "--tlsv1.2", "--tlsv1.3", "-1", "--tlsv1", "--post301", "--post302", "--post303",
        "--retry-connrefused", "--retry-all-errors", "--create-dirs", "--styled-output", "--form-escape",
        "--no-alpn", "--no-sessionid", "--ssl-no-revoke", "--trace-time", "--tr-encoding",
    ]),
    (Use::IgnoredValue, &[
        "-o", "--output", "-w", "--write-out", "--connect-timeout", "--retry", "--retry-delay", "--retry-max-time",
        "--keepalive-time", "-D", "--dump-header", "--trace", "--trace-ascii", "--stderr", "-c", "--cookie-jar",
        "--max-redirs", "--limit-rate", "-y", "--speed-time", "-Y", "--speed-limit", "--expect100-timeout",
        "--output-dir", "--max-filesize", "--parallel-max", "--ciphers", "--tls-max", "--curves", "--rate",
    ]),
    (Use::Told, &["-n", "--netrc", "--digest", "--ntlm", "--negotiate"]),
    (Use::ToldValue, &[
        "-x", "--proxy", "-U", "--proxy-user", "--noproxy", "--socks5", "--socks5-hostname", "--socks4", "--preproxy",
        "--proxy-header", "--proxy-cacert", "--resolve", "--connect-to", "--unix-socket", "--abstract-unix-socket",
        "--interface", "-E", "--cert", "--cert-type", "--key", "--key-type", "--pass", "--capath", "--pinnedpubkey",
        "--dns-servers", "--doh-url", "--local-port", "--netrc-file", "--aws-sigv4",
    ]),
];

fn usage(option: &str) -> Option<Use> {
    OPTIONS.iter().find(|(_, names)| names.contains(&option)).map(|(usage, _)| *usage)
}

/// Reads `text`: of several commands the first that looks like an inference.
pub fn parse(text: &str, setting: &Setting) -> Result<ClientRequest, String> {
    let commands: Vec<Command> = shell::commands(text)?.into_iter().filter_map(as_curl).collect();
    if commands.is_empty() {
        return Err("no curl command in it (expected: curl URL ...)".into());
    }
    let mut commands: Vec<(Command, Result<Vec<Given>, String>)> =
        commands.into_iter().map(|command| (options(&command.words), command)).map(|(o, c)| (c, o)).collect();
    let shown: Vec<String> = commands.iter().map(|(command, options)| outline(command, options)).collect();
    let (chosen, (command, options)) = choice::first_of_likeliest(std::mem::take(&mut commands), |(_, options)| {
        options.as_ref().map_or(0, |options| likeness(options))
    })
    .ok_or("no curl command in it")?;
    let others: Vec<String> =
        shown.iter().enumerate().filter(|(index, _)| *index != chosen).map(|(_, one)| one.clone()).collect();
    let mut draft = Curl::default();
    draft.draft.notes.extend(choice::others(others.len(), &others));
    let mut files = Files::beside(setting.folder);
    files.input = match command.input {
        Some(Input::Text(word)) => match word.open {
            Some(what) => return Err(format!("line {}: standard input holds {what}", command.line)),
            None => Some(word.text.into_bytes()),
        },
        Some(Input::File(word)) => Some(files.read(&word.text)?),
        None => None,
    };
    for given in options? {
        let option = given.option.clone();
        draft.take(given, &files, command.line, setting).map_err(|error| format!("curl option {option}: {error}"))?;
    }
    let place = if shown.len() > 1 { format!("{}:{}", setting.file(), command.line) } else { String::new() };
    draft.finish(place)
}

/// The words after `curl`, if the command is one.
fn as_curl(mut command: Command) -> Option<Command> {
    let is_curl = |word: &Word| word.text == "curl" || word.text.ends_with("/curl") || word.text == "curl.exe";
    // Before it a prompt, `sudo`, `time`, `do`, a variable.
    let at = command.words.iter().take(4).position(is_curl)?;
    let quoted = command
        .words
        .iter()
        .take(at)
        .any(|word| matches!(word.text.as_str(), "echo" | "which" | "install" | "command"));
    command.words.drain(..=at);
    (!quoted).then_some(command)
}

/// An option with its value; a URL is `--url`.
struct Given {
    option: String,
    value: Word,
}

fn options(words: &[Word]) -> Result<Vec<Given>, String> {
    let mut found = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = |option: &str, attached: Option<String>| match attached {
            Some(text) => Ok(Word { text, open: word.open.clone() }),
            None => words.next().cloned().ok_or(format!("curl option {option} lacks its value")),
        };
        let text = word.text.as_str();
        if matches!(text, "--next" | "-:") {
            // What follows is another request.
            break;
        } else if text.starts_with("--") && text.len() > 2 {
            let positive = text.strip_prefix("--no-").map(|name| format!("--{name}"));
            match usage(text).or(positive.and_then(|name| usage(&name)).map(|_| Use::Ignored)) {
                Some(Use::Value | Use::IgnoredValue | Use::ToldValue) => {
                    let value = value(text, None)?;
                    found.push(Given { option: text.into(), value });
                }
                Some(_) => found.push(Given { option: text.into(), value: Word::default() }),
                None => {
                    let name = text.split('=').next().unwrap_or_default();
                    return Err(format!("curl option {name} is not supported"));
                }
            }
        } else if text.starts_with('-') && text.len() > 1 {
            // Short options may be joined, the last one with its value: -sSXPOST.
            let mut rest = text.get(1..).unwrap_or_default().chars();
            while let Some(letter) = rest.next() {
                let option = format!("-{letter}");
                match usage(&option) {
                    Some(Use::Value | Use::IgnoredValue | Use::ToldValue) => {
                        let attached = Some(rest.as_str().to_owned()).filter(|rest| !rest.is_empty());
                        let value = value(&option, attached)?;
                        found.push(Given { option, value });
                        break;
                    }
                    Some(_) => found.push(Given { option, value: Word::default() }),
                    None => return Err(format!("curl option {option} is not supported")),
                }
            }
        } else {
            found.push(Given { option: "--url".into(), value: word.clone() });
        }
    }
    Ok(found)
}

/// Method and URL, as far as they are told without taking everything apart.
fn method_and_url(options: &[Given]) -> (String, String, bool) {
    let is = |given: &&Given, names: &[&str]| names.contains(&given.option.as_str());
    let sends = |option: &str| {
        option.starts_with("--data") || matches!(option, "-d" | "-F" | "--form" | "--form-string" | "--json" | "-T")
    };
    let has_body = options.iter().any(|given| sends(&given.option));
    let get = options.iter().any(|given| is(&given, &["-G", "--get", "-I", "--head"]));
    let named =
        options.iter().find(|given| is(given, &["-X", "--request"])).map(|given| given.value.text.to_uppercase());
    let method = named.unwrap_or_else(|| if has_body && !get { "POST".into() } else { "GET".into() });
    let url = options.iter().find(|given| is(given, &["--url"])).map(|given| given.value.text.clone());
    (method, url.unwrap_or_default(), has_body)
}

fn likeness(options: &[Given]) -> u8 {
    let (method, url, has_body) = method_and_url(options);
    // A script may carry its body in ways that are no option.
    choice::likeness(&method, &url, has_body || method == "POST")
}

fn outline(command: &Command, options: &Result<Vec<Given>, String>) -> String {
    match options {
        Ok(options) => {
            let (method, url, _) = method_and_url(options);
            format!("line {}: {method} {}", command.line, shown_url(&url.replace(HOLE, "...")))
        }
        Err(error) => format!("line {}: {error}", command.line),
    }
}

/// A request under construction.
#[derive(Default)]
struct Curl {
    draft: Draft,
    body: body::Draft,
    query: Vec<u8>,
    get: bool,
    head: bool,
}

impl Curl {
    fn take(&mut self, given: Given, files: &Files, line: usize, setting: &Setting) -> Result<(), String> {
        let Given { option, value } = given;
        let option = option.as_str();
        match usage(option) {
            Some(Use::Told | Use::ToldValue) => {
                self.draft.note(format!("curl option {option} is passed over: the doctor connects by its own options"));
                return Ok(());
            }
            Some(Use::Value | Use::Flag) => {}
            _ => return Ok(()),
        }
        let value = self.filled(option, value, line, setting)?;
        let Some(value) = value else { return Ok(()) };
        match option {
            "-X" | "--request" => self.draft.method = Some(value),
            "-H" | "--header" => self.header(&value, files)?,
            "--url" => self.draft.url(&value)?,
            "--url-query" => {
                let encoded = match value.strip_prefix('+') {
                    Some(raw) => raw.to_owned(),
                    None => body::urlencode(&value, files)?,
                };
                if !self.query.is_empty() {
                    self.query.push(b'&');
                }
                self.query.extend_from_slice(encoded.as_bytes());
            }
            "-u" | "--user" => self.draft.basic(&value),
            "--oauth2-bearer" => self.draft.headers.push(("authorization".into(), format!("Bearer {value}"))),
            "-A" | "--user-agent" => self.draft.headers.push(("user-agent".into(), value)),
            "-e" | "--referer" => self.draft.headers.push(("referer".into(), value)),
            "-r" | "--range" => self.draft.headers.push(("range".into(), format!("bytes={value}"))),
            "-b" | "--cookie" if value.contains('=') => self.draft.headers.push(("cookie".into(), value)),
            "-b" | "--cookie" => return Err("cookie files are not supported; give NAME=VALUE".into()),
            "-m" | "--max-time" => {
                let seconds = value.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
                self.draft.limit = Some(seconds.ok_or(format!("{value:?} is not a number of seconds"))?);
            }
            "--cacert" => self.draft.trust.roots = Some(files.read(&value)?),
            "-k" | "--insecure" => self.draft.trust.insecure = true,
            "-G" | "--get" => self.get = true,
            "-I" | "--head" => self.head = true,
            "-L" | "--location" | "--location-trusted" => self.draft.follow = true,
            _ => self.body.take(option, &value, files, &mut self.draft)?,
        }
        Ok(())
    }

    /// The value without holes: of a header nothing then, of a field what the user gave for it.
    fn filled(&mut self, option: &str, value: Word, line: usize, setting: &Setting) -> Result<Option<String>, String> {
        let Some(what) = value.open.filter(|_| value.text.contains(HOLE)) else { return Ok(Some(value.text)) };
        let name = value.text.split(['=', ':']).next().unwrap_or_default().trim().to_owned();
        match option {
            "-H" | "--header" | "-u" | "--user" | "--oauth2-bearer" | "-b" | "--cookie" => {
                let header = matches!(option, "-H" | "--header") && !name.contains(HOLE);
                let named = if header { name.as_str() } else { option };
                self.draft.note(format!(
                    "line {line}: {named} holds {what}, which the file does not set; it was left out (credentials: --bearer-env, \
                     --basic-env)"
                ));
                Ok(None)
            }
            "--url" => match value.text.strip_prefix(HOLE).filter(|rest| rest.starts_with('/') && !rest.contains(HOLE))
            {
                Some(path) => Ok(Some(path.to_owned())),
                None => {
                    let shown = shown_url(&value.text.replace(HOLE, "..."));
                    Err(format!("line {line}: {shown:?} holds {what}; write its value"))
                }
            },
            "-F" | "--form" | "--form-string" | "--data-urlencode"
                if value.text.contains('=') && !name.contains(HOLE) =>
            {
                Ok(Some(format!("{name}={}", setting.asked(&name, line, &what)?)))
            }
            _ => Err(format!(
                "line {line}: it holds {what}, which only a shell could put there; write the value, in '...'"
            )),
        }
    }

    fn header(&mut self, line: &str, files: &Files) -> Result<(), String> {
        if let Some(name) = line.strip_prefix('@') {
            let text = String::from_utf8(files.read(name)?).map_err(|_| format!("file {name} is not UTF-8 text"))?;
            return text.lines().filter(|line| line.contains(':')).try_for_each(|line| self.header(line, files));
        }
        // `Name;` sends an empty header, `Name:` removes one of curl's own; there is none of those here.
        let Some((name, value)) = line.split_once(':') else {
            return line.ends_with(';').then_some(()).ok_or("a header is written NAME: VALUE".into());
        };
        if value.contains("${") || value.contains("$(") || unexpanded(value) {
            return Err(format!("the value of {name} holds a shell variable in '...', which no shell expands"));
        }
        self.draft.header(name, value)
    }

    fn finish(mut self, place: String) -> Result<ClientRequest, String> {
        let mut query = self.body.query(self.get);
        query.extend(url::form_urlencoded::parse(&self.query).map(|(k, v)| body::text(&k, &v, Place::Query)));
        if self.body.is_json() && !self.draft.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            self.draft.headers.push(("accept".into(), "application/json".into()));
        }
        let body = self.body.finish(self.get, self.draft.content_type.take())?;
        if self.draft.method.is_none() {
            let usual = match body.encoding {
                _ if self.head => "HEAD",
                _ if body.put => "PUT",
                Encoding::None => "GET",
                _ => "POST",
            };
            self.draft.method = Some(usual.into());
        }
        self.draft.finish("curl", place, query, body)
    }
}

/// Whether the text holds `$NAME`, which a shell would have expanded.
fn unexpanded(text: &str) -> bool {
    text.split('$').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
}
