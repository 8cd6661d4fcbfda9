//! TorchServe, as it was recorded: what its handler raises looks like an outage.

use crate::asked::{ask, ask_client};
use crate::recorded_server::recorded;

#[test]
fn a_url_suffices() {
    let server = recorded("torchserve");
    let asked = ask(&server.url());
    asked.assert_kind("torchserve");
    assert_eq!(asked.assert_good()["path"], "/predictions/m");
    assert_eq!(asked.sent("lang"), "en");
}

#[test]
fn what_clients_send() {
    let server = recorded("torchserve");
    let client = |request: &str| ask_client(&server.url(), request);
    let asked = client("/predictions/m -F data=@speech.wav");
    assert_eq!(asked.known("client")["status"]["known"], 503);
    asked.assert_missing(&["lang"]);
    assert!(!asked.causes().contains(&"model-not-loaded"), "{:?}", asked.causes());
    assert!(!asked.causes().contains(&"backend-down-or-wrong-port"), "{:?}", asked.causes());
    let asked = client("/predictions/zz -F lang=en");
    asked.assert_cause(&["wrong-model-name", "model-not-loaded"]);
    client("/predictions/m -F lang=en").assert_nothing_wrong();
}
