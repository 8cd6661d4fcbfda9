//! WhisperLiveKit and its like: speech over a WebSocket, told by the page in front of it.

use super::family::{Recognized, Signs, Suspicion, likely_or};
use super::questions::{Questions, text};

/// The path of the WebSocket, which no schema can list.
pub const PATH: &str = "/asr";

/// Possible of a server without a schema; with one, the owner of its models tells.
pub fn suspected(signs: &Signs) -> Suspicion {
    likely_or(false, signs.undescribed())
}

/// Reads the page at the root.
pub fn recognize(_: &Signs, questions: &mut Questions) -> Option<Recognized> {
    let page = questions.ok("/")?;
    let told = text(&page);
    let named = told.contains("WhisperLiveKit") || told.contains("whisperlivekit");
    // Its page has had other titles, and always this path and these words.
    let page = told.contains("WebSocket") && told.contains(PATH) && told.contains("ranscri");
    (named || page).then(|| Recognized {
        kind: "whisper-websocket",
        by: format!("GET /: {}", if named { "WhisperLiveKit" } else { "a page that transcribes over a WebSocket" }),
        described_at: Some("/".into()),
        lack: Some(format!("it takes sound over the WebSocket {PATH}, not by requests")),
        states: vec!["/health".into()],
        ..Recognized::default()
    })
}
