//! What the server's own counters say of the window's requests: did its model work for them?
//!
//! A client that gets 2xx proves no inference: a cache, a proxy or another server may have answered.

use super::Basis;
use crate::snapshot::{Exchange, Fact, Facts, ModelCounters, Unknown, Why, room};

room! {
    /// The model's own count of the window.
    pub struct Served {
        /// Whether the counters of the model that was asked rose by about as much as requests were accepted (true), or not
        /// at all (false).
        pub server_computed: bool,
        /// By how much they rose: inferences, else executions, else requests that succeeded.
        pub server_computed_count: f64,
        /// The same in words: `triton counted 200 inferences of the model vad for 200 accepted requests`.
        pub server_computed_because: String,
        /// Share of the window in which the model computed by its own counters, percent.
        pub server_busy_percent: f64,
    }
}

/// Share of the accepted requests from which on the counters are taken to count them. Requests that end just after a
/// reading are missing from it.
const COUNTED_SHARE: f64 = 0.9;

impl Served {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let counted = counted(basis.facts);
        Self {
            server_computed: computed(basis.facts).map(|(computed, _)| computed).into(),
            server_computed_count: counted.clone().map(|counted| counted.count).into(),
            server_computed_because: counted.map(|counted| counted.in_words()).into(),
            server_busy_percent: busy_percent(basis.facts).into(),
        }
    }
}

/// A count of the window and what it is held against.
#[derive(Debug, Clone)]
struct Counted {
    software: String,
    model: String,
    what: &'static str,
    count: f64,
    accepted: u64,
}

impl Counted {
    fn computed(&self) -> Result<bool, Unknown> {
        if self.count >= COUNTED_SHARE * self.accepted as f64 {
            return Ok(true);
        }
        match self.count == 0.0 {
            true => Ok(false),
            false => Err(Unknown::new(Why::Unsupported, format!("{}, which fits neither", self.in_words()))),
        }
    }

    fn in_words(&self) -> String {
        let Self { software, model, what, count, accepted } = self;
        let of_model = if model.is_empty() { String::new() } else { format!(" of {model}") };
        format!("{software} counted {count:.0} {what}{of_model} for {accepted} accepted requests")
    }
}

fn not_asked(detail: &str) -> Unknown {
    Unknown::new(Why::NotAsked, detail)
}

/// Whether the model worked for the window's requests by its own count, and that count in words.
pub fn computed(facts: &Facts) -> Result<(bool, String), Unknown> {
    let counted = counted(facts)?;
    Ok((counted.computed()?, counted.in_words()))
}

fn counted(facts: &Facts) -> Result<Counted, Unknown> {
    let accepted = *facts.execution.requests_ok.read().map_err(|unknown| not_asked(&unknown.detail))?;
    if accepted == 0 {
        return Err(not_asked("no request of the window was accepted"));
    }
    let rows = of_requests(facts)?;
    // A batch would be one execution of several requests, but the window sends one after the other.
    let sums = [
        ("inferences", sum(&rows, |row| &row.inferences)),
        ("executions", sum(&rows, |row| &row.executions)),
        ("requests", sum(&rows, |row| &row.requests_ok)),
    ];
    let found = sums.into_iter().find_map(|(what, sum)| Some((what, sum?)));
    let (what, count) = found.ok_or_else(|| not_asked("the server's counters do not count requests"))?;
    let model = match rows.as_slice() {
        [one] => one.model.clone(),
        _ => String::new(),
    };
    let software = facts.counters.software.known().map(|all| all.join(", ")).unwrap_or_default();
    Ok(Counted { software, model, what, count, accepted })
}

fn sum(rows: &[&ModelCounters], of: fn(&ModelCounters) -> &Fact<f64>) -> Option<f64> {
    // Rows of the server as a whole count other things.
    let counted: Vec<f64> = rows.iter().filter_map(|row| of(row).known().copied()).collect();
    (!counted.is_empty()).then(|| counted.iter().sum())
}

/// The count in words, if the model itself counted nothing: no inference and no execution. That an application counted no
/// request may be another worker's page.
pub fn none_computed(facts: &Facts) -> Option<String> {
    let counted = counted(facts).ok()?;
    (counted.count == 0.0 && counted.what != "requests").then(|| counted.in_words())
}

/// Whether the model computed for some of the window's requests by its own count.
pub fn some_computed(facts: &Facts) -> bool {
    counted(facts).is_ok_and(|counted| counted.count > 0.0 && counted.what != "requests")
}

/// Share of the window in which the model that was asked computed by its own counters, percent.
///
/// # Errors
/// That no counter tells it.
pub fn busy_percent(facts: &Facts) -> Result<f64, Unknown> {
    let rows = of_requests(facts)?;
    sum(&rows, |row| &row.busy_percent)
        .ok_or_else(|| not_asked("the server's counters do not tell how long it computed"))
}

