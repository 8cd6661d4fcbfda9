//! Mends the client's own request: what it lacks is added, and the server's answer proves it.

use super::ClientRequest;
use super::differences::{Row, What, as_meant, rows};
use crate::probe::service::conversation::{Answered, Conversation, as_doctor};
use crate::probe::service::message::{Content, Encoding, Field, Message, Place};
use crate::probe::service::record::Recorder;
use crate::snapshot::{CodeChange, Difference, Fact, MissingField, RequestFacts, Unknown, Why};

/// Requests for the proof, at most.
const REQUESTS: usize = 4;
/// Headers that tell of a browser and belong into no command.
const BROWSER: &[&str] = &["sec-", "priority", "upgrade-insecure-requests", "dnt", "referer", "origin"];

/// What came of comparing and mending.
pub struct Mended {
    differences: Fact<Vec<Difference>>,
    curl: Fact<String>,
    code: Fact<Vec<CodeChange>>,
}

impl Mended {
    fn unknown(unknown: Unknown) -> Self {
        let (curl, code) = (Fact::Unknown(unknown.clone()), Fact::Unknown(unknown.clone()));
        Self { differences: Fact::Unknown(unknown), curl, code }
    }

    /// Writes it into the room.
    pub fn record(self, room: &mut RequestFacts) {
        room.differences = self.differences;
        room.mended_curl = self.curl;
        room.mended_code = self.code;
    }
}

/// Holds the client's request against the good one, and sends it with what it lacks.
pub fn mend(
    talk: &mut Conversation,
    client: Option<&ClientRequest>,
    answered: Option<&Answered>,
    good: Option<&Answered>,
    missing: &Result<Vec<MissingField>, Unknown>,
) -> Mended {
    let (Some(request), Some(answered)) = (client, answered) else {
        return Mended::unknown(Unknown::new(Why::NotAsked, "the client's own request was not given"));
    };
    let nothing = Unknown::new(Why::NotAsked, "the client's own request is accepted as it is");
    if answered.exchange.accepted {
        let (curl, code) = (Fact::Unknown(nothing.clone()), Fact::Unknown(nothing));
        return Mended { differences: Fact::Known(Vec::new()), curl, code };
    }
    let Some(good) = good else {
        let detail = "no request was accepted that the client's own could be held against";
        return Mended::unknown(match missing {
            Err(unknown) => unknown.clone(),
            Ok(_) => Unknown::new(Why::NotAsked, detail),
        });
    };
    let meant = as_meant(&answered.message, &good.message);
    let mut rows = rows(&meant, &good.message, talk.everywhere, &talk.recorder);
    let proven = proven(&mut rows, missing);
    let accepted = if proven && extends(&good.message, &meant, &rows) {
        Ok((good.message.clone(), (0..rows.len()).collect()))
    } else {
        prove(talk, &meant, &good.message, &mut rows)
    };
    let (curl, code) = match accepted {
        Ok((message, applied)) => (
            Fact::Known(talk.recorder.curl_with_files(&for_a_command(&message), &request.paths)),
            changes(request, &rows, &applied, &message, &talk.recorder),
        ),
        Err(unknown) => (Fact::Unknown(unknown.clone()), Fact::Unknown(unknown)),
    };
    Mended { differences: Fact::Known(rows.iter().map(Row::record).collect()), curl, code }
}

/// Marks what the conversation has proven already.
fn proven(rows: &mut [Row], missing: &Result<Vec<MissingField>, Unknown>) -> bool {
    match missing {
        Ok(missing) => {
            for row in rows.iter_mut().filter(|row| missing.iter().any(|one| one.name == row.name)) {
                row.decides = Fact::Known(true);
            }
            !missing.is_empty()
        }
        Err(unknown) => {
            let added = rows.iter_mut().filter(|row| row.client.is_none() && unknown.why == Why::TimedOut);
            added.for_each(|row| row.decides = Fact::Unknown(unknown.clone()));
            false
        }
    }
}

/// Whether the good request is the client's own with more in it.
fn extends(good: &Message, client: &Message, rows: &[Row]) -> bool {
    good.method == client.method && rows.iter().all(|row| row.client.is_none())
}

/// Sends the client's request with what it lacks; with everything that differs if that is not enough. Then each applied
/// difference is undone once, as far as the requests suffice.
fn prove(
    talk: &mut Conversation,
    client: &Message,
    good: &Message,
    rows: &mut [Row],
) -> Result<(Message, Vec<usize>), Unknown> {
    talk.grant(REQUESTS);
    let all: Vec<usize> = (0..rows.len()).collect();
    let lacking: Vec<usize> = all.iter().copied().filter(|at| rows.get(*at).is_some_and(Row::lacking)).collect();
    let mut tries = vec![lacking.clone()];
    if all != lacking {
        tries.push(all);
    }
    let mut accepted = None;
    for applied in tries.into_iter().filter(|applied| !applied.is_empty()) {
        let message = built(client, good, rows, &applied);
        match talk.ask(&message) {
            Some(answered) if answered.exchange.accepted => {
                accepted = Some((message, applied));
                break;
            }
            Some(_) => {}
            None => return Err(Unknown::new(Why::TimedOut, "the time did not suffice to mend the client's request")),
        }
    }
    let Some((message, applied)) = accepted else {
        let detail = "the client's request is rejected also with everything in it that the good one has";
        return Err(Unknown::new(Why::Unsupported, detail));
    };
    // The server accepts although these are not as in the good request.
    for (at, row) in rows.iter_mut().enumerate().filter(|(at, _)| !applied.contains(at)) {
        debug_assert!(!applied.contains(&at));
        row.decides = Fact::Known(false);
    }
    if let [only] = applied.as_slice() {
        if let Some(row) = rows.get_mut(*only) {
            row.decides = Fact::Known(true);
        }
        return Ok((message, applied));
    }
    for undone in applied.iter().copied() {
        if rows.get(undone).is_some_and(|row| row.decides.known().is_some()) {
            continue;
        }
        let rest: Vec<usize> = applied.iter().copied().filter(|at| *at != undone).collect();
        let without = built(client, good, rows, &rest);
        let Some(answered) = talk.ask(&without) else { break };
        if let Some(row) = rows.get_mut(undone) {
            row.decides = Fact::Known(!answered.exchange.accepted);
        }
    }
    Ok((message, applied))
}

