//! Connections that were never accepted, and those that did not last.

use super::{accepted, numbers_in_words, once_held};
use crate::snapshot::{Attempt, ConnectionsFacts, Fact, Unknown, Why};
use crate::words::count;

/// Close codes with which nobody says goodbye in order (RFC 6455, 7.4.1): none came, an error, a restart, a bad gateway.
const DISORDERLY: &[u64] = &[1006, 1011, 1012, 1014];

/// That not one was accepted, and what kind of refusal it was: `gone`, `silent`, `tls`, `credentials`, `path`, `full`,
/// `closed`, `refused`; both empty if one was.
pub fn none_accepted(room: &ConnectionsFacts) -> Result<(String, &'static str), Unknown> {
    let attempts = room.attempts.read()?;
    let Some(first) = attempts.first() else { return Ok((String::new(), "")) };
    if attempts.iter().any(|attempt| attempt.accepted || attempt.ended_while_held) {
        return Ok((String::new(), ""));
    }
    let kind = kind(first, room);
    let tried = match attempts.len() {
        1 => "The one connection that was tried".to_owned(),
        _ => format!("Of {} that were tried the first", count(attempts.len(), "connection")),
    };
    let reason = if first.reason.is_empty() { String::new() } else { format!(": {}", first.reason) };
    let how = match (kind, first.close_code.known(), first.status.known()) {
        ("gone" | "silent" | "tls", ..) => format!("was not answered{reason}"),
        (_, Some(1006), _) => format!("was accepted and cut at once without a goodbye{reason}"),
        (_, Some(code), _) => format!("was accepted and closed at once with code {code}{reason}"),
        (_, None, Some(status)) if *status < 300 => format!("was answered {status} and not held{reason}"),
        (_, None, Some(status)) => format!("was refused before it was accepted, with HTTP {status}{reason}"),
        (_, None, None) => format!("was not answered{reason}"),
    };
    let path = match kind {
        "path" => "; a path that does not exist is refused in the same way",
        _ => "",
    };
    Ok((format!("{tried} {how}{path}"), kind))
}

fn kind(first: &Attempt, room: &ConnectionsFacts) -> &'static str {
    let reason = first.reason.to_lowercase();
    let says_full =
        ["no gpu", "full", "capacity", "busy", "too many", "limit"].iter().any(|word| reason.contains(word));
    match (&first.status, first.close_code.known()) {
        (Fact::Unknown(_), _) if ["certificate", "tls"].iter().any(|word| reason.contains(word)) => "tls",
        (Fact::Unknown(unknown), _) if unknown.why == Why::TimedOut => "silent",
        (Fact::Unknown(_), _) => "gone",
        (Fact::Known(401 | 407), _) => "credentials",
        (Fact::Known(429 | 503), _) | (_, Some(1013)) => "full",
        (_, Some(1008)) if says_full => "full",
        (_, Some(_)) => "closed",
        (Fact::Known(404), _) => "path",
        (Fact::Known(_), _) if room.unknown_path_refused_alike.known() == Some(&true) => "path",
        (Fact::Known(_), _) => "refused",
    }
}

/// Whether nothing listened any more when a connection was tried.
fn is_gone(attempt: &Attempt) -> bool {
    attempt.status.reason().is_some_and(|unknown| unknown.why == Why::Absent && unknown.detail.contains("refused"))
}

/// Whether the server was gone at the end.
pub fn server_gone(room: &ConnectionsFacts) -> bool {
    let attempts = room.attempts.known().map(Vec::as_slice).unwrap_or_default();
    attempts.iter().chain(room.after_release.known()).any(is_gone)
}

/// Connections that the other side ended while they were held, and not in order.
pub fn lost(room: &ConnectionsFacts) -> Result<String, Unknown> {
    let held = once_held(room)?;
    let is_stream = room.kind.known().is_some_and(|kind| kind != "WebSocket");
    let gone = server_gone(room);
    let disorderly = |attempt: &&&Attempt| {
        let code = attempt.close_code.known().is_some_and(|code| DISORDERLY.contains(code));
        attempt.ended_while_held && (gone || code || is_stream && !attempt.reason.is_empty())
    };
    let lost: Vec<&&Attempt> = held.iter().filter(disorderly).collect();
    let Some(first) = lost.first() else { return Ok(String::new()) };
    let code = first.close_code.known().map_or("without a word".to_owned(), |code| match code {
        1006 => "without a goodbye".to_owned(),
        code => format!("with code {code}"),
    });
    let reason = if first.reason.is_empty() { String::new() } else { format!(" ({})", first.reason) };
    let numbers = numbers_in_words(lost.iter().map(|attempt| attempt.number).collect());
    let after = if gone { ", and nothing listens at its port any more" } else { "" };
    Ok(format!(
        "The server ended {} of the {} that were held {code}{reason}: number {numbers}{after}",
        lost.len(),
        count(held.len(), "connection")
    ))
}

/// Whether several were held at once and none of them was lost, in words.
pub fn at_once(room: &ConnectionsFacts) -> Result<Result<String, String>, Unknown> {
    let lost = lost(room)?;
    if !lost.is_empty() {
        return Ok(Err(lost));
    }
    let held = accepted(room)?.len();
    Ok(match held {
        0 => Err("not one connection was accepted".into()),
        1 => return Err(Unknown::new(Why::NotAsked, "only one connection was held")),
        _ => Ok(format!("{} were held at once, and none of them was lost", count(held, "connection"))),
    })
}
