//! What the server tells, and how it is reached.

use super::template::{Found, quoted};
use super::written;
use crate::cli::ConnectionOptions;
use crate::commands::Failure;
use crate::probe::Ask;
use crate::probe::service::description::{Description, describe as asked};
use anyhow::anyhow;
use url::Url;

/// Fills in how the server is reached, as it was given. The file's paths are taken from its own folder, hence whole here.
pub fn connected(options: &ConnectionOptions, found: &mut Found) -> Result<(), Failure> {
    let given = |flag: &str| format!("given as --{flag}");
    let files = [
        ("connection.cacert", "cacert", &options.cacert),
        ("connection.cert", "cert", &options.cert),
        ("connection.key", "key", &options.key),
        ("connection.unix_socket", "unix-socket", &options.unix_socket),
        ("auth.bearer_file", "bearer-file", &options.bearer_file),
    ];
    for (key, flag, path) in files {
        let Some(path) = path else { continue };
        let whole = std::path::absolute(path)
            .map_err(|error| Failure::Usage(anyhow!("--{flag} {}: {error}", path.display())))?;
        found.text(key, &whole.display().to_string(), given(flag));
    }
    for (key, flag, name) in
        [("auth.bearer_env", "bearer-env", &options.bearer_env), ("auth.basic_env", "basic-env", &options.basic_env)]
    {
        if let Some(name) = name {
            found.text(key, name, given(flag));
        }
    }
    match options.proxy.as_deref() {
        Some("env") => found.text("connection.proxy", "env", given("proxy")),
        Some(proxy) => {
            if let Ok(url) = Url::parse(proxy) {
                found.text("connection.proxy", &written(&url), given("proxy"));
            }
        }
        None => {}
    }
    if options.http2 {
        found.value("connection.http2", true, given("http2"));
    }
    Ok(())
}

/// Fills in the server's URL.
pub fn named(url: &Url, by_user: bool, found: &mut Found) {
    if by_user {
        found.text("server", &written(url), "given as --server");
    }
    if !url.username().is_empty() || url.password().is_some() {
        found.note("server", "The user and password of the URL do not stand here: name them by auth.basic_env.");
    }
}

/// Asks the server what it is, and fills in the operation and what it wants.
pub fn describe(ask: &Ask, found: &mut Found, said: &mut Vec<String>) {
    let description = match asked(ask) {
        Ok(description) => description,
        Err(problem) => {
            said.push(format!("the server tells nothing of itself: {problem}"));
            found.note("server", format!("It told nothing of itself when this was written: {problem}."));
            return;
        }
    };
    let Description { kind, operations, path, required, credentials, told } = description;
    if let Some(kind) = kind {
        found.note("server", format!("It is a server of the kind {kind}."));
    }
    if !operations.is_empty() {
        found.note("request", format!("The server's operations: {}.", operations.join(", ")));
    }
    match (&path, &told) {
        (Some(path), Ok(place)) => {
            said.push(format!("its operation {path} is to be tried ({place})"));
            found.text("request.path", path, place.clone());
        }
        (_, Err(problem)) => {
            said.push(format!("which operation to try is not known: {problem}"));
            found.note("request", format!("Which operation to try is not known: {problem}."));
        }
        _ => {}
    }
    if !required.is_empty() {
        let kinds = required.iter().map(|(name, kind, _)| match kind.as_str() {
            "" => name.clone(),
            kind => format!("{name} ({kind})"),
        });
        found.note(
            "request.fields",
            format!(
                "Required: {}. Without a value here the doctor makes one up.",
                kinds.collect::<Vec<_>>().join(", ")
            ),
        );
        let members = required.iter().map(|(name, kind, value)| match kind.as_str() {
            "file" => format!("{}: \"@FILE\"", quoted(name)),
            _ => format!("{}: {}", quoted(name), short(value)),
        });
        found.examples.insert("request.fields", format!("{{{}}}", members.collect::<Vec<_>>().join(", ")));
    }
    let given = found.values.keys().any(|key| key.starts_with("auth."));
    let refused = matches!(&told, Err(problem) if problem.contains("401") || problem.contains("403"));
    if !given && (refused || !credentials.is_empty()) {
        let wanted = if credentials.is_empty() { "credentials".into() } else { credentials.join(", ") };
        said.push(format!("the server wants {wanted}: name the variable that holds them, under auth or headers"));
        found.note("auth", format!("The server wants {wanted}: name here the variable that holds them."));
    }
}

/// A value that is short enough to be an example.
fn short(value: &serde_json::Value) -> String {
    let text = value.to_string();
    if text.len() <= 60 { text } else { "...".into() }
}