/// The counters of the model that the window's requests asked; all of them where that is not told.
pub fn of_requests(facts: &Facts) -> Result<Vec<&ModelCounters>, Unknown> {
    let all = facts.counters.models.read().map_err(|unknown| not_asked(&unknown.detail))?;
    if all.is_empty() {
        return Err(not_asked("the server's metrics count nothing of a model"));
    }
    let asked = facts.request.good.known().map(names).unwrap_or_default();
    let own: Vec<&ModelCounters> = all.iter().filter(|row| asked.contains(&row.model)).collect();
    Ok(if own.is_empty() { all.iter().collect() } else { own })
}

/// By what names a request may mean a model: in its path, as its path, in its field `model`.
fn names(exchange: &Exchange) -> Vec<String> {
    let path = exchange.path.split('?').next().unwrap_or_default();
    let after = |folder: &str| {
        let (_, rest) = path.split_once(folder)?;
        let end = rest.find(['/', ':']).unwrap_or(rest.len());
        rest.get(..end).map(str::to_owned)
    };
    let in_path = ["/models/", "/predictions/"].into_iter().find_map(after);
    let field = exchange.fields.iter().find(|field| field.name == "model").map(|field| field.value.clone());
    in_path.into_iter().chain(field).chain([path.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = (&'a str, Option<f64>, Option<f64>, Option<f64>);

    /// Three accepted requests to a path, and the counters of models: name, inferences, executions, requests.
    fn facts(path: &str, rows: &[Row]) -> Facts {
        let mut facts = Facts::all_unknown(&not_asked("not part of this test"));
        facts.execution.requests_ok = Fact::Known(3);
        facts.counters.software = Fact::Known(vec!["triton".into()]);
        let known = |count: Option<f64>| count.map_or_else(|| Fact::unknown(Why::Absent, "not counted"), Fact::Known);
        let row = |(model, inferences, executions, requests): &Row| {
            let named = serde_json::json!({"model": model, "page": "p"});
            ModelCounters {
                inferences: known(*inferences),
                executions: known(*executions),
                requests_ok: known(*requests),
                busy_percent: known(*inferences),
                ..serde_json::from_value(named).unwrap()
            }
        };
        facts.counters.models = Fact::Known(rows.iter().map(row).collect());
        let good = serde_json::json!({"author": "doctor", "method": "POST", "path": path, "content_type": "", "status": {"known": 200},
            "fields": [{"name": "model", "value": "tiny", "guess": false}], "accepted": true, "duration_ms": 1.0, "answer": "",
            "names_missing": [], "curl": ""});
        facts.request.good = Fact::Known(serde_json::from_value(good).unwrap());
        facts
    }

    #[test]
    fn the_counters_of_the_model_that_was_asked_decide() {
        let asked = |path: &str, rows: &[_]| computed(&facts(path, rows));
        let (worked, said) =
            asked("/v2/models/vad/infer?x=1", &[("echo", Some(0.0), None, None), ("vad", Some(3.0), None, None)])
                .unwrap();
        assert_eq!((worked, said.as_str()), (true, "triton counted 3 inferences of vad for 3 accepted requests"));
        assert!(!asked("/v2/models/vad/infer", &[("vad", Some(0.0), Some(3.0), None)]).unwrap().0, "of a cache");
        assert!(asked("/predictions/vad", &[("vad", None, Some(4.0), None)]).unwrap().0, "others may ask too");
        assert!(
            !asked("/v1/completions", &[("tiny", None, Some(0.0), None), ("big", None, Some(9.0), None)]).unwrap().0
        );
        assert!(
            asked("/transcribe", &[("/transcribe", None, None, Some(3.0)), ("/embed", None, None, Some(0.0))])
                .unwrap()
                .0
        );
        assert!(
            asked("/asr", &[("a", Some(1.0), None, None), ("b", Some(2.0), None, None)]).unwrap().0,
            "no name, so all"
        );
        // One of three: another replica answered the others, or a cache did.
        assert_eq!(asked("/v2/models/vad/infer", &[("vad", Some(1.0), None, None)]).unwrap_err().why, Why::Unsupported);
        assert_eq!(busy_percent(&facts("/v2/models/vad/infer", &[("vad", Some(2.0), None, None)])), Ok(2.0));
    }

    #[test]
    fn a_server_without_counters_leaves_nothing_open() {
        let why = |facts: &Facts| computed(facts).unwrap_err().why;
        assert_eq!(why(&facts("/asr", &[])), Why::NotAsked);
        assert_eq!(why(&facts("/asr", &[("", None, None, None)])), Why::NotAsked);
        let mut unread = facts("/asr", &[("", None, Some(3.0), None)]);
        assert!(computed(&unread).is_ok());
        unread.counters.models = Fact::unknown(Why::TimedOut, "no answer");
        assert_eq!(why(&unread), Why::NotAsked);
        let mut rejected = facts("/asr", &[("", None, Some(3.0), None)]);
        rejected.execution.requests_ok = Fact::Known(0);
        assert_eq!(why(&rejected), Why::NotAsked);
    }
}
