//! Ray Serve with a FastAPI ingress, as it was recorded.

use crate::asked::{ask, ask_client, each};
use crate::recorded_server::recorded;

#[test]
fn the_recorded_ray_serve() {
    let server = recorded("ray-serve");
    let client = |request: &str| ask_client(&server.url(), request);
    each(&[
        ("recognized", &|| ask(&server.url()).assert_kind("ray-serve")),
        ("a URL suffices", &|| {
            let asked = ask(&server.url());
            assert_eq!(asked.assert_good()["path"], "/asr");
            assert_eq!(asked.causes(), Vec::<&str>::new());
        }),
        ("a missing field", &|| client("/asr -F audio=@speech.wav").assert_missing(&["lang"])),
        ("a missing file", &|| client("/asr -F lang=en").assert_missing(&["audio"])),
        ("another path", &|| client("/transcribe -F audio=@speech.wav").assert_cause(&["wrong-path-or-method"])),
        ("a good request", &|| client("/asr -F audio=@speech.wav -F lang=en").assert_nothing_wrong()),
    ]);
}
