//! Refusals by which the server, or a proxy before it, turns a request away before anything reads what it asks for: for
//! want of credentials, for its size.

use super::{Basis, recorded};
use crate::snapshot::{Exchange, Fact, Facts, RequestFacts, Unknown, Why, room};
use crate::words::grouped;

room! {
    /// Refusals of that kind.
    pub struct Refusals {
        /// The refusal for want of credentials, in words; empty if there is none.
        pub credentials_refused: String,
        /// What the server wants by its own word: `bearer`, `basic`, `x-api-key`, the name of another scheme; empty if it
        /// does not say.
        pub credentials_wanted: String,
        /// Whether the refused request carried credentials.
        pub credentials_sent: bool,
        /// The refusal for the request's size, in words; empty if there is none.
        pub size_refused: String,
        /// The refusal of a content type (415), in words; empty if none was seen.
        pub media_type_refused: String,
        /// Whether the refusal is told by files of recorded requests.
        pub refused_by_record: bool,
        /// Who refused the size: `nginx`, `cloudflare`, `flask`, `aiohttp`, `litserve`, `application`, `proxy`, or
        /// `unknown`; empty if nobody did.
        pub size_refused_by: String,
    }
}

impl Refusals {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let request = &facts.request;
        let refused = turned_away(facts);
        let credentials = refused.as_ref().map(|refused| refused.filter(|refused| wants_credentials(refused)));
        let size = refused.as_ref().map(|refused| refused.filter(|refused| is_too_large(refused)));
        let words = |refused: &Fact<Option<Refused>>| {
            refused.as_ref().map(|one| one.map(Refused::in_words).unwrap_or_default())
        };
        Self {
            credentials_refused: words(&credentials),
            media_type_refused: Fact::Known(media_type_refused(&refused)),
            refused_by_record: Fact::Known(matches!(refused, Fact::Known(Some(Refused::Recorded(..))))),
            credentials_wanted: credentials
                .as_ref()
                .map(|one| one.map(|one| wanted(&one, request)).unwrap_or_default()),
            credentials_sent: credentials.as_ref().map(|one| one.is_some_and(|one| sent(&one, request))),
            size_refused: words(&size),
            size_refused_by: size.as_ref().map(|one| one.map(|one| who(&one, request)).unwrap_or_default().to_owned()),
        }
    }
}

/// A request that was turned away, and by what.
#[derive(Debug, Clone, Copy)]
enum Refused<'a> {
    /// An exchange of the conversation.
    Exchange(&'a Exchange, u64),
    /// The server's description of itself could not be read for it: what was tried, and what came.
    Schema(&'a str, u64),
    /// Files tell that all of so many requests were, and with what words most of them.
    Recorded(u64, &'a str, u64),
}

impl Refused<'_> {
    fn status(&self) -> u64 {
        match self {
            Refused::Exchange(_, status) | Refused::Schema(_, status) | Refused::Recorded(.., status) => *status,
        }
    }

    /// The answer's text and the header of that name.
    fn answer(&self) -> &str {
        match self {
            Refused::Exchange(exchange, _) => &exchange.answer,
            Refused::Recorded(_, answer, _) => answer,
            Refused::Schema(..) => "",
        }
    }

    fn header(&self, name: &str) -> &str {
        match self {
            Refused::Exchange(exchange, _) => exchange.headers.get(name).map(String::as_str).unwrap_or_default(),
            Refused::Schema(..) | Refused::Recorded(..) => "",
        }
    }

    fn in_words(self) -> String {
        /// Characters of an answer that are told.
        const TOLD: usize = 160;
        let answer: String = self.answer().split_whitespace().collect::<Vec<_>>().join(" ");
        let answer: String = answer.chars().take(TOLD).collect();
        let said = if answer.is_empty() { String::new() } else { format!(": {answer}") };
        match self {
            Refused::Exchange(exchange, status) => {
                format!("{} {} is answered {status}{said}", exchange.method, exchange.path)
            }
            Refused::Recorded(count, _, status) => {
                format!("{0} of {0} recorded requests were answered {status}{said}", grouped(count))
            }
            Refused::Schema(error, _) => error.split("; ").next().unwrap_or(error).to_owned(),
        }
    }
}

/// The request that decides and was turned away: the client's own if there is one, else the doctor's. None if that one
/// was accepted, or not even refused with a status.
fn turned_away(facts: &Facts) -> Fact<Option<Refused<'_>>> {
    let request = &facts.request;
    match request.reachable.read() {
        Err(_) if facts.recorded.requests.known().is_some() => return Fact::Known(refused_by_record(facts)),
        Err(unknown) => return Fact::Unknown(unknown),
        Ok(false) => return Fact::Known(None),
        Ok(true) => {}
    }
    if let Some(client) = request.client.known() {
        return Fact::Known(refused(client));
    }
    if let Some(rejected) = request.rejected.known() {
        return Fact::Known(refused(rejected));
    }
    if request.good.known().is_some() {
        return Fact::Known(None);
    }
    // Nothing was sent, because the server does not even describe itself to strangers.
    if let Some(error) = request.schema_error.known()
        && let Some(status) = [401, 403].into_iter().find(|status| error.contains(&format!("got HTTP {status}")))
    {
        return Fact::Known(Some(Refused::Schema(error, status)));
    }
    let open = [&request.client, &request.rejected].into_iter().filter_map(Fact::reason);
    let open = open.max_by_key(|unknown| unknown.why != Why::NotAsked).cloned();
    Fact::Unknown(open.unwrap_or_else(|| Unknown::new(Why::NotAsked, "no request was sent")))
}

