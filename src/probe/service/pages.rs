//! The metrics pages of a server that is only watched: nothing is sent to it but questions what it is, and GETs of its
//! pages, again and again.

use super::recognize::questions::Questions;
use super::recognize::{self, Discovered, at};
use super::record::Recorder;
use super::spoken::{Spoken, plain};
use super::transport::{Http, Route};
use super::window::metrics_pages::{Place, places, read};
use super::{everywhere, without_credentials};
use crate::probe::metrics::Page;
use crate::probe::nvml::sampler::monotonic_ms;
use crate::probe::{Ask, Context};
use crate::snapshot::{Facts, Unknown, Why};
use std::time::{Duration, Instant};
use url::Url;

/// Longest time for finding out what the server is.
const FINDING: Duration = Duration::from_secs(8);
/// Requests of a watch have no deadline in common; this one never comes.
const WATCHING: Duration = Duration::from_secs(366 * 24 * 3600);
/// Triton's port of metrics, by its documentation: it may run behind the server that was named.
const TRITON_PORT: u16 = 8002;
/// Characters kept of a model's name.
const NAME_CAP: usize = 200;

/// A page, read.
pub struct Reading {
    /// Its URL, without credentials.
    pub page: String,
    /// When its answer had come, milliseconds of the monotonic clock.
    pub at_ms: f64,
    /// What stood on it, or why it was not read.
    pub read: Result<Page, Unknown>,
}

/// Pages to be read again and again.
pub struct Pages {
    pages: Vec<Watched>,
}

/// What is known of a server that is to be watched.
pub struct Found {
    /// Its pages.
    pub pages: Pages,
    /// Why pages that such a server could have are not read.
    pub unread: Vec<Unknown>,
    /// Makes text of the server's printable, without what the user keeps secret.
    pub clean: Box<dyn Fn(&str) -> String>,
}

struct Watched {
    place: Place,
    headers: Vec<(String, String)>,
    http: Http,
    /// It was there once, and was the right software's.
    seen: bool,
}

/// Finds the pages of the server that was named. `named` are URLs of the user's, which then stand for all.
///
/// # Errors
/// The server's address cannot be used at all.
pub fn find(ask: &Ask, facts: &Facts, named: &[Url]) -> Result<Found, Unknown> {
    let Some(with_login) = &ask.server else {
        return Err(Unknown::new(Why::NotAsked, "no server was named"));
    };
    let server = without_credentials(with_login);
    let route = Route { connection: ask.connection.clone(), ..Route::default() };
    let everywhere = everywhere(ask);
    let context = Context { ask: ask.clone(), deadline: Instant::now() + FINDING };
    let spoken = Spoken::by(&server);
    let server = plain(&server);
    let clean = Recorder::new(&server, &everywhere).cleaner(NAME_CAP);
    let mut unread = Vec::new();
    let wanted = match named.is_empty() {
        false => named.iter().map(|url| Ok(of_user(&server, url))).collect(),
        true => {
            let found = match spoken {
                Spoken::Http => discovered(&server, &route, &everywhere, &context, facts)?,
                // What else it is cannot be asked over HTTP.
                Spoken::Grpc | Spoken::WebSocket => Discovered::default(),
            };
            candidates(&server, &found, &context, facts)
        }
    };
    let mut pages: Vec<Watched> = Vec::new();
    for place in wanted {
        let page = place.and_then(|place| {
            let route = if place.beside { Route::default() } else { route.clone() };
            let http = Http::new(&place.url, &route, Instant::now() + WATCHING);
            let http = http.map_err(|failure| Unknown::new(failure.why, failure.text))?;
            let headers = if place.beside { Vec::new() } else { everywhere.clone() };
            Ok(Watched { place, headers, http, seen: false })
        });
        match page {
            Ok(page) if pages.iter().any(|other| other.place.url == page.place.url) => {}
            Ok(page) => pages.push(page),
            Err(unknown) => unread.push(unknown),
        }
    }
    Ok(Found { pages: Pages { pages }, unread, clean })
}

/// What the server is; of one that does not answer nothing is known, and it may come yet.
fn discovered(
    server: &Url,
    route: &Route,
    everywhere: &[(String, String)],
    context: &Context,
    facts: &Facts,
) -> Result<Discovered, Unknown> {
    let http = Http::new(server, route, context.deadline);
    let http = http.map_err(|failure| Unknown::new(failure.why, failure.text))?;
    let mut questions = Questions::new(&http, server, everywhere);
    Ok(recognize::discover(server, &mut questions, &context.ask, None, facts).unwrap_or_default())
}

/// Where a page may be: as the software has it, else where most have it.
fn candidates(server: &Url, found: &Discovered, context: &Context, facts: &Facts) -> Vec<Result<Place, Unknown>> {
    // DCGM's page tells of GPUs, not of requests.
    let of_requests = |place: &Result<Place, Unknown>| !place.as_ref().is_ok_and(|place| place.of == Some("dcgm"));
    let mut all: Vec<_> = places(server, found, context, facts).into_iter().filter(of_requests).collect();
    if all.iter().any(Result::is_ok) {
        return all;
    }
    all.push(Ok(Place { url: at(server, &format!("{}/metrics", found.prefix)), of: None, beside: false }));
    if let (Some(host), None) = (server.host_str(), &context.ask.connection.unix_socket)
        && let Ok(url) = format!("http://{host}:{TRITON_PORT}/metrics").parse()
    {
        all.push(Ok(Place { url, of: Some("triton"), beside: true }));
    }
    all
}

/// A page that the user names. The server's headers go to the server's own port alone.
fn of_user(server: &Url, url: &Url) -> Place {
    let beside = (url.host_str(), url.port_or_known_default()) != (server.host_str(), server.port_or_known_default());
    Place { url: without_credentials(url), of: None, beside }
}

impl Pages {
    /// Whether there is any that could be read.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Reads each page once, a second each at most. As soon as one was there, those that never were are given up.
    pub fn read(&mut self) -> Vec<Reading> {
        let mut readings = Vec::new();
        for page in &mut self.pages {
            let read = page.read();
            page.seen |= read.is_ok();
            let at_ms = monotonic_ms();
            readings.push((page.seen, Reading { page: page.place.url.to_string(), at_ms, read }));
        }
        if readings.iter().any(|(seen, _)| *seen) {
            self.pages.retain(|page| page.seen);
            readings.retain(|(seen, _)| *seen);
        }
        readings.into_iter().map(|(_, reading)| reading).collect()
    }
}

impl Watched {
    fn read(&self) -> Result<Page, Unknown> {
        let page = read(&self.http, &self.place.url, &self.headers)?;
        let expected = self.place.of.is_none_or(|software| page.software.contains(software));
        if self.seen || (expected && !page.software.is_empty()) {
            return Ok(page);
        }
        let of = self.place.of.map_or_else(|| "any software that is known".to_owned(), |of| of.replace('_', " "));
        Err(Unknown::new(Why::Absent, format!("{} has no metrics of {of}", self.place.url)))
    }
}
