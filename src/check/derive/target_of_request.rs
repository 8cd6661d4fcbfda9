//! Whether the client's own request goes to what the server has: its port, path, method and model.

use super::Basis;
use crate::snapshot::{Exchange, Fact, Facts, RequestFacts, Unknown, Why, room};

room! {
    /// Where the client's request goes, and what is there.
    pub struct TargetOfRequest {
        /// What is at this port instead of a server of models; empty if that is not known to be so.
        pub wrong_port: String,
        /// The model that the client's request names and the server says it does not have; empty if it is rejected for
        /// something else, or accepted.
        pub wrong_model: String,
        /// The served model whose name is nearest to it.
        pub nearest_model: String,
        /// What of the client's request the server does not have, in words: the path, or the method there; empty if it is
        /// rejected for something else, or accepted.
        pub wrong_path: String,
        /// The operation that was probably meant: `POST /v1/chat/completions`; empty if none is known.
        pub nearest_operation: String,
        /// Why nothing could be sent, where neither the server nor the user says what it takes; empty if something was.
        pub nothing_to_send: String,
    }
}

impl TargetOfRequest {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let wrong_model =
            rejected(facts).and_then(|client| client.map_or(Ok(String::new()), |client| wrong_model(facts, client)));
        let wrong_path = match &wrong_model {
            // A server answers 404 for a model that it does not have, too.
            Ok(model) if !model.is_empty() => Ok(None),
            _ => rejected(facts).map(|client| client.and_then(|client| wrong_path(facts, client))),
        };
        let words = wrong_path.clone().map(|wrong| wrong.map_or(String::new(), |(words, _)| words));
        let nearest = wrong_path.map(|wrong| wrong.map_or(String::new(), |(_, nearest)| nearest));
        let nearest_model = wrong_model.clone().map(|wrong| match wrong.is_empty() {
            true => String::new(),
            false => closest(&wrong, served(facts).iter().map(String::as_str)).unwrap_or_default(),
        });
        Self {
            wrong_port: wrong_port(facts),
            wrong_model: wrong_model.into(),
            nearest_model: nearest_model.into(),
            wrong_path: words.into(),
            nearest_operation: nearest.into(),
            nothing_to_send: nothing_to_send(facts),
        }
    }
}

/// The client's own request, if it was rejected.
pub fn rejected(facts: &Facts) -> Result<Option<&Exchange>, Unknown> {
    if facts.request.reachable.known() == Some(&false) {
        return Ok(None);
    }
    facts.request.client.read().map(|client| (!client.accepted).then_some(client))
}

/// What is not a server of models, and at which port such a server is usually found.
fn wrong_port(facts: &Facts) -> Fact<String> {
    let request = &facts.request;
    if request.reachable.known() == Some(&false) {
        let error = request.reach_error.known().map(String::as_str).unwrap_or_default();
        let at = |port: &str| error.contains(&format!(":{port}:")) && error.contains("not HTTP");
        return Fact::Known(match () {
            () if at("8001") => "8001 is usually Triton's gRPC port, and 8000 its HTTP port".into(),
            () if at("8500") => "8500 is usually TensorFlow Serving's gRPC port, and 8501 its HTTP port".into(),
            () => String::new(),
        });
    }
    if let Some(page) = page_for_everything(request) {
        return Fact::Known(page);
    }
    request.server_kind.as_ref().map(|kind| {
        match kind.as_str() {
            "triton-metrics" => "this is Triton's metrics port; its HTTP port is usually 8000",
            "torchserve-metrics" => "this is TorchServe's metrics port; its inference port is usually 8080",
            "ray-metrics" => "this is a metrics port of Ray; Ray Serve's HTTP port is usually 8000",
            "ray-dashboard" => "this is Ray's dashboard; Ray Serve's HTTP port is usually 8000",
            "dcgm-exporter" => "this is the DCGM exporter, which tells of the GPUs and serves no model",
            "node-exporter" => "this is Prometheus' node exporter, which serves no model",
            "jupyter" => "this is Jupyter, which serves no model",
            "prometheus" => "this is Prometheus, which serves no model",
            "grafana" => "this is Grafana, which serves no model",
            "tensorboard" => "this is TensorBoard, which serves no model",
            "mlflow" => "this is MLflow's own page, which serves no model",
            "nginx-page" => "this is nginx's own page: no server of models stands behind this address",
            _ => "",
        }
        .to_owned()
    })
}

