//! Placements of small models, rule by rule.
