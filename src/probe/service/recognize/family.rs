//! The families of servers: how each is suspected, and how it is recognized by its own endpoints.

use super::questions::{Questions, header, text};
use super::{
    bentoml, gradio, kserve, kserve_v1, litserve, ollama, openai, other, ray, text_inference, tf_serving, torchserve,
    whisperlivekit,
};
use crate::probe::service::schema::{Candidate, Document};
use crate::probe::service::transport::Reply;

/// One family of servers.
pub struct Family {
    /// What makes it worth asking for.
    pub suspected: fn(&Signs) -> Suspicion,
    /// Asks, and tells what the server is.
    pub recognize: fn(&Signs, &mut Questions) -> Option<Recognized>,
}

/// How much speaks for a family before it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suspicion {
    /// It cannot be.
    None,
    /// Nothing speaks against it.
    Possible,
    /// Something speaks for it.
    Likely,
}

/// Likely if something speaks for it, else possible if nothing is known of the server.
pub fn likely_or(likely: bool, possible: bool) -> Suspicion {
    match (likely, possible) {
        (true, _) => Suspicion::Likely,
        (false, true) => Suspicion::Possible,
        _ => Suspicion::None,
    }
}

/// What is known before the families are asked for.
pub struct Signs<'a> {
    /// The answer to the first question, where the schema usually is.
    pub first: &'a Reply,
    /// The OpenAPI document, if there is one.
    pub document: Option<&'a Document>,
    /// Path of the client's request, or the one that the user named.
    pub path: Option<&'a str>,
    /// The model that the user named, or the client's request.
    pub model: Option<String>,
    /// Command lines of the server's processes, where they run here.
    pub commands: &'a [Vec<String>],
    /// The port at which TorchServe would be managed.
    pub torchserve_management: u16,
}

impl Signs<'_> {
    /// Whether the document lists the path, by any method.
    pub fn lists(&self, path: &str) -> bool {
        self.document
            .is_some_and(|document| document.root().pointer("/paths").is_some_and(|all| all.get(path).is_some()))
    }

    /// The document's title.
    pub fn title(&self) -> &str {
        self.document.and_then(|document| document.root().pointer("/info/title")?.as_str()).unwrap_or_default()
    }

    /// The document's own version.
    pub fn version(&self) -> Option<String> {
        self.document?.root().pointer("/info/version")?.as_str().map(str::to_owned)
    }

    /// A header of the first answer.
    pub fn header(&self, name: &str) -> &str {
        header(self.first, name)
    }

    /// Whether the first answer holds these words.
    pub fn says(&self, words: &str) -> bool {
        text(self.first).contains(words)
    }

    /// Whether there is no document, so that any server may be behind it.
    pub fn undescribed(&self) -> bool {
        self.document.is_none()
    }

    /// Whether the client's path begins so.
    pub fn path_begins(&self, start: &str) -> bool {
        self.path.is_some_and(|path| path.starts_with(start))
    }

    /// axum's way to say that there is no such path: a 404 without a body and without a name.
    pub fn is_axum(&self) -> bool {
        self.first.status == 404 && self.first.body.is_empty() && self.header("server").is_empty()
    }
}

/// What a server was recognized as.
#[derive(Debug, Default)]
pub struct Recognized {
    pub kind: &'static str,
    pub version: Option<String>,
    /// The endpoint or header, and what it said.
    pub by: String,
    /// The models that it serves, where it told.
    pub models: Option<Vec<String>>,
    /// What may be tried, the best first.
    pub operations: Vec<Candidate>,
    /// Where it describes itself, if not in an OpenAPI document.
    pub described_at: Option<String>,
    /// Why there is nothing to try.
    pub lack: Option<String>,
    /// Endpoints of its state, the more telling ones first.
    pub states: Vec<String>,
}

/// Of families that are equally suspected, the first is asked for first.
pub const FAMILIES: &[Family] = &[
    Family { suspected: bentoml::suspected, recognize: bentoml::recognize },
    Family { suspected: torchserve::suspected, recognize: torchserve::recognize },
    Family { suspected: tf_serving::suspected, recognize: tf_serving::recognize },
    Family { suspected: text_inference::suspected, recognize: text_inference::recognize },
    Family { suspected: kserve::suspected, recognize: kserve::recognize },
    Family { suspected: openai::suspected, recognize: openai::recognize },
    Family { suspected: kserve_v1::suspected, recognize: kserve_v1::recognize },
    Family { suspected: litserve::suspected, recognize: litserve::recognize },
    Family { suspected: ollama::suspected, recognize: ollama::recognize },
    Family { suspected: gradio::suspected, recognize: gradio::recognize },
    Family { suspected: whisperlivekit::suspected, recognize: whisperlivekit::recognize },
    Family { suspected: ray::suspected, recognize: ray::recognize },
    Family { suspected: other::suspected, recognize: other::recognize },
];

/// Asks for the families that are suspected, the likely ones first.
pub fn recognize(signs: &Signs, questions: &mut Questions) -> Option<Recognized> {
    let suspected = |wanted: Suspicion| FAMILIES.iter().filter(move |family| (family.suspected)(signs) == wanted);
    let mut all = suspected(Suspicion::Likely).chain(suspected(Suspicion::Possible));
    all.find_map(|family| (family.recognize)(signs, questions))
}

/// Names from a list of objects, at most some hundred.
pub fn names(list: Option<&serde_json::Value>, key: &str) -> Vec<String> {
    const MOST: usize = 256;
    let all = list.and_then(serde_json::Value::as_array).into_iter().flatten().take(MOST);
    all.filter_map(|one| one.get(key)?.as_str().filter(|name| name.len() <= 300).map(str::to_owned)).collect()
}
