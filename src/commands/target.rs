//! Joins flags and config file into the question that the probes are asked.

use super::{Failure, given, waivers};
use crate::check::{Checks, LoadError};
use crate::cli::{self, ConnectionOptions, Output, Selection, TargetOptions};
use crate::config::{Auth, BalanceConfig, Config, ConfigError, ConnectionConfig, FieldValue, LoadConfig};
use crate::probe::service::{client_request_url, given_file, verify_connection};
use crate::probe::{Ask, Connection, PlacementAsk};
use crate::regular_file;
use anyhow::{Context as _, anyhow};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use url::Url;

/// Largest client request that is read, bytes.
const LIMIT_BYTES: u64 = 32 << 20;

/// Reads the config, if one is named, and lets flags win over it, in all three groups of options.
pub fn resolve(target: TargetOptions, selection: &mut Selection, output: Option<&mut Output>) -> Result<Ask, Failure> {
    resolve_with_config(target, selection, output).map(|(ask, _)| ask)
}

/// The same, with what the config says of `balance`.
pub fn resolve_with_config(
    target: TargetOptions,
    selection: &mut Selection,
    output: Option<&mut Output>,
) -> Result<(Ask, BalanceConfig), Failure> {
    resolve_all(target, selection, output).map(|(ask, balance, _)| (ask, balance))
}

/// The same, with what the config says of a load.
pub fn resolve_with_load(
    target: TargetOptions,
    selection: &mut Selection,
    output: Option<&mut Output>,
) -> Result<(Ask, LoadConfig), Failure> {
    resolve_all(target, selection, output).map(|(ask, _, load)| (ask, load))
}

fn resolve_all(
    target: TargetOptions,
    selection: &mut Selection,
    mut output: Option<&mut Output>,
) -> Result<(Ask, BalanceConfig, LoadConfig), Failure> {
    let command = given::command(&target, selection.checks.as_deref());
    let (config, mut headers) = match &target.config {
        None => (Config::default(), Vec::new()),
        Some(path) => read_config(path).map_err(|error| Failure::Usage(error.into()))?,
    };
    selection.checks = selection.checks.take().or(config.checks);
    if let Some(path) = &target.config {
        verify_selectors(path, &config.only, &config.skip, selection)?;
    }
    if selection.only.is_empty() {
        selection.only = config.only;
    }
    if selection.skip.is_empty() {
        selection.skip = config.skip;
    }
    if let Some(output) = &mut output {
        output.fail_on = output.fail_on.or(config.fail_on);
        waivers::take(output, config.waivers, selection)?;
    }
    let standard = Ask::default();
    let time = |text: Option<String>| text.as_deref().and_then(|text| cli::duration(text).ok());
    let timeout = target.timeout.or(time(config.timeout));
    let loader = target.loader.or(config.loader);
    let loader_timeout = target.loader_timeout.or(time(config.loader_timeout)).unwrap_or(standard.loader_timeout);
    let usual_timeout = standard.timeout + if loader.is_some() { loader_timeout } else { Default::default() };
    let client_request = match (target.client_request.or(config.client_request), &config.client) {
        (Some(path), _) => Some((path.display().to_string(), read_request(&path).map_err(Failure::Usage)?)),
        // Written in the config file itself; files that it names are looked for beside that.
        (None, Some(client)) => {
            let origin = target.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            Some((origin, serde_json::json!({ "client": client }).to_string()))
        }
        (None, None) => None,
    };
    let fields = fields(config.request.fields, target.fields).map_err(Failure::Usage)?;
    let server = target.server.or(config.server).map(|text| cli::server_url(&text)).transpose();
    let mut server = server.map_err(|problem| Failure::Usage(anyhow!("--server: {problem}")))?;
    if let (None, Some((origin, text))) = (&server, &client_request) {
        server = Some(server_of(origin, text, &fields).map_err(Failure::Usage)?);
    }
    authorize(&mut headers, &target.connection, &config.auth, target.config.as_deref()).map_err(Failure::Usage)?;
    let connection = connection(target.connection, config.connection).map_err(Failure::Usage)?;
    let sample_rate_hz = target.sample_rate.or(config.sample_rate).unwrap_or(standard.sample_rate_hz);
    let ask = Ask {
        root: target.root.or(config.root).unwrap_or(standard.root),
        server,
        model: target.model.or(config.model),
        onnxruntime: target.onnxruntime.or(config.onnxruntime),
        python: target.python.or(config.python),
        client_request,
        logs: either(target.logs, config.logs),
        kernel_log: target.kernel_log.or(config.kernel_log),
        docker_inspect: target.docker_inspect.or(config.docker_inspect),
        kubectl: either(target.kubectl, config.kubectl),
        nvidia_smi: target.nvidia_smi.or(config.nvidia_smi),
        smoke: target.smoke,
        imports: target.imports,
        placement: PlacementAsk::default(),
        loader,
        forward: target.forward.or(config.forward),
        loader_timeout,
        expect: config.expect,
        operation: target.operation.or(config.request.path),
        method: config.request.method,
        content_type: config.request.content_type,
        fields,
        contract: target.contract,
        connection,
        headers,
        requests: target.requests.or(config.request.count).unwrap_or(standard.requests),
        window: standard.window,
        sample_rate_hz,
        balance: None,
        timeout: timeout.unwrap_or(usual_timeout),
        load: None,
        waited: None,
        command,
    };
    if !ask.root.is_dir() {
        return Err(Failure::Usage(anyhow!("--root {}: there is no such folder", ask.root.display())));
    }
    if ask.loader.is_some() && ask.python.is_none() {
        return Err(Failure::Usage(anyhow!("--loader needs --python, the interpreter that is to run it")));
    }
    if ask.forward.is_some() && ask.loader.is_none() {
        return Err(Failure::Usage(anyhow!("--forward needs --loader, which gives it the model")));
    }
    Ok((ask, config.balance, config.load))
}