/// The client's request with some of the differences made good.
fn built(client: &Message, good: &Message, rows: &[Row], applied: &[usize]) -> Message {
    let mut message = as_doctor(client);
    let chosen: Vec<&Row> = applied.iter().filter_map(|at| rows.get(*at)).collect();
    for row in chosen.iter().filter(|row| row.what != What::Field) {
        match row.what {
            What::Method => message.method = good.method.clone(),
            What::Path => {
                message.path = good.path.clone();
                message.fields.extend(good.fields.iter().filter(|field| field.place == Place::Path).cloned());
            }
            What::ContentType => reencode(&mut message, good),
            What::Header => {
                message.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(&row.name));
                message
                    .fields
                    .retain(|field| field.place != Place::Header || !field.name.eq_ignore_ascii_case(&row.name));
                let own = good.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(&row.name));
                message.headers.extend(own.cloned());
                let field = good
                    .fields
                    .iter()
                    .find(|field| field.place == Place::Header && field.name.eq_ignore_ascii_case(&row.name));
                message.fields.extend(field.cloned());
            }
            What::Field => {}
        }
    }
    for row in chosen.into_iter().filter(|row| row.what == What::Field) {
        let field = |part: &Option<super::differences::Part>| part.as_ref().and_then(|part| part.field.clone());
        match (field(&row.client), field(&row.good)) {
            (Some(own), Some(wanted)) if own.place != wanted.place => {
                message = message.without(&own.name, own.place).with(wanted);
            }
            (_, Some(wanted)) if message.can_carry(wanted.place) => message = message.with(wanted),
            (Some(own), None) => message = message.without(&own.name, own.place),
            _ => {}
        }
    }
    message
}

/// The message in the good one's encoding: its fields, with the client's values.
fn reencode(message: &mut Message, good: &Message) {
    let same_body = message.encoding == Encoding::Raw && good.encoding == Encoding::Json;
    let own: Vec<Field> = message.fields.iter().filter(|field| field.place.in_body()).cloned().collect();
    message.content_type = good.content_type.clone();
    if same_body && !own.is_empty() {
        // What the client wrote was right, and only not declared.
        message.encoding = good.encoding;
        return;
    }
    message.encoding = good.encoding;
    message.verbatim = good.verbatim.clone();
    message.fields.retain(|field| !field.place.in_body());
    for wanted in good.fields.iter().filter(|field| field.place.in_body()) {
        let Some(old) = own.iter().find(|field| field.name == wanted.name) else { continue };
        let content = match (&old.content, &wanted.content) {
            (Content::File(file) | Content::Base64(file), Content::File(_)) => Content::File(file.clone()),
            (Content::File(file) | Content::Base64(file), Content::Base64(_)) => Content::Base64(file.clone()),
            // A text where a file belongs is no file.
            (_, Content::File(_)) => wanted.content.clone(),
            (other, _) => other.clone(),
        };
        let guess = wanted.guess && content == wanted.content;
        message.fields.push(Field { content, guess, ..wanted.clone() });
    }
}

/// The message as it belongs into a command: without what only a browser writes.
fn for_a_command(message: &Message) -> Message {
    let mut message = message.clone();
    message.headers.retain(|(name, _)| {
        let name = name.to_ascii_lowercase();
        !BROWSER.iter().any(|start| name.starts_with(start))
    });
    message
}

/// The changes of the client's code that add what it lacks.
fn changes(
    request: &ClientRequest,
    rows: &[Row],
    applied: &[usize],
    mended: &Message,
    recorder: &Recorder,
) -> Fact<Vec<CodeChange>> {
    let Some(code) = &request.code else {
        return Fact::unknown(Why::NotAsked, "the client's request was not given as code");
    };
    let lacking = applied.iter().filter_map(|at| rows.get(*at)).filter(|row| row.client.is_none());
    let fields: Vec<Field> =
        lacking.filter_map(|row| mended.fields.iter().find(|field| field.name == row.name)).cloned().collect();
    let file = request.reading.place.rsplit_once(':').map_or("", |(file, _)| file);
    let clean = |text: String| recorder.clean(&text, 2000);
    let changes = code.with(file, &fields).into_iter();
    Fact::Known(changes.map(|one| CodeChange { at: one.at, old: clean(one.old), new: clean(one.new) }).collect())
}
