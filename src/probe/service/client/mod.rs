//! The client's own request, as the user has it: read, never executed.

mod body;
mod curl;
#[cfg(test)]
mod curl_tests;
pub mod files;

use std::path::Path;

pub use curl::ClientRequest;

/// A file that the user names for a field.
///
/// # Errors
/// The file and the obstacle.
pub fn given_file(path: &str) -> Result<super::message::File, String> {
    files::part(Path::new(""), path)
}

/// Reads the request from the text of a file. `origin` is that file, if any: files that the request names are looked for
/// beside it.
///
/// # Errors
/// What is wrong with it: the option or the file, by name.
pub fn client_request(origin: &str, text: &str) -> Result<ClientRequest, String> {
    let file = Path::new(origin);
    let folder = if file.is_file() { file.parent().unwrap_or(Path::new("")) } else { Path::new("") };
    curl::parse(text, folder)
}