/// Refuses what is wrong with `only` and `skip` of the config file, where no flag stands for them: the flags' own are told
/// as such.
fn verify_selectors(path: &Path, only: &[String], skip: &[String], flags: &Selection) -> Result<(), Failure> {
    let only = if flags.only.is_empty() { only } else { &[] };
    let skip = if flags.skip.is_empty() { skip } else { &[] };
    if only.is_empty() && skip.is_empty() {
        return Ok(());
    }
    let checks = Checks::load(flags.checks.as_deref()).map_err(|error| Failure::Usage(error.into()))?;
    match checks.select(only, skip) {
        Err(error @ LoadError::Selector { .. }) => {
            let said = error.to_string();
            let said = said.trim_start_matches('-');
            Err(Failure::Usage(anyhow!("config {}: {said}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Values of fields, the flags' over those of the config file; the files among them can be read.
fn fields(
    config: BTreeMap<String, FieldValue>,
    flags: Vec<(String, String)>,
) -> anyhow::Result<BTreeMap<String, String>> {
    let config = config.into_iter().map(|(name, value)| (name, value.0));
    let fields: BTreeMap<String, String> = config.chain(flags).collect();
    for (name, value) in &fields {
        if let Some(file) = value.strip_prefix('@') {
            given_file(file).map_err(|problem| anyhow!("field {name}: {problem}"))?;
        }
    }
    Ok(fields)
}

/// How the server is reached, by the flags and the config file.
fn connection(flags: ConnectionOptions, config: ConnectionConfig) -> anyhow::Result<Connection> {
    let identity = match (flags.cert.or(config.cert), flags.key.or(config.key)) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (Some(_), None) => return Err(anyhow!("--cert needs --key, the private key of the certificate")),
        (None, Some(_)) => return Err(anyhow!("--key needs --cert, the certificate of the key")),
    };
    let connection = Connection {
        cacert: flags.cacert.or(config.cacert),
        identity,
        unix_socket: flags.unix_socket.or(config.unix_socket),
        proxy: flags.proxy.or(config.proxy),
        http2: flags.http2 || config.http2,
    };
    verify_connection(&connection).map_err(|problem| anyhow!(problem))?;
    Ok(connection)
}

/// Adds the header with the credentials that the flags name, else those of the config file.
fn authorize(
    headers: &mut Vec<(String, String)>,
    flags: &ConnectionOptions,
    config: &Auth,
    file: Option<&Path>,
) -> anyhow::Result<()> {
    let (bearer_env, bearer_file) = (flags.bearer_env.clone(), flags.bearer_file.clone());
    let by_flags = Auth { bearer_env, bearer_file, basic_env: flags.basic_env.clone() };
    let by_flags =
        by_flags.fetch().map_err(|problem| anyhow!("--bearer-env, --bearer-file, --basic-env: {problem}"))?;
    let file = file.unwrap_or(Path::new("")).display();
    // No colon behind `auth`: what follows would be taken for a secret, and masked.
    let by_config =
        || config.fetch().map_err(|problem| anyhow!("config {file}: what \"auth\" names cannot be had: {problem}"));
    let Some(value) = by_flags.map_or_else(by_config, |value| Ok(Some(value)))? else { return Ok(()) };
    headers.retain(|(name, _)| name != "authorization");
    headers.push(("authorization".into(), value));
    Ok(())
}

/// The flags, or what the config file lists if there are none.
fn either(flags: Vec<PathBuf>, config: Vec<PathBuf>) -> Vec<PathBuf> {
    if flags.is_empty() { config } else { flags }
}

/// The server that the client's request itself names, when no other was.
fn server_of(origin: &str, request: &str, fields: &BTreeMap<String, String>) -> anyhow::Result<Url> {
    let named = client_request_url(origin, request, fields)
        .map_err(|problem| anyhow!("--client-request {origin}: {problem}"))?;
    let mut url =
        named.ok_or(anyhow!("--client-request {origin}: it names a path only; name the server: --server URL"))?;
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

fn read_config(path: &Path) -> Result<(Config, Vec<(String, String)>), ConfigError> {
    let config = Config::read(path)?;
    let headers = config.fetch_headers(path)?;
    Ok((config, headers))
}

fn read_request(path: &Path) -> anyhow::Result<String> {
    regular_file::read_text(path, LIMIT_BYTES).with_context(|| format!("--client-request {}", path.display()))
}
