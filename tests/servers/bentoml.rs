//! BentoML: its document stands at /docs.json and /schema.json, its answers name fields without "body".

use crate::asked::{ask, ask_client, ask_with, each};
use crate::setup::real_server::program;

#[test]
fn two_operations() {
    let Some(server) = program("bentoml", "bentoml", &[], "/readyz") else { return };
    let client = |request: &str| ask_client(&server.url, request);
    let sound = "/transcribe -F audio=@speech.wav";
    each(&[
        ("recognized", &|| {
            let asked = ask(&server.url);
            asked.assert_kind("bentoml");
            ["live", "ready"].iter().for_each(|state| asked.assert_ready(state));
        }),
        ("a URL suffices", &|| {
            let asked = ask(&server.url);
            let good = asked.assert_good();
            assert_eq!(good["path"], "/transcribe", "sound before a list of texts");
            assert!(good["answer"].as_str().unwrap().contains("4.6 s of speech"), "{good}");
            assert_eq!(asked.causes(), Vec::<&str>::new());
        }),
        ("the other operation by its path", &|| {
            let asked = ask_with(&server.url, "request: {path: /embed}", None);
            assert_eq!(asked.assert_good()["path"], "/embed");
        }),
        ("a missing field", &|| client(sound).assert_missing(&["lang"])),
        ("a missing file", &|| client("/transcribe -F lang=en").assert_missing(&["audio"])),
        ("a missing key", &|| client("/embed --json '{}'").assert_missing(&["texts"])),
        ("a wrong type", &|| client("/embed --json '{\"texts\": 5}'").assert_wrong("texts")),
        ("no number", &|| client(&format!("{sound} -F lang=en -F sample_rate=fast")).assert_wrong("sample_rate")),
        ("another path", &|| {
            let asked = client("/predict -F audio=@speech.wav -F lang=en");
            asked.assert_cause(&["wrong-path-or-method"]);
            asked.assert_blamed("/transcribe");
        }),
        ("a good form", &|| client(&format!("{sound} -F lang=en")).assert_nothing_wrong()),
        ("good JSON", &|| client("/embed --json '{\"texts\": [\"a\", \"bc\"]}'").assert_nothing_wrong()),
    ]);
}
