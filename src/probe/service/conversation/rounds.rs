//! One round after the other: what the last answer asks for is put right, until the server accepts.

use super::encodings;
use super::evidence::{self, encoding_of};
use super::{Added, Answered, Completed, Conversation, LOGGED, NAMED, as_doctor};
use crate::probe::service::message::{Content, Encoding, Field, Message, Place};
use crate::probe::service::schema::Described;
use crate::probe::service::synthesis::{self, Synthesis};
use crate::probe::service::websocket;
use crate::snapshot::{ContentTypeFault, WrongValue};
use serde_json::json;

/// What was done to a request so far.
#[derive(Default)]
pub struct Progress {
    pub added: Vec<Added>,
    pub corrected: Vec<WrongValue>,
    /// Fields that were tried without being named, and whose value was put right once.
    pub tried: Vec<String>,
    retyped: Vec<String>,
    encodings: Vec<Encoding>,
    /// Fields for which another sample was tried.
    pub resampled: Vec<String>,
    read_source: bool,
}

/// Fields to set, and by what they were found.
pub type Step = (Vec<Field>, String);

impl Conversation<'_> {
    /// Completes a rejected request until the server accepts it.
    pub fn complete(&mut self, base: &Answered, synthesis: &mut Synthesis) -> Option<Completed> {
        let mut current = Answered { message: as_doctor(&base.message), ..base.clone() };
        let mut progress = Progress::default();
        loop {
            if current.rejection.is_some_and(|kind| kind.is_hopeless()) {
                return None;
            }
            // A session's samples have one form, and what nobody names cannot be guessed from how it ended.
            let session = current.message.method == websocket::METHOD;
            let other_sample = if session { None } else { super::samples::step(&current, synthesis, &mut progress) };
            let encoded = match other_sample {
                None if !session => self.in_other_encoding(&current, &mut progress),
                _ => None,
            };
            current = match encoded {
                Some(better) => better,
                None => match other_sample.or_else(|| self.step(&current, synthesis, &mut progress)) {
                    Some((fields, found_by)) => {
                        let message = self.enlarged(&current.message, &fields);
                        progress.note(self, fields, &found_by, base);
                        self.ask(&message)?
                    }
                    None if session => return None,
                    None => self.try_fields(&current, base, synthesis, &mut progress)?,
                },
            };
            if current.exchange.accepted {
                self.content_type_faults.iter_mut().for_each(|fault| fault.accepted |= fault.helped);
                let Progress { added, mut corrected, .. } = progress;
                // A guess of the doctor's that was refused is no fault of anybody's.
                corrected.retain(|one| base.message.field(&one.name).is_some_and(|field| !field.guess));
                return Some(Completed { accepted: current, added, corrected });
            }
        }
    }

    /// What the answer, the source or the log asks for, the surest first.
    fn step(&self, current: &Answered, synthesis: &mut Synthesis, progress: &mut Progress) -> Option<Step> {
        self.named(current, synthesis)
            .or_else(|| self.supported(current, synthesis))
            .or_else(|| self.retyped(current, synthesis, progress))
            .or_else(|| self.by_source(current, synthesis, progress))
            .or_else(|| self.by_log(current, synthesis))
    }

    /// The same fields in another content type, where the answer is a sign that the content type is wrong.
    fn in_other_encoding(&mut self, current: &Answered, progress: &mut Progress) -> Option<Answered> {
        let because = encodings::sign(current)?;
        let message = &current.message;
        let wanted = current.complaint.content_type.as_ref().and_then(|wrong| wrong.wants);
        let listed = self.operation.map(|operation| operation.encoding);
        progress.encodings.push(message.encoding);
        for encoding in encodings::others(message, wanted, listed) {
            if progress.encodings.contains(&encoding) || progress.encodings.len() > encodings::TRIALS {
                continue;
            }
            let Some(other) = encodings::reencoded(message, encoding) else { continue };
            progress.encodings.push(encoding);
            let answered = self.ask(&other)?;
            let helped = answered.exchange.accepted
                || answered.complaint != current.complaint
                    && answered.status != Some(415)
                    && encodings::sign(&answered).is_none();
            if helped {
                self.content_type_faults.push(ContentTypeFault {
                    field: String::new(),
                    sent: current.message.content_type.clone(),
                    wanted: other.content_type.clone(),
                    helped,
                    accepted: answered.exchange.accepted,
                    because: self.recorder.clean(&because, 300),
                });
                return Some(answered);
            }
        }
        None
    }

    /// The fields that the answer names and the request lacks.
    fn named(&self, current: &Answered, synthesis: &Synthesis) -> Option<Step> {
        self.lacking(&current.complaint.missing, current, synthesis, NAMED)
    }

    /// The fields that the server's log names and the request lacks.
    fn by_log(&self, current: &Answered, synthesis: &Synthesis) -> Option<Step> {
        self.lacking(&current.logged.missing, current, synthesis, LOGGED)
    }

    fn lacking(
        &self,
        missing: &[(String, Option<Place>)],
        current: &Answered,
        synthesis: &Synthesis,
        found_by: &str,
    ) -> Option<Step> {
        let missing = missing.iter().filter(|(name, _)| current.message.field(name).is_none());
        let fields: Vec<Field> =
            missing.filter_map(|(name, place)| self.field(name, *place, current, synthesis)).collect();
        (!fields.is_empty()).then(|| (fields, found_by.to_owned()))
    }

    fn field(&self, name: &str, place: Option<Place>, current: &Answered, synthesis: &Synthesis) -> Option<Field> {
        let read = self.evidence.read_by(&current.message.path).into_iter().find(|field| field.name == name);
        let field = match (self.described(name), read) {
            (Some(described), _) => synthesis.described(described),
            // A dotted name is a nested one, which cannot be added at the top.
            (None, _) if name.contains('.') => return None,
            (None, Some(read)) => synthesis.described(&evidence::described(read)),
            // Code that reads the request itself leaves no trace in the schema; a file comes in a form.
            (None, None) if self.body_is_unknown(&current.message) && synthesis::looks_like_file(name) => {
                synthesis.unnamed(name, Place::Form)
            }
            (None, None) => match place.unwrap_or_else(|| current.message.usual_place()) {
                Place::Tensor => {
                    let (name, schema) = (name.to_owned(), evidence::tensor(name));
                    synthesis.described(&Described {
                        name,
                        place: Place::Tensor,
                        required: true,
                        kind: "array",
                        schema,
                    })
                }
                place => synthesis.unnamed(name, place),
            },
        };
        self.carries(&current.message, field.place).then_some(field)
    }

    /// The fields that the handler of this path reads without asking whether they are there.
    fn by_source(&self, current: &Answered, synthesis: &Synthesis, progress: &mut Progress) -> Option<Step> {
        if std::mem::replace(&mut progress.read_source, true) {
            return None;
        }
        let mut places: Vec<String> = Vec::new();
        let mut fields = Vec::new();
        for read in self.evidence.read_by(&current.message.path).into_iter().filter(|field| field.demanded) {
            let field = self.described(&read.name).map_or_else(
                || synthesis.described(&evidence::described(read)),
                |described| synthesis.described(described),
            );
            if current.message.field(&read.name).is_none() && self.carries(&current.message, field.place) {
                places.push(read.at.clone());
                fields.push(field);
            }
        }
        places.truncate(3);
        (!fields.is_empty()).then(|| (fields, format!("the server's source reads it: {}", places.join(", "))))
    }

    /// Fields for which the server said what it takes: those that the request lacks, and values that are not among them.
    fn supported(&self, current: &Answered, synthesis: &mut Synthesis) -> Option<Step> {
        let mut fields = Vec::new();
        for (name, values) in &current.complaint.supported {
            let place = match current.message.field(name) {
                Some(Field { content: Content::File(_) | Content::Base64(_), .. }) => continue,
                Some(old) if values.contains(&old.content.as_text()) => continue,
                // The user wrote it into the address.
                Some(old) if current.message.method == websocket::METHOD && !old.guess => continue,
                Some(old) => old.place,
                None => self.described(name).map_or_else(|| current.message.usual_place(), |field| field.place),
            };
            if place == Place::Tensor
                || synthesis.supported.contains_key(name)
                // The user's own word is not replaced.
                || synthesis.given.contains_key(name)
                || !self.carries(&current.message, place)
            {
                continue;
            }
            synthesis.supported.insert(name.clone(), values.clone());
            fields.push(numeric_as(self.described(name), synthesis.unnamed(name, place)));
        }
        (!fields.is_empty()).then(|| (fields, NAMED.to_owned()))
    }

    /// Fields whose value is of the wrong kind by the answer, each put right once.
    fn retyped(&self, current: &Answered, synthesis: &Synthesis, progress: &mut Progress) -> Option<Step> {
        let mut fields = Vec::new();
        for (name, kind) in &current.complaint.wrong_kind {
            let Some(old) = current.message.field(name) else { continue };
            if progress.retyped.contains(name) || synthesis.given.contains_key(name) || old.place == Place::Tensor {
                continue;
            }
            progress.retyped.push(name.clone());
            let schema = evidence::of_kind(kind);
            let described = Described { name: name.clone(), place: old.place, required: true, kind, schema };
            fields.push(synthesis.described(&described));
        }
        (!fields.is_empty()).then(|| (fields, NAMED.to_owned()))
    }

    /// Whether a request that may have a body was sent without one, because the schema has none.
    fn body_is_unknown(&self, message: &Message) -> bool {
        let none = message.encoding == Encoding::None && !matches!(message.method.as_str(), "GET" | "HEAD");
        none && self.operation.is_some_and(|operation| operation.encoding == Encoding::None)
    }

    pub(super) fn carries(&self, message: &Message, place: Place) -> bool {
        message.can_carry(place) || message.encoding == Encoding::None && self.operation.is_some()
    }

    /// The message with more fields; one without a body gets the operation's, or one that can hold them.
    pub fn enlarged(&self, message: &Message, fields: &[Field]) -> Message {
        let mut message = message.clone();
        if let (Encoding::None, Some(operation)) = (message.encoding, self.operation)
            && fields.iter().any(|field| !message.can_carry(field.place))
        {
            message.encoding = operation.encoding;
            message.content_type = operation.content_type.clone();
            if message.encoding == Encoding::None {
                let bare = |field: &Field| Described {
                    name: field.name.clone(),
                    place: field.place,
                    required: true,
                    kind: "string",
                    schema: json!({}),
                };
                message.encoding = encoding_of(&fields.iter().map(bare).collect::<Vec<_>>());
                message.content_type = encodings::media_type(message.encoding).into();
            }
        }
        fields.iter().fold(message, |message, field| message.with(field.clone()))
    }
}