/// A web page that answers whatever it is asked: the frontend of an application, or a proxy's own page. A program that
/// answers requests for its model with pages has none at the path of a schema.
fn page_for_everything(request: &RequestFacts) -> Option<String> {
    let html = |exchange: &&Exchange| {
        let kind = exchange.headers.get("content-type").map(|kind| kind.to_ascii_lowercase()).unwrap_or_default();
        exchange.status.known().is_some_and(|status| (200..300).contains(status)) && kind.starts_with("text/html")
    };
    let asked = [&request.client, &request.good].into_iter().filter_map(Fact::known).find(html)?;
    let schema = request.schema_error.known().is_some_and(|error| error.contains("got HTML"));
    schema.then(|| {
        format!(
            "{} {} and every other path are answered with the same kind of web page, so that this is a frontend or a proxy",
            asked.method, asked.path
        )
    })
}

fn served(facts: &Facts) -> &[String] {
    facts.request.served_models.known().map(Vec::as_slice).unwrap_or_default()
}

/// The model that a request names, by its path or its field.
fn model_of(exchange: &Exchange) -> Option<String> {
    let starts = ["/v2/models/", "/v1/models/", "/predictions/"];
    let path = exchange.path.split('?').next().unwrap_or_default();
    let in_path = starts.iter().find_map(|start| path.split_once(start)?.1.split(['/', ':']).next());
    let in_field = || exchange.fields.iter().find(|field| field.name == "model").map(|field| field.value.as_str());
    in_path.or_else(in_field).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The client's model, if the server's answer is about models and it does not have this one.
fn wrong_model(facts: &Facts, client: &Exchange) -> Result<String, Unknown> {
    let status = client.status.known().copied().unwrap_or(0);
    let (Some(model), true) = (model_of(client), matches!(status, 400 | 404 | 422 | 500 | 503)) else {
        return Ok(String::new());
    };
    let answer = client.answer.to_lowercase();
    let says_unknown = [
        "does not exist",
        "not found",
        "unknown model",
        "modelnotfound",
        "not installed",
        "invalid model",
        "could not load model",
        "is not a valid model",
        "not served",
    ];
    let about_models =
        answer.contains("model") || answer.contains("servable") || answer.contains(&model.to_lowercase());
    if !about_models || !says_unknown.iter().any(|words| answer.contains(words)) {
        return Ok(String::new());
    }
    // A model that is there and not loaded is another cause.
    let listed = match &facts.engine.models {
        Fact::Known(models) => models.iter().any(|one| one.name == model),
        // Software that answers nothing of its models lists none.
        Fact::Unknown(Unknown { why: Why::NotAsked | Why::Absent | Why::Unsupported, .. }) => false,
        Fact::Unknown(unknown) => return Err(unknown.clone()),
    };
    // ollama's names may go without their tag.
    let same = |name: &String| *name == model || name.strip_suffix(":latest") == Some(&model);
    // Without a list of models the answer itself must speak of this one, and not of a load that failed.
    let named = answer.contains(&model.to_lowercase()) && !super::state::says_not_loaded(status, &client.answer);
    let unlisted = served(facts).is_empty() && !(named && matches!(status, 400 | 404 | 422));
    if listed || unlisted || served(facts).iter().any(same) {
        return Ok(String::new());
    }
    Ok(model)
}

/// What is wrong with path or method, and the operation that is nearest.
fn wrong_path(facts: &Facts, client: &Exchange) -> Option<(String, String)> {
    let status = *client.status.known()?;
    let path = client.path.split('?').next().unwrap_or_default();
    let listed = facts.request.listed_operations.known().map(Vec::as_slice).unwrap_or_default();
    let pairs: Vec<(&str, &str)> = listed.iter().filter_map(|one| one.split_once(' ')).collect();
    let here: Vec<&str> = pairs.iter().filter(|(_, own)| same(own, path)).map(|(method, _)| *method).collect();
    let answer = client.answer.to_lowercase();
    // TensorFlow Serving's words come with 404 or 400; ollama, TorchServe and Triton answer 405 and 400 as others do.
    let malformed = answer.contains("malformed request: ");
    match status {
        405 => {
            let allowed = client.headers.get("allow").cloned().unwrap_or_else(|| here.join(", "));
            let words = match allowed.as_str() {
                "" => format!("{path} does not take {}", client.method),
                allowed => format!("{path} does not take {}, it takes {allowed}", client.method),
            };
            let method = allowed.split(',').map(str::trim).find(|one| !one.is_empty()).unwrap_or_default().to_owned();
            Some((words, if method.is_empty() { String::new() } else { format!("{method} {path}") }))
        }
        404 if !here.contains(&client.method.as_str()) => {
            // A thing behind a path that exists is not found either: a model, a file, an entry.
            let about_a_thing = answer.contains("model") && answer.contains("not found");
            if about_a_thing && !answer.contains("resourcenotfound") {
                return None;
            }
            Some((format!("the server has no path {path}"), nearest(facts, client, path, &pairs)))
        }
        400 if malformed => Some((format!("the server has no path {path}"), nearest(facts, client, path, &pairs))),
        301 | 302 | 307 | 308 => {
            let to = client.headers.get("location")?;
            let to = to.split('?').next().unwrap_or_default();
            let to_path =
                to.find("://").map_or(to, |at| to[at + 3..].find('/').map_or("/", |slash| &to[at + 3 + slash..]));
            let slash = to_path.trim_end_matches('/') == path.trim_end_matches('/') && to_path != path;
            slash.then(|| {
                let words = format!("{path} is redirected to {to_path}: only the slash at the end differs");
                (words, format!("{} {to_path}", client.method))
            })
        }
        _ => None,
    }
}

/// The operation that the client probably means: the same path elsewhere, else the one whose letters are nearest, else
/// the one that was accepted.
fn nearest(facts: &Facts, client: &Exchange, path: &str, pairs: &[(&str, &str)]) -> String {
    let bare = path.trim_matches('/');
    let ends = |own: &str| {
        let own = own.trim_matches('/');
        !bare.is_empty()
            && (own.ends_with(&format!("/{bare}")) || bare.ends_with(&format!("/{own}")) && !own.is_empty())
    };
    // A client sends something, so what only answers a GET is not meant.
    let fitting: Vec<&(&str, &str)> =
        pairs.iter().filter(|(method, _)| *method == client.method || *method != "GET").collect();
    let mounted = fitting.iter().find(|(_, own)| own.eq_ignore_ascii_case(path) || ends(own));
    let by_letters = || {
        let own = closest(path, fitting.iter().map(|(_, own)| *own))?;
        let near = distance(path, &own) * 2 <= path.chars().count().max(own.chars().count());
        fitting.iter().find(|(_, other)| near && *other == own)
    };
    if let Some((method, own)) = mounted.or_else(by_letters) {
        return format!("{method} {own}");
    }
    match (facts.request.good.known(), facts.request.operation.known()) {
        (Some(good), _) => format!("{} {}", good.method, good.path.split('?').next().unwrap_or_default()),
        (None, Some(operation)) if !same(&operation.path, path) => format!("{} {}", operation.method, operation.path),
        _ => String::new(),
    }
}

/// Whether a path is that of a template such as `/v1/{model}/infer`.
fn same(template: &str, path: &str) -> bool {
    let (left, right): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let fits =
        |(own, other): (&&str, &&str)| own == other || own.starts_with('{') && own.ends_with('}') && !other.is_empty();
    left.len() == right.len() && left.iter().zip(&right).all(fits)
}

/// The name with the fewest letters to change.
fn closest<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> Option<String> {
    all.min_by_key(|other| distance(name, other)).map(str::to_owned)
}

/// Letters to insert, leave out or change, of the first 120 of each.
fn distance(left: &str, right: &str) -> usize {
    let letters = |text: &str| text.chars().take(120).flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (left, right) = (letters(left), letters(right));
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.iter().enumerate() {
        let mut before = index;
        let mut last = index + 1;
        for (other, cell) in right.iter().zip(row.iter_mut().skip(1)) {
            let changed = before + usize::from(letter != other);
            before = *cell;
            last = changed.min(*cell + 1).min(last + 1);
            *cell = last;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Why nothing was sent.
fn nothing_to_send(facts: &Facts) -> Fact<String> {
    let request = &facts.request;
    let sent = request.attempts.known().is_some_and(|attempts| !attempts.is_empty())
        || request.client_given.known() == Some(&true)
        || request.good.known().is_some()
        || request.rejected.known().is_some();
    if sent || request.reachable.known() == Some(&false) {
        return Fact::Known(String::new());
    }
    match request.reachable.read() {
        Err(unknown) => Fact::Unknown(unknown),
        // A search that was cut short has not shown that nothing can be sent.
        Ok(_) => match &request.schema_error {
            Fact::Known(error) => Fact::Known(error.clone()),
            Fact::Unknown(unknown) if unknown.why == Why::Absent => Fact::Known(String::new()),
            Fact::Unknown(unknown) => Fact::Unknown(unknown.clone()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_near_by_their_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "abc"), distance("abc", ""), distance("a", "A")), (3, 3, 0));
        assert_eq!(closest("lama", ["qwen", "llama"].into_iter()).as_deref(), Some("llama"));
    }

    #[test]
    fn templates_stand_for_any_name() {
        assert!(same("/v1/{model}/infer", "/v1/m/infer") && !same("/v1/{model}", "/v1/") && !same("/asr", "/asr/"));
    }

    proptest! {
        #[test]
        fn a_distance_is_one_both_ways(left in ".{0,30}", right in ".{0,30}") {
            let bound = left.chars().flat_map(char::to_lowercase).count().max(right.chars().flat_map(char::to_lowercase).count());
            prop_assert_eq!(distance(&left, &right), distance(&right, &left));
            prop_assert!(distance(&left, &right) <= bound);
            prop_assert_eq!(distance(&left, &left), 0);
        }
    }
}
