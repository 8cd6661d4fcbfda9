//! What messages mean, and the samples in a file; sessions are held in tests/service.

use super::audio::samples;
use super::text::{Meaning, meaning};
use super::*;
use proptest::prelude::*;

#[test]
fn the_upgrade_is_agreed_on_by_the_key_alone() {
    let reply = |accept: &str| Reply {
        status: 101,
        headers: vec![("sec-websocket-accept".into(), accept.into())],
        ..Reply::default()
    };
    // base64(SHA-1("Z3B1LWRvY3Rvci1hc2tzLg==" + GUID)), by Python's hashlib.
    assert!(agreed(&reply("CP94CdUfc9qQj5QyIcZJzM23lSg=")).is_ok());
    assert!(agreed(&reply("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")).is_err(), "that of another key");
    assert!(agreed(&Reply::default()).is_err());
}

#[test]
fn messages_are_told_by_what_they_say() {
    let cases = [
        (r#"{"type":"config","useAudioWorklet":true,"mode":"full"}"#, Meaning::Config { file: false }),
        (r#"{"type":"config","useAudioWorklet":false}"#, Meaning::Config { file: true }),
        (r#"{"type":"ready_to_stop"}"#, Meaning::End),
        (r#"{"status":"no_audio_detected","lines":[],"buffer_transcription":""}"#, Meaning::Other),
        (r#"{"status":"active_transcription","lines":[],"buffer_transcription":" The quick"}"#, Meaning::Text),
        (r#"{"status":"active_transcription","lines":[{"speaker":1,"text":" hello"}]}"#, Meaning::Text),
        (r#"{"channel":{"alternatives":[{"transcript":"hello"}]}}"#, Meaning::Text),
        (r#"{"partial":""}"#, Meaning::Other),
        (r#"{"error":"no model"}"#, Meaning::Error),
        (r#"{"error":null,"text":"hello"}"#, Meaning::Text),
        (r#"{"uid":"1","status":"WAIT","message":4.5}"#, Meaning::Error),
        (r#"{"uid":"1","status":"WARNING","message":"beam size"}"#, Meaning::Other),
        (r#"{"type":"error","message":"x"}"#, Meaning::Error),
        ("hello", Meaning::Text),
        (" ", Meaning::Other),
    ];
    for (message, wanted) in cases {
        assert_eq!(meaning(message), wanted, "{message}");
    }
    let deep = "[".repeat(100) + &"]".repeat(100);
    assert_eq!(meaning(&deep), Meaning::Other);
}

#[test]
fn a_session_is_judged_by_its_end() {
    let judged = |messages: &[&str], close: Option<(u16, &str)>| {
        let mut heard = Heard::new(Instant::now());
        for message in messages {
            heard.text(message);
        }
        heard.close = close.map(|(code, reason)| (code, reason.to_owned()));
        let mut reply = Reply::default();
        heard.write(&mut reply);
        (reply.session.unwrap().accepted(), String::from_utf8(reply.body).unwrap())
    };
    let config = r#"{"type":"config","useAudioWorklet":true}"#;
    let text = r#"{"lines":[{"text":"hello"}]}"#;
    let end = r#"{"type":"ready_to_stop"}"#;
    assert_eq!(judged(&[config, text, end], None), (true, text.into()));
    assert_eq!(judged(&[config, text, end], Some((1000, ""))), (true, text.into()));
    assert_eq!(
        judged(&[config], Some((1008, "No GPU available"))),
        (false, "closed with 1008 (policy violation): No GPU available".into())
    );
    assert_eq!(judged(&[config, text], Some((1011, ""))), (false, "closed with 1011 (internal error)".into()));
    assert!(!judged(&[config], None).0, "a greeting alone is no answer");
    assert_eq!(judged(&[text, r#"{"error":"out of memory"}"#], None), (false, r#"{"error":"out of memory"}"#.into()));
}

#[test]
fn the_samples_of_a_file_are_found_behind_other_chunks() {
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x03\0\0\0abc\0LIST\x02\0\0\0xx".to_vec();
    file.extend(b"data\x04\0\0\0\x01\x02\x03\x04tail");
    assert_eq!(samples(&file), [1, 2, 3, 4]);
    assert_eq!(samples(b"data"), b"data", "no WAV file");
    let speech = crate::probe::service::synthesis::samples::speech();
    assert_eq!(samples(&speech.bytes), &speech.bytes[44..]);
}

proptest! {
    #[test]
    fn any_file_has_samples_or_is_its_own(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
        file.extend(&bytes);
        prop_assert!(samples(&file).len() <= file.len());
        prop_assert!(samples(&bytes).len() <= bytes.len());
    }

    #[test]
    fn any_message_means_something(text in ".{0,200}") {
        meaning(&text);
    }
}
