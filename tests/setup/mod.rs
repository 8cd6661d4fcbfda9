//! What several tests set up.

pub mod venv;
