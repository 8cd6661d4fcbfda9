//! Clients in other writings than curl, against the real speech server; and its contract.

use crate::setup::asr;
use crate::setup::doctor::{causes, diagnosis, gpu_doctor};

const CLIENT: &str = r#"import requests

def transcribe(path="speech.wav"):
    with open("speech.wav", "rb") as audio:
        return requests.post(
            "SERVER/asr",
            files={"audio": ("speech.wav", audio, "audio/wav")},
            data={"decoding": "ctc"},
            headers={"Authorization": "Bearer S3CRETtoken"},
            timeout=30,
        )
"#;

#[test]
fn the_line_of_a_python_client_is_named_and_the_contract_told() {
    let Some(server) = asr::start("cpu", &[]) else { return };
    // It also lays the sample beside the client.
    server.client_request("/asr", "");
    let file = server.code.path().join("client.py");
    std::fs::write(&file, CLIENT.replace("SERVER", &server.url())).unwrap();
    let arguments = ["run", "--only", "request", "--contract", "--client-request", file.to_str().unwrap()];
    let said = gpu_doctor(&[&arguments[..], &["--format", "json"]].concat(), &[]);
    let report = said.report();
    assert_eq!(said.code, 1);
    assert_eq!(causes(&report), ["required-field-missing"]);
    let fix = diagnosis(&report, "required-field-missing")["fix"].to_string();
    assert!(fix.contains("client.py:8") && fix.contains("lang"), "{fix}");
    let requests = &report["exchanges"];
    assert_eq!(requests["client_reading"]["kind"], "python");
    assert_eq!(requests["client_reading"]["place"], "client.py:5");
    assert_eq!(requests["differences"].as_array().unwrap().len(), 1, "{requests}");
    assert_eq!(requests["mended_code"][0]["new"], r#"data={"decoding": "ctc", "lang": "en"}"#);
    let case = |field: &str, kind: &str| {
        let cases = requests["contract"].as_array().unwrap().iter();
        cases
            .into_iter()
            .find(|case| case["field"] == field && case["kind"] == kind)
            .unwrap_or_else(|| panic!("{requests}"))
    };
    // FastAPI's own validation names the file; the code names lang; an unknown language is taken without a word.
    let told = |field: &str, kind: &str| {
        (case(field, kind)["status"]["known"].as_u64(), case(field, kind)["names_field"].as_bool())
    };
    assert_eq!(told("lang", "left_out"), (Some(400), Some(true)));
    assert_eq!(told("audio", "left_out"), (Some(422), Some(true)));
    assert_eq!(case("lang", "unknown_value")["accepted"], true);
    assert_eq!(told("audio", "wrong_type"), (Some(400), Some(true)), "could not decode audio");
    assert!(requests["contract"].as_array().unwrap().iter().all(|case| case["survives"]["known"] == true));
    assert!(!said.out.contains("S3CRET") && !said.err.contains("S3CRET"));

    let text = gpu_doctor(&arguments, &[]);
    assert!(text.out.contains("lang      left out"), "{}", text.out);
}

#[test]
fn a_har_and_a_section_of_the_config_are_requests_too() {
    let Some(server) = asr::start("cpu", &[]) else { return };
    server.client_request("/asr", "");
    let folder = server.code.path();
    let har = serde_json::json!({"log": {"entries": [
        {"request": {"method": "GET", "url": format!("{}/health", server.url()), "headers": []}},
        {"request": {"method": "POST", "url": format!("{}/asr", server.url()), "headers": [], "postData": {
            "mimeType": "multipart/form-data; boundary=x", "params": [
                {"name": "audio", "fileName": "speech.wav", "contentType": "audio/wav"}]}}}]}});
    let har_file = folder.join("page.har");
    std::fs::write(&har_file, har.to_string()).unwrap();
    let config = folder.join("gpu-doctor.yaml");
    let text =
        format!("server: {}\nonly: [request]\nclient: {{path: /asr, files: {{audio: speech.wav}}}}\n", server.url());
    std::fs::write(&config, text).unwrap();
    for arguments in [["--client-request", har_file.to_str().unwrap()], ["--config", config.to_str().unwrap()]] {
        let all = [&["run", "--only", "request", "--format", "json"][..], &arguments].concat();
        let report = gpu_doctor(&all, &[]).report();
        assert_eq!(causes(&report), ["required-field-missing"], "{arguments:?}: {}", report["headline"]);
        let curl = report["exchanges"]["mended_curl"].as_str().unwrap();
        assert!(curl.contains("-F 'audio=@speech.wav;type=audio/wav' -F 'lang=en'"), "{curl}");
    }
}
