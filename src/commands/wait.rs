//! `--wait`: a server that is not ready yet is waited for, and standard error tells for what.

use super::Failure;
use super::note::say;
use crate::probe::Ask;
use crate::probe::service::ready::{self, Look};
use anyhow::anyhow;
use std::time::{Duration, Instant};

/// Waits for the server that is to be examined, if the option was given. Ctrl-C ends the program, as nothing was measured
/// yet.
///
/// # Errors
/// No server was named for which to wait.
pub fn for_server(ask: &mut Ask, option: &str, longest: Option<Duration>) -> Result<(), Failure> {
    let Some(longest) = longest else { return Ok(()) };
    let Some(target) = ask.target().server else {
        let problem = "needs a server to wait for: name it by --server URL, or as server in the config file";
        return Err(Failure::Usage(anyhow!("{option} {problem}")));
    };
    let begun = Instant::now();
    let mut last = String::new();
    let waited = ready::wait(ask, longest, &mut |look| match look {
        Look::NotYet(why) if *why != last => {
            let left = longest.saturating_sub(begun.elapsed()).as_secs_f64().round();
            say(&format!("waiting for {target}, {left} s at most: {why}"));
            last.clone_from(why);
        }
        _ => {}
    });
    let seconds = begun.elapsed().as_secs_f64();
    match &waited {
        Look::Ready(_) if last.is_empty() => {}
        Look::Ready(how) => say(&format!("ready after {seconds:.1} s: {how}")),
        Look::NotYet(why) => say(&format!("not ready after {seconds:.0} s: {why}; examined as it is")),
        Look::Never(why) => say(&format!("not waited for, since no waiting mends this: {why}")),
    }
    ask.waited = Some(waited.told(begun.elapsed()));
    Ok(())
}
