//! TorchServe, as it was recorded: what its handler raises looks like an outage.

use crate::asked::{ask, ask_client, each};
use crate::recorded_server::recorded;

#[test]
fn the_recorded_torchserve() {
    let server = recorded("torchserve");
    let client = |request: &str| ask_client(&server.url(), request);
    each(&[
        ("recognized", &|| ask(&server.url()).assert_server("torchserve", "0.12.0", &["m"])),
        ("a URL suffices", &|| {
            let asked = ask(&server.url());
            assert_eq!(asked.assert_good()["path"], "/predictions/m");
            assert_eq!(asked.sent("lang"), "en");
        }),
        ("a missing field", &|| {
            let asked = client("/predictions/m -F data=@speech.wav");
            assert_eq!(asked.known("client")["status"]["known"], 503);
            assert!(!asked.causes().contains(&"model-not-loaded"), "{:?}", asked.causes());
            assert!(!asked.causes().contains(&"backend-down-or-wrong-port"), "{:?}", asked.causes());
            asked.assert_missing(&["lang"]);
        }),
        ("another model", &|| {
            let asked = client("/predictions/zz -F lang=en");
            asked.assert_cause(&["wrong-model-name", "model-not-loaded"]);
        }),
        ("a good request", &|| client("/predictions/m -F lang=en").assert_nothing_wrong()),
    ]);
}
