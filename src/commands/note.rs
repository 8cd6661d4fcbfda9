//! What a command says besides its report: on standard error, without secrets, on one line and without control characters.

use crate::redact::without_secrets;
use crate::words::plain;

/// Says it to whoever runs the command.
pub fn say(text: &str) {
    eprintln!("gpu-doctor: {}", plain(&without_secrets(text)));
}
