//! What the serving software itself says of where its models run.
//!
//! Each kind tells it at an endpoint of its own, some at another port of the same host. Such a port is asked only of
//! software that was recognized, by GET, and without the user's headers: they are meant for the server's port alone.

mod answers;
mod asker;
mod ollama;
#[cfg(test)]
mod parsing;
mod ports;
mod python;
mod quoting;
mod ray;
#[cfg(test)]
mod tests;
mod tgi;
mod torchserve;
mod triton;

pub use ports::{Ports, commands, values as option_values};

use super::record::Recorder;
use super::transport::Route;
use super::{client_request, everywhere};
use crate::probe::ask::without_credentials;
use crate::probe::service::spoken::{Spoken, plain};
use crate::probe::{Context, Probe, Ran};
use crate::snapshot::{EngineFacts, EngineModel, Fact, Facts, RequestFacts, Room, Stage, Unknown, Why};
use asker::Asker;
use std::time::Duration;

/// Fills the room `engine`.
pub const PROBE: Probe = Probe {
    id: "engine",
    stage: Stage::Model,
    rooms: &["engine"],
    needs: &["process", "request"],
    this_machine: false,
    budget: Duration::from_secs(6),
    run,
};

/// Models that are told, and those of them that are asked about one by one.
const MODELS_MAX: usize = 64;
const ASKED_MAX: usize = 6;

/// What a kind of software has told.
struct Told {
    version: Fact<String>,
    image_label: Fact<String>,
    models: Fact<Vec<EngineModel>>,
}

impl Told {
    /// The models, of software that tells neither version nor image.
    fn models(models: Result<Vec<EngineModel>, Unknown>) -> Self {
        let untold = || Fact::unknown(Why::NotAsked, "this software does not tell it where its models are asked for");
        Self { version: untold(), image_label: untold(), models: models.into() }
    }
}

/// The kinds of software that tell of devices.
enum Kind {
    Triton { version: Fact<String> },
    Tgi { info: serde_json::Value },
    Ollama,
    TorchServe,
    RayServe,
}

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let not_asked = |detail: &str| Unknown::new(Why::NotAsked, detail);
    facts.engine = EngineFacts::all_unknown(&not_asked("no server was named"));
    let Some(server) = context.ask.server.as_ref().map(without_credentials) else {
        return Ran::skipped("no server was named");
    };
    let spoken = Spoken::by(&server);
    if spoken == Spoken::Grpc {
        facts.engine =
            EngineFacts::all_unknown(&not_asked("the server was named by its gRPC port; this is asked over HTTP"));
        return Ran::skipped("the server was named by its gRPC port");
    }
    let server = plain(&server);
    if facts.request.reachable.known() != Some(&true) {
        facts.engine = EngineFacts::all_unknown(&not_asked("the server did not answer HTTP"));
        return Ran::skipped("the server did not answer HTTP");
    }
    let client = context.ask.client_request.as_ref();
    let client = client.and_then(|(origin, text)| client_request(origin, text, &context.ask.fields).ok());
    let trust = client.as_ref().map(|request| request.trust.clone()).unwrap_or_default();
    let route = Route { trust, connection: context.ask.connection.clone() };
    let headers = everywhere(&context.ask);
    let mut recorder = Recorder::new(&server, &headers);
    client.iter().for_each(|request| recorder.learn(&request.message));
    let mut asker = match Asker::new(server, route, headers, recorder, context.deadline) {
        Ok(asker) => asker,
        Err(unknown) => {
            facts.engine = EngineFacts::all_unknown(&unknown);
            return Ran::from(&unknown);
        }
    };
    facts.engine = examine(&mut asker, facts, &ports::Ports::of(facts));
    Ran::ok()
}