/// 415 is for this alone (RFC 9110, 15.5.16).
fn media_type_refused(refused: &Fact<Option<Refused>>) -> String {
    match refused {
        Fact::Known(Some(refused)) if refused.status() == 415 => refused.in_words(),
        _ => String::new(),
    }
}

/// Files in which every request was answered with the same status.
fn refused_by_record(facts: &Facts) -> Option<Refused<'_>> {
    let (count, answer, status) = recorded::answered_alike(facts)?;
    Some(Refused::Recorded(count, answer, status))
}

fn refused(exchange: &Exchange) -> Option<Refused<'_>> {
    let status = exchange.status.known().filter(|_| !exchange.accepted)?;
    Some(Refused::Exchange(exchange, *status))
}

/// Words by which a 403 speaks of who asks, and not of what is asked or from where. Lower case.
const OF_WHO: &[&str] =
    &["auth", "api key", "api-key", "api_key", "apikey", "token", "credential", "login", "log in", "\"forbidden\""];

/// Whether it is refused for want of credentials. A 403 may also be a rule of a proxy, or protection against forged forms.
fn wants_credentials(refused: &Refused) -> bool {
    match refused.status() {
        401 => true,
        403 if matches!(refused, Refused::Schema(..)) => false,
        403 => {
            let answer = refused.answer().to_lowercase();
            let names = OF_WHO.iter().any(|words| answer.contains(words)) && !answer.contains("csrf");
            names || !refused.header("www-authenticate").is_empty()
        }
        _ => false,
    }
}

/// What the server wants: the scheme of its header, else what its text or its kind tells.
fn wanted(refused: &Refused, request: &RequestFacts) -> String {
    let scheme = refused.header("www-authenticate").split([' ', ',']).next().unwrap_or_default().to_ascii_lowercase();
    if !scheme.is_empty() {
        return scheme;
    }
    let answer = refused.answer().to_lowercase();
    let kind = request.server_kind.known().map(String::as_str).unwrap_or_default();
    if answer.contains("x-api-key") {
        return "x-api-key".into();
    }
    let bearer = ["bearer", "api key", "api_key", "token"].iter().any(|words| answer.contains(words))
        || matches!(kind, "openai" | "vllm" | "sglang" | "tgi" | "tei" | "llama.cpp");
    if bearer { "bearer".into() } else { String::new() }
}

/// Headers that carry credentials, as the recorded command line shows them.
const CARRIERS: &[&str] = &["authorization: ", "api-key: ", "apikey: ", "cookie: ", "token: "];

/// Whether credentials went with it: the doctor's with every request, or those of the client's own.
fn sent(refused: &Refused, request: &RequestFacts) -> bool {
    let transport = request.transport.known();
    let everywhere = transport.and_then(|way| way.credentials.known()).is_some_and(|names| !names.is_empty());
    let own = match refused {
        Refused::Exchange(exchange, _) => {
            let curl = exchange.curl.to_ascii_lowercase();
            CARRIERS.iter().any(|carrier| curl.contains(carrier))
        }
        Refused::Schema(..) | Refused::Recorded(..) => false,
    };
    everywhere || own
}

/// Whether it is refused for its size in bytes. TEI and TGI answer 413 to too many tokens and to large batches.
fn is_too_large(refused: &Refused) -> bool {
    let answer = refused.answer().to_lowercase();
    let of_tokens = ["token", "batch size", "\"validation\""].iter().any(|words| answer.contains(words));
    refused.status() == 413 && !of_tokens || answer.contains("received message larger than max")
}

/// Who refuses the size, by the page that only one program writes, else by the Server header, which a proxy in front
/// replaces by its own.
fn who(refused: &Refused, request: &RequestFacts) -> &'static str {
    let answer = refused.answer();
    let server = refused.header("server").to_ascii_lowercase();
    let lower = answer.to_lowercase();
    for (words, who) in [
        ("<center>cloudflare", "cloudflare"),
        ("<center>nginx", "nginx"),
        ("<center>openresty", "nginx"),
        ("The data value transmitted exceeds the capacity limit", "flask"),
        ("Maximum request body size", "aiohttp"),
    ] {
        if answer.contains(words) {
            return who;
        }
    }
    let kind = request.server_kind.known().map(String::as_str).unwrap_or_default();
    if kind == "litserve" && lower.contains("payload") {
        return "litserve";
    }
    let applications = ["uvicorn", "gunicorn", "hypercorn", "werkzeug", "tornado", "daphne", "waitress"];
    if applications.iter().any(|name| server.contains(name)) || lower.trim_start().starts_with('{') {
        return "application";
    }
    // The server's accepted answers bear another name: somebody in between spoke.
    let usual = request.good.known().and_then(|good| good.headers.get("server"));
    match usual {
        Some(usual) if !server.is_empty() && !usual.eq_ignore_ascii_case(&server) => "proxy",
        _ => "unknown",
    }
}
