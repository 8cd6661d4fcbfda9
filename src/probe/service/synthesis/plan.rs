//! The whole request for an operation, validated before anybody sends it.

use super::maker::{Made, Maker};
use super::media::{self, Around};
use super::{Source, Synthesis, body, given, written};
use crate::probe::service::message::{Content, Encoding, Field, Message, Place};
use crate::probe::service::recognize::told::BODY;
use crate::probe::service::schema::operation::{Body, Credential, Operation, Parameter};
use crate::probe::service::schema::validate::{Validator, Verdict};
use crate::probe::service::schema::view::View;
use crate::probe::service::schema::{Candidate, Described};
use serde_json::{Map, Value};
use std::sync::Arc;

/// One value of the request.
#[derive(Debug, Clone)]
pub struct Planned {
    pub name: String,
    pub place: Place,
    pub required: bool,
    pub kind: &'static str,
    pub source: Source,
    /// As the schema sees it; of a file its description.
    pub value: Value,
}

/// A request, and what is known of it before it is sent.
#[derive(Debug)]
pub struct Plan {
    pub message: Message,
    pub values: Vec<Planned>,
    /// The body as the schema sees it.
    pub body: Option<Value>,
    /// What of it is not as the schema wants it.
    pub problems: Vec<String>,
    /// What could not be validated.
    pub undecided: Vec<String>,
    /// Lists of credentials, of which one suffices.
    pub credentials: Vec<Vec<Credential>>,
}

impl Plan {
    fn new(candidate: &Candidate) -> Self {
        let message = Message {
            author: "doctor",
            method: candidate.method.clone(),
            path: candidate.path.clone(),
            fields: Vec::new(),
            headers: Vec::new(),
            encoding: candidate.encoding,
            content_type: candidate.content_type.clone(),
            verbatim: None,
            limit: None,
            follow: true,
        };
        let (values, problems, undecided) = (Vec::new(), Vec::new(), Vec::new());
        Plan { message, values, body: None, problems, undecided, credentials: Vec::new() }
    }

    /// Judges a value by a validator of its own: what making it took does not shorten the judgement.
    fn verify<'m>(&mut self, root: &'m Value, place: &str, schema: &'m Value, value: &Value) {
        match Validator::new(root).verdict(&[schema], value) {
            Verdict::Valid => {}
            Verdict::Invalid(problems) => {
                self.problems.extend(problems.into_iter().map(|problem| format!("{place}: {problem}")));
            }
            Verdict::Undecided(what) => self.undecided.push(format!("{place}: {what}")),
        }
    }
}

/// The request that follows the schema: what it requires, and the payload.
pub fn plan(candidate: &Candidate, synthesis: &Synthesis) -> Plan {
    match synthesis.document.and_then(|document| document.operation(candidate)) {
        Some(operation) => by_document(candidate, &operation, synthesis),
        None => by_fields(candidate, synthesis),
    }
}

fn by_document(candidate: &Candidate, operation: &Operation, synthesis: &Synthesis) -> Plan {
    let mut plan = Plan::new(candidate);
    let bodies = operation.bodies();
    let chosen = bodies.iter().find(|body| body.media_type == candidate.content_type);
    let root = synthesis.root();
    let form = candidate.encoding == Encoding::Multipart;
    let mut maker = Maker::new(root, &synthesis.supported, operation.path, form);
    let parameters = operation.parameters();
    maker.outer.push(String::new());
    for parameter in &parameters {
        let given = synthesis.given.get(parameter.name);
        if parameter.required || given.is_some() {
            add_parameter(&mut plan, &mut maker, operation, parameter, given);
        }
    }
    maker.outer.pop();
    if !add_given_body(&mut plan, synthesis)
        && let Some(body) = chosen
    {
        add_body(&mut plan, &mut maker, body, synthesis);
    }
    let known = candidate.fields.iter().filter(|field| candidate.known.contains(&field.name));
    known.for_each(|field| add_known(&mut plan, field, synthesis));
    plan.credentials = operation.credentials();
    for credential in plan.credentials.iter().flatten().filter(|credential| credential.place != Place::Header) {
        if let Some(value) = synthesis.given.get(&credential.name) {
            let content = Content::Text(value.clone());
            let field = Field { name: credential.name.clone(), place: credential.place, content, guess: false };
            if plan.message.field(&field.name).is_none() {
                plan.message.fields.push(field);
            }
        }
    }
    plan
}

/// A field of which more is known than the document says.
fn add_known(plan: &mut Plan, described: &Described, synthesis: &Synthesis) {
    let (field, source) = synthesis.with_source(described);
    let value = Made::of(field.content.clone()).value;
    if let (Some(Value::Object(body)), Place::Json | Place::Form) = (&mut plan.body, field.place) {
        body.insert(field.name.clone(), value.clone());
    }
    plan.values.retain(|planned| (&planned.name, planned.place) != (&field.name, field.place));
    plan.values.push(Planned {
        name: field.name.clone(),
        place: field.place,
        required: described.required,
        kind: described.kind,
        source,
        value,
    });
    plan.message = plan.message.with(field);
}