/// A value that the server named in words, as the number that a JSON body wants.
fn numeric_as(described: Option<&Described>, mut field: Field) -> Field {
    let numeric = described.is_some_and(|described| matches!(described.kind, "integer" | "number"));
    if let (true, Place::Json, Ok(number)) =
        (numeric, field.place, serde_json::from_str::<serde_json::Number>(&field.content.as_text()))
    {
        field.content = Content::Json(number.into());
    }
    field
}

impl Progress {
    /// Keeps the latest value of each field that the base lacks, and what became of those that it has.
    pub fn note(&mut self, talk: &mut Conversation, fields: Vec<Field>, found_by: &str, base: &Answered) {
        for field in fields {
            if let Some(old) = base.message.field(&field.name) {
                if matches!(field.content, Content::File(_)) && !matches!(old.content, Content::File(_)) {
                    let fault = ContentTypeFault {
                        field: field.name.clone(),
                        sent: "a text part".into(),
                        wanted: "a file part".into(),
                        helped: true,
                        accepted: false,
                        because: "the answer wants a file there".into(),
                    };
                    talk.content_type_faults.push(fault);
                    continue;
                }
                let (sent, accepted) = (talk.recorder.shown(old), talk.recorder.shown(&field));
                let place = field.place.name().into();
                self.corrected.retain(|one| one.name != field.name);
                self.corrected.push(WrongValue { name: field.name, place, sent, accepted });
                continue;
            }
            match self.added.iter_mut().find(|old| old.field.name == field.name) {
                Some(old) => old.field = field,
                None => self.added.push(Added { field, found_by: found_by.to_owned() }),
            }
        }
    }
}
