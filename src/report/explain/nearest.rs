//! What was meant by an id that no check has.

use crate::check::Checks;

/// Most ids that are proposed.
const MOST: usize = 4;
/// Words that are in too many ids to tell anything.
const SHORTEST_WORD: usize = 3;
/// Letters of a word that may be misspelt.
const SHORTEST_MISSPELT: usize = 5;

/// An id that is like what was typed.
#[derive(Debug, PartialEq)]
pub struct Near {
    /// The id.
    pub id: String,
    /// How like it is, up to 1.
    pub likeness: f64,
}

/// The ids that are most like what was typed, by their letters and by their words, the likest first.
pub fn nearest_ids(typed: &str, checks: &Checks) -> Vec<Near> {
    let typed: String = typed.to_lowercase().replace(['_', ' '], "-").chars().take(100).collect();
    let words: Vec<&str> = typed.split('-').filter(|word| !word.is_empty()).collect();
    let mut near: Vec<Near> = checks
        .iter()
        .filter_map(|check| {
            let id = &check.spec.id;
            let letters = strsim::jaro_winkler(&typed, id);
            let is_in = |word: &&&str| {
                // Short words are other words by one letter: low, slow.
                let is_long = word.len() >= SHORTEST_MISSPELT;
                let like = |of_id: &str| of_id == **word || is_long && strsim::jaro_winkler(word, of_id) > 0.9;
                word.len() >= SHORTEST_WORD && id.split('-').any(like)
            };
            let shared = words.iter().filter(is_in).count() as f64 / words.len().max(1) as f64;
            let close = strsim::osa_distance(&typed, id) <= 1 + id.len() / 8;
            let likely = close || shared >= 0.5 || letters > 0.9;
            likely.then(|| Near { id: id.clone(), likeness: if close { 1.0 } else { (letters + shared) / 2.0 } })
        })
        .collect();
    near.sort_by(|a, b| b.likeness.total_cmp(&a.likeness).then_with(|| a.id.cmp(&b.id)));
    // What is much less like it than the first only distracts.
    let least = near.first().map_or(0.0, |first| first.likeness - 0.2);
    near.retain(|one| one.likeness >= least);
    near.truncate(MOST);
    near
}

/// What to say of an id that is not there, by those that are like it.
pub fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => "\"gpu-doctor checks list\" shows all".to_owned(),
        near => format!("did you mean {}?", near.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_stands_first() {
        let checks = Checks::load(None).unwrap();
        let first = |typed: &str| nearest_ids(typed, &checks).first().map(|near| near.id.clone()).unwrap_or_default();
        for (typed, meant) in [
            ("nouveau-bond", "nouveau-bound"),
            ("NOUVEAU_BOUND", "nouveau-bound"),
            ("no-nvidia", "no-nvidia-device"),
            ("driver-loaded", "driver-not-loaded"),
            ("cuda visible device", "cuda-visible-devices-hides-gpu"),
            ("gpu-idle", "gpu-idle-while-serving"),
        ] {
            assert_eq!(first(typed), meant, "{typed}: {:?}", nearest_ids(typed, &checks));
        }
        assert_eq!(nearest_ids("zzqk", &checks), []);
        assert_eq!(nearest_ids("", &checks), []);
        // `slow` is not a misspelt `low`.
        assert_eq!(nearest_ids("slow-crane", &checks).iter().find(|near| near.id.contains("-low")), None);
    }
}