/// Recognizes the software and lets it tell.
fn examine(asker: &mut Asker, facts: &Facts, ports: &ports::Ports) -> EngineFacts {
    let other = |what: &str| Unknown::new(Why::NotAsked, format!("only {what} tells it"));
    let mut room = EngineFacts::all_unknown(&other("another serving software"));
    room.gpu_metrics_present = Fact::Unknown(other("Triton"));
    room.python_stubs = Fact::Unknown(other("Triton"));
    let kind = recognize(asker, &facts.request);
    let (name, told) = match kind {
        None => ("unrecognized", Told::models(Err(other("Triton, TGI, ollama, TorchServe or Ray Serve")))),
        Some(Kind::Tgi { info }) => ("tgi", tgi::told(asker, &info)),
        Some(Kind::Ollama) => ("ollama", ollama::told(asker)),
        Some(Kind::TorchServe) => ("torchserve", Told::models(torchserve::models(asker, ports))),
        Some(Kind::RayServe) => ("ray-serve", Told::models(ray::models(asker, ports))),
        Some(Kind::Triton { version }) => {
            let tried = tried_model(&facts.request);
            let stubs = python::stubs(facts);
            let models = triton::models(asker, tried.as_deref()).map(|mut models| {
                python::read_sources(&mut models, &stubs, facts);
                models
            });
            let names: Vec<&str> = models.iter().flatten().map(|model| model.name.as_str()).collect();
            room.gpu_metrics_present = triton::gpu_metrics(asker, ports, &names).into();
            room.python_stubs = stubs.into();
            ("triton", Told { version, ..Told::models(models) })
        }
    };
    room.kind = Fact::Known(name.into());
    (room.version, room.image_label, room.models) = (told.version, told.image_label, told.models);
    room.answers = Fact::Known(std::mem::take(&mut asker.answers));
    room
}

/// Which software it is: by what it answered already, and at most three questions more at its own port.
fn recognize(asker: &mut Asker, request: &RequestFacts) -> Option<Kind> {
    let states = request.state_answers.known().map(Vec::as_slice).unwrap_or_default();
    let said = |path: &str| states.iter().find(|one| one.path.ends_with(path));
    let ok = |path: &str| said(path).filter(|one| one.status.known() == Some(&200));
    match request.server_kind.known().map(String::as_str) {
        Some("ollama") => return Some(Kind::Ollama),
        Some("torchserve") => return Some(Kind::TorchServe),
        Some("ray-serve") => return Some(Kind::RayServe),
        Some("tgi") => return asker.json("/info").ok().filter(tgi::is_info).map(|info| Kind::Tgi { info }),
        // Of these none tells of devices.
        Some("mlserver" | "litserve" | "bentoml" | "tei" | "tf-serving" | "gradio" | "llama.cpp" | "sglang") => {
            return None;
        }
        _ => {}
    }
    let of_kserve = request.server_kind.known().is_some_and(|kind| matches!(kind.as_str(), "kserve-v2" | "triton"));
    if of_kserve || ok("/v2/health/live").is_some() {
        let server = asker.json("/v2").ok()?;
        let version = asker.text_of(&server, "version");
        return (server.get("name")?.as_str()? == "triton").then_some(Kind::Triton { version });
    }
    if ok("/api/ps").is_some_and(|one| one.answer.trim_start().starts_with("{\"models\"")) {
        return Some(Kind::Ollama);
    }
    let described = request.schema_url.known().is_some();
    if !described {
        // TorchServe's own words for a path that it does not have.
        let lacks = |path: &str| said(path).is_some_and(|one| one.answer.contains("ResourceNotFoundException"));
        if said("/ping").is_some_and(|one| torchserve::is_health(&one.answer)) && lacks("/health") {
            return Some(Kind::TorchServe);
        }
        if let Ok(info) = asker.json("/info")
            && tgi::is_info(&info)
        {
            return Some(Kind::Tgi { info });
        }
    }
    let routes = asker.json("/-/routes").ok()?;
    ray::are_routes(&routes).then_some(Kind::RayServe)
}

/// The model that the requests named in their path.
fn tried_model(request: &RequestFacts) -> Option<String> {
    let paths = [
        request.good.known().map(|exchange| &exchange.path),
        request.client.known().map(|exchange| &exchange.path),
        request.operation.known().map(|operation| &operation.path),
    ];
    paths.into_iter().flatten().find_map(|path| super::recognize::kserve::model_in_path(path)).map(str::to_owned)
}
