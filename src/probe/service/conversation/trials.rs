//! Where nothing names a field: those that the schema or the source knows are tried, together and one at a time.

use super::rounds::Progress;
use super::{Answered, Conversation, TRIED, evidence};
use crate::probe::service::message::{Field, Message};
use crate::probe::service::synthesis::{Synthesis, names};

/// Fields that are tried alone, at most: requests must be left for the doctor's own way.
const SINGLES: usize = 4;
/// Found by adding fields that the source reads if they are there.
const READ: &str = "trying the fields that the server's source reads";
/// Found by adding fields that such servers often want.
const USUAL_TRIED: &str = "trying fields that such servers often want";
/// Names that are tried where neither schema nor source names any.
const USUAL: &[&str] = &["lang", "language", "task"];

impl Conversation<'_> {
    /// Adds fields that nothing names: all at once first; if that is no better, one at a time.
    pub(super) fn try_fields(
        &mut self,
        current: &Answered,
        base: &Answered,
        synthesis: &Synthesis,
        progress: &mut Progress,
    ) -> Option<Answered> {
        let (untried, found_by) = self.untried(&current.message, &progress.tried, synthesis)?;
        // Of two that exclude each other the one that the server needs no network for.
        let mut alone: Vec<&Field> = untried.iter().collect();
        alone.sort_by_key(|field| names::is_remote(&field.name));
        let alone: Vec<Vec<Field>> = alone.into_iter().map(|field| vec![field.clone()]).collect();
        let trials = [untried.clone()].into_iter().chain(alone);
        progress.tried.extend(untried.iter().map(|field| field.name.clone()));
        for fields in trials.take(if untried.len() == 1 { 1 } else { 1 + SINGLES }) {
            let answered = self.ask(&self.enlarged(&current.message, &fields))?;
            let news = answered.complaint != current.complaint && !answered.complaint.missing.is_empty();
            if answered.exchange.accepted || news {
                progress.note(self, fields, found_by, base);
                return Some(answered);
            }
        }
        None
    }

    /// Fields that the request lacks and that were not tried yet: the schema's, the source's, usual ones.
    fn untried(
        &self,
        message: &Message,
        tried: &[String],
        synthesis: &Synthesis,
    ) -> Option<(Vec<Field>, &'static str)> {
        let new = |name: &str| message.field(name).is_none() && !tried.iter().any(|old| old == name);
        let described = self.operation.into_iter().flat_map(|operation| &operation.fields);
        let of_schema: Vec<Field> = described
            .filter(|field| new(&field.name) && self.carries(message, field.place))
            .map(|field| synthesis.described(field))
            .collect();
        if !of_schema.is_empty() {
            return Some((of_schema, TRIED));
        }
        let read = self.evidence.read_by(&message.path);
        let of_source = read.iter().map(|field| synthesis.described(&evidence::described(field)));
        let of_source: Vec<Field> =
            of_source.filter(|field| new(&field.name) && self.carries(message, field.place)).collect();
        if !of_source.is_empty() {
            return Some((of_source, READ));
        }
        let known = read.iter().any(|field| field.demanded) || self.operation.is_some_and(|one| !one.fields.is_empty());
        // Without a body there is nothing that they could stand in.
        let place = message.usual_place();
        if known || !tried.is_empty() || message.fields.is_empty() || !place.in_body() {
            return None;
        }
        let usual = USUAL.iter().filter(|name| new(name)).map(|name| synthesis.unnamed(name, place));
        let usual: Vec<Field> = usual.filter(|field| self.carries(message, field.place)).collect();
        (!usual.is_empty()).then_some((usual, USUAL_TRIED))
    }
}
