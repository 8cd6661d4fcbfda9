//! Where servers keep their OpenAPI document, and which of its operations is tried.

use super::at;
use super::questions::{Answer, Questions};
use crate::probe::service::schema::{Candidate, Document, Wish};
use crate::probe::service::transport::{BODY_CAP, Failure, Reply, failure};
use crate::snapshot::Why;
use std::rc::Rc;
use std::time::Duration;
use url::Url;

/// Longest wait for a document, which some servers write when it is asked for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Further places: BentoML's, applications that mount everything under /api, axum's.
const ELSEWHERE: &[&str] = &["/docs.json", "/api/openapi.json", "/api-doc/openapi.json"];
/// What answers for a TLS port that is spoken to in plain HTTP, by the texts of nginx, Go and Apache.
const SPEAKS_TLS: &[&str] =
    &["plain HTTP request was sent to HTTPS port", "HTTP request to an HTTPS server", "speaking plain HTTP to an SSL"];

/// A document and where it was found.
#[derive(Debug)]
pub struct Found {
    pub document: Document,
    pub url: Url,
    /// Path under which the server is mounted.
    pub prefix: String,
}

/// What the search for a document came to.
#[derive(Debug, Default)]
pub struct Search {
    pub found: Option<Found>,
    /// The last answer.
    pub last: Rc<Reply>,
    /// What was wrong with each place.
    pub errors: Vec<String>,
}

impl Search {
    /// Looks at the usual places, below the path of the server's URL first.
    ///
    /// # Errors
    /// The server did not answer HTTP at all.
    pub fn begin(server: &Url, base: &str, questions: &mut Questions) -> Result<Self, Failure> {
        let mut search = Self::default();
        let mut places = vec![format!("{base}/openapi.json")];
        if !base.is_empty() {
            places.push("/openapi.json".into());
        }
        for place in places {
            search.look(server, &place, questions)?;
            if search.found.is_some() {
                return Ok(search);
            }
        }
        // BentoML has its document elsewhere; that of a path it does not have is the bare word of Starlette.
        let last = &search.last;
        let bare = last.status == 404 && last.body == b"Not Found" && last.content_type.starts_with("text/plain");
        if bare || super::questions::header(last, "server").starts_with("BentoML") {
            search.look(server, "/docs.json", questions)?;
        }
        Ok(search)
    }

    /// Looks at the unusual places.
    pub fn go_on(&mut self, server: &Url, questions: &mut Questions) {
        for place in ELSEWHERE {
            if self.found.is_some() || questions.left() <= 2 || questions.knows(place) {
                return;
            }
            // That there is no document is said of the first place; the others are not worth a word.
            let errors = self.errors.clone();
            let _ = self.look(server, place, questions);
            self.errors = errors;
        }
    }

    fn look(&mut self, server: &Url, place: &str, questions: &mut Questions) -> Result<(), Failure> {
        let url = at(server, place);
        let answer: Answer = questions.get_at(place, PATIENCE);
        match answer {
            Ok(reply) => {
                reject_tls(&reply)?;
                match described(&reply) {
                    Ok(document) => {
                        let prefix = place.strip_suffix("/openapi.json").unwrap_or_default();
                        // Such a document lists whole paths.
                        let prefix = if matches!(prefix, "/api" | "/api-doc") { "" } else { prefix };
                        self.found = Some(Found { document, url, prefix: prefix.into() });
                    }
                    Err(error) => self.errors.push(format!("{url}: {error}")),
                }
                self.last = reply;
            }
            Err(failure) => self.errors.push(reached(failure)?),
        }
        Ok(())
    }
}

fn reject_tls(reply: &Reply) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(&reply.body);
    if reply.status == 400 && SPEAKS_TLS.iter().any(|words| text.contains(words)) {
        let text = "the port speaks TLS, plain HTTP was sent: name it https://";
        return Err(failure(Why::Malformed, text.into()));
    }
    Ok(())
}

/// A failure after the head of an answer is one of the schema only; before it, the server is not reached.
fn reached(failure: Failure) -> Result<String, Failure> {
    let redirects = failure.text.contains("redirected more than");
    match &failure.partial {
        Some(reply) => Ok(format!("{} (HTTP {})", failure.text, reply.status)),
        None if redirects => Ok(failure.text),
        None => Err(failure),
    }
}

fn described(reply: &Reply) -> Result<Document, String> {
    if reply.status != 200 {
        return Err(format!("expected an OpenAPI document, got HTTP {}", reply.status));
    }
    if reply.cut {
        return Err(format!("expected an OpenAPI document, got more than {BODY_CAP} bytes"));
    }
    Document::read(&reply.body)
}

/// The operation, with its path as the server sees it.
pub fn chosen(document: &Document, wish: &Wish, base: &str, prefix: &str) -> Result<Candidate, String> {
    let inner = |path| str::strip_prefix(path, prefix).unwrap_or(path);
    let mut wish = Wish {
        client_path: wish.client_path.map(inner),
        client_encoding: wish.client_encoding,
        named: wish.named.map(inner),
    };
    // The path of the server's URL may name the operation, or only where the server is mounted.
    let mounted = Some(base).filter(|base| !base.is_empty() && wish.named.is_none() && prefix.is_empty());
    let by_base = mounted.and_then(|base| document.choose(&Wish { named: Some(base), ..Wish::default() }).ok());
    let listed = |path| document.choose(&Wish { named: Some(path), ..Wish::default() }).is_ok();
    if !wish.client_path.is_some_and(listed)
        && let Some(found) = by_base
    {
        return Ok(found);
    }
    wish.named = wish.named.filter(|path| !path.is_empty());
    let found = document.choose(&wish)?;
    Ok(Candidate { path: format!("{prefix}{}", found.path), ..found })
}
