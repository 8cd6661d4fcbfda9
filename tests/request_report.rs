//! The tables of requests in the report, word for word.

use gpu_doctor::check::Checks;
use gpu_doctor::cli::ReportFormat;
use gpu_doctor::diagnosis::diagnose;
use gpu_doctor::report::{Report, Style};
use gpu_doctor::snapshot::{ClientReading, CodeChange, ContractCase, Difference, Fact, Snapshot, Unknown, Why};

fn recorded() -> Snapshot {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/snapshots/a1.json");
    let mut snapshot: Snapshot = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let difference = |what: &str, name: &str, client: &str, good: &str, decides: Fact<bool>| Difference {
        what: what.into(),
        name: name.into(),
        client: client.into(),
        good: good.into(),
        decides,
    };
    let case = |kind: &str, field: &str, sent: &str, status: Fact<u64>, names_field: bool, survives: Fact<bool>| {
        ContractCase {
            kind: kind.into(),
            field: field.into(),
            sent: sent.into(),
            accepted: status == Fact::Known(200),
            status,
            names_field,
            survives,
            answer: String::new(),
        }
    };
    let room = &mut snapshot.facts.request;
    room.client_reading = Fact::Known(ClientReading {
        kind: "python".into(),
        place: "client.py:14".into(),
        notes: vec![
            "line 9: the value of the header Authorization (token) is not written out in the file; it was left out"
                .into(),
        ],
    });
    room.differences = Fact::Known(vec![
        difference("field", "lang", "", "en", Fact::Known(true)),
        difference(
            "field",
            "audio",
            "call.wav (audio/wav, 64044 bytes)",
            "speech.wav (audio/wav, 146124 bytes)",
            Fact::Known(false),
        ),
        difference("header", "x-tenant", "***", "", Fact::unknown(Why::NotAsked, "not tried")),
    ]);
    room.mended_curl = Fact::Known(
        "curl -X POST --url http://127.0.0.1:8000/asr -F 'audio=@call.wav;type=audio/wav' -F 'lang=en'".into(),
    );
    room.mended_code = Fact::Known(vec![CodeChange {
        at: "client.py:16".into(),
        old: r#"data={"decoding": "ctc"}"#.into(),
        new: r#"data={"decoding": "ctc", "lang": "en"}"#.into(),
    }]);
    let unsent = Unknown::new(Why::NotAsked, "not sent: the server no longer accepts the good request");
    room.contract = Fact::Known(vec![
        case("left_out", "lang", "", Fact::Known(400), true, Fact::Known(true)),
        case("left_out", "audio", "", Fact::Known(500), false, Fact::Known(true)),
        case("unknown_value", "lang", "xx", Fact::Known(200), false, Fact::Known(true)),
        case(
            "wrong_type",
            "audio",
            "speech.wav (audio/wav, 30 bytes of plain text)",
            Fact::Known(500),
            false,
            Fact::Known(false),
        ),
        case("wrong_type", "beam", "not-a-number", Fact::Unknown(unsent.clone()), false, Fact::Unknown(unsent)),
    ]);
    snapshot
}

fn told(format: ReportFormat) -> String {
    colored::control::set_override(false);
    let snapshot = recorded();
    let diagnosed = diagnose(&Checks::load(None).unwrap(), &snapshot).unwrap();
    let mut out = Vec::new();
    Report::new(&snapshot, diagnosed).write(&snapshot, format, &Style::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_tables_read_as_reviewed() {
    let expected = r#"
the client's request (client.py:14)
                   client                             accepted                             decides
  field lang       -                                  en                                   yes
  field audio      call.wav (audio/wav, 64044 bytes)  speech.wav (audio/wav, 146124        no
                                                      bytes)
  header x-tenant  ***                                -                                    not tried
  note: line 9: the value of the header Authorization (token) is not written out in the file; it was
  left out
  client.py:16: instead of data={"decoding": "ctc"}
    data={"decoding": "ctc", "lang": "en"}

contract
  the good request broken in one place at a time; 4 requests answered
  lang   left out                                 400, names it
  audio  left out                                 500, does not name it, the good request is
                                                  accepted after it
  lang   = xx                                     200, accepted
  audio  = speech.wav (audio/wav, 30 bytes of...  500, does not name it, the good request is not
                                                  accepted any more
  beam   = not-a-number                           not sent: the server no longer accepts the good
                                                  request
"#;
    let text = told(ReportFormat::Text);
    let start = text.find("\nthe client's request").unwrap_or_else(|| panic!("no table in\n{text}"));
    assert!(text[start..].starts_with(expected), "{}", &text[start..]);
    // The mended request is the fix of the cause, and not repeated.
    assert_eq!(text.matches("-F 'audio=@call.wav;type=audio/wav' -F 'lang=en'").count(), 1, "{text}");
    let change = r#"In the client's code, client.py:16: write data={"decoding": "ctc", "lang": "en"} in place of data={"decoding": "ctc"}."#;
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&text).contains(change), "{text}");
}

#[test]
fn the_json_holds_what_the_tables_say() {
    let report: serde_json::Value = serde_json::from_str(&told(ReportFormat::Json)).unwrap();
    let requests = &report["exchanges"];
    assert_eq!(requests["differences"][0]["name"], "lang");
    assert_eq!(requests["differences"][0]["decides"]["known"], true);
    assert_eq!(requests["contract"][1]["status"]["known"], 500);
    assert_eq!(requests["contract"][1]["survives"]["known"], true);
    assert_eq!(requests["client_reading"]["place"], "client.py:14");
    assert_eq!(requests["mended_code"][0]["at"], "client.py:16");
    assert_eq!(report["diagnoses"][0]["fix"][0]["run"], requests["mended_curl"]);
}

#[test]
fn a_run_without_them_tells_nothing_of_them() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/snapshots/healthy-server.json");
    let snapshot: Snapshot = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let diagnosed = diagnose(&Checks::load(None).unwrap(), &snapshot).unwrap();
    assert!(Report::new(&snapshot, diagnosed).exchanges.is_none());
}