fn add_parameter<'m>(
    plan: &mut Plan,
    maker: &mut Maker<'m>,
    operation: &Operation<'m>,
    parameter: &Parameter<'m>,
    given: Option<&String>,
) {
    let schemas = [parameter.schema];
    let kind = View::of(maker.root, &schemas).kind();
    let made = match given {
        Some(text) => match given::content(text, kind, Place::Json) {
            Ok(content) => Made { source: Source::Given, ..Made::of(content) },
            Err(problem) => return plan.problems.push(format!("--field {}: {problem}", parameter.name)),
        },
        None => {
            let made = maker.best(parameter.name, &schemas, "");
            let firm = matches!(made.source, Source::Const | Source::Sample | Source::Server);
            let examples = operation.examples(parameter.object).into_iter();
            let mut fitting = examples.filter(|example| maker.validator.accepts(&schemas, example));
            match fitting.next().filter(|_| !firm) {
                Some(example) => Made::plain(example.clone(), Source::Example),
                None => made,
            }
        }
    };
    plan.verify(maker.root, parameter.name, parameter.schema, &made.value);
    plan.message.fields.extend(written::fields(parameter, &made.value, made.source.is_guess()));
    plan.values.push(Planned {
        name: parameter.name.to_owned(),
        place: parameter.place,
        required: parameter.required,
        kind,
        source: made.source,
        value: made.value,
    });
}

/// A body without named fields that the user gave, as it is. Says whether there is one.
fn add_given_body(plan: &mut Plan, synthesis: &Synthesis) -> bool {
    let Some(text) = synthesis.given.get(BODY).filter(|_| plan.message.encoding == Encoding::Raw) else {
        return false;
    };
    match given::raw(text) {
        Ok(bytes) => {
            let value = match std::str::from_utf8(&bytes) {
                Ok(text) => Value::from(text),
                Err(_) => Value::from(format!("{text} ({} bytes)", bytes.len())),
            };
            plan.values.push(whole("string", true, Source::Given, &value));
            plan.message.verbatim = Some(bytes);
            plan.body = Some(value);
        }
        Err(problem) => plan.problems.push(format!("--field {BODY}: {problem}")),
    }
    true
}

fn add_body<'m>(plan: &mut Plan, maker: &mut Maker<'m>, body: &'m Body<'m>, synthesis: &Synthesis) {
    if body.encoding == Encoding::Raw {
        let (bytes, value, source) = body::raw(maker, body);
        plan.message.verbatim = Some(Arc::from(bytes));
        if !matches!(source, Source::Sample) {
            plan.verify(maker.root, "body", &body.schema, &value);
        }
        let kind = if source == Source::Sample { "file" } else { View::of(maker.root, &[&body.schema]).kind() };
        plan.values.push(whole(kind, body.required, source, &value));
        plan.body = Some(value);
        return;
    }
    let made = body::made(maker, body, synthesis.given, &mut plan.problems);
    plan.verify(maker.root, "body", &body.schema, &made.value);
    plan.body = Some(made.value.clone());
    if !made.value.is_object() {
        let kind = View::of(maker.root, &[&body.schema]).kind();
        plan.values.push(whole(kind, body.required, made.source, &made.value));
        let guess = made.source.is_guess();
        let content = Content::Json(made.value);
        plan.message.fields.push(Field { name: "body".into(), place: Place::Body, content, guess });
        return;
    }
    let place = if body.encoding == Encoding::Json { Place::Json } else { Place::Form };
    let base = View::of(maker.root, &[&body.schema]).properties();
    for member in made.members {
        let made = member.made;
        let schemas = base.iter().find(|(name, _)| *name == member.name).map(|(_, schemas)| schemas.as_slice());
        plan.values.push(Planned {
            name: member.name.clone(),
            place,
            required: member.required,
            kind: View::of(maker.root, schemas.unwrap_or_default()).kind(),
            source: made.source,
            value: made.value.clone(),
        });
        let guess = made.source.is_guess();
        let field = |content| Field { name: member.name.clone(), place, content, guess };
        match (made.content, place) {
            (Some(content), _) => plan.message.fields.push(field(content)),
            // A list of files is one part for each.
            (None, Place::Form) if !made.files.is_empty() => {
                plan.message.fields.extend(made.files.into_iter().map(field))
            }
            (None, _) => plan.message.fields.push(field(Content::Json(made.value))),
        }
    }
}

fn whole(kind: &'static str, required: bool, source: Source, value: &Value) -> Planned {
    Planned { name: "body".into(), place: Place::Body, required, kind, source, value: value.clone() }
}

/// Of an operation that no OpenAPI document describes: field by field.
fn by_fields(candidate: &Candidate, synthesis: &Synthesis) -> Plan {
    let mut plan = Plan::new(candidate);
    let mut members = Map::new();
    for described in &candidate.fields {
        let (field, source) = synthesis.with_source(described);
        let carried = matches!(field.content, Content::File(_) | Content::Base64(_));
        let wanted = described.required || described.kind == "file" || synthesis.given.contains_key(&described.name);
        if !wanted && !carried {
            continue;
        }
        let value = Made::of(field.content.clone()).value;
        let tensor = described.place == Place::Tensor;
        if !tensor && !carried {
            plan.verify(synthesis.root(), &described.name, &described.schema, &value);
        }
        plan.values.push(Planned {
            name: described.name.clone(),
            place: described.place,
            required: described.required,
            kind: described.kind,
            source,
            value: value.clone(),
        });
        if matches!(field.place, Place::Json | Place::Form | Place::Tensor) {
            members.insert(field.name.clone(), value);
        }
        plan.message.fields.push(field);
    }
    if add_given_body(&mut plan, synthesis) {
        return plan;
    }
    if candidate.encoding == Encoding::Raw {
        let around = Around { path: &candidate.path, ..Around::default() };
        let file = media::whole(&candidate.content_type, &around);
        plan.message.verbatim = Some(file.bytes);
    } else if candidate.encoding != Encoding::None {
        plan.body = Some(Value::Object(members));
    }
    plan
}
