//! What the deployment's own loader showed of the model, beside what its file tells.

use super::seen::{Sight, broken};
use crate::check::loaded_in_words;
use crate::snapshot::{Facts, Unknown};

/// The words for the model's stage, with those of the loader, if one was called.
pub fn beside(file: Result<Sight, Unknown>, facts: &Facts) -> Result<Sight, Unknown> {
    let failed = facts.loaded.error.known().is_some_and(|error| !error.is_empty());
    match (file, loaded_in_words(facts)) {
        (file, None) => file,
        (Ok(sight), Some(Ok(words))) => {
            Ok(Sight { words: format!("{}; {words}", sight.words), works: sight.works && !failed })
        }
        (Err(_), Some(Ok(words))) if failed => Ok(broken(words)),
        (Err(_), Some(Ok(words))) => Ok(words.into()),
        (Ok(sight), Some(Err(unknown))) => Ok(broken(format!("{}; loader: {unknown}", sight.words))),
        (Err(_), Some(Err(unknown))) => Err(unknown),
    }
}
