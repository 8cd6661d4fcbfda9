//! Python clients as people write them.

use super::parse;
use crate::probe::service::client::request::{ClientRequest, Setting};
use crate::probe::service::message::{Content, Encoding, Field, Place};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

fn given(text: &str, given: &[(&str, &str)]) -> Result<ClientRequest, String> {
    let given = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect::<BTreeMap<_, _>>();
    parse(text, &Setting { origin: "/c/client.py", folder: Path::new("/nonexistent"), given: &given })
}

fn read(text: &str) -> ClientRequest {
    given(text, &[]).unwrap()
}

fn texts(request: &ClientRequest) -> Vec<(String, String)> {
    let shown = |field: &Field| match &field.content {
        Content::File(file) => format!("{} {} {}", file.name, file.media_type, file.bytes.len()),
        Content::Base64(file) => format!("base64 of {}", file.name),
        other => other.as_text(),
    };
    request.message.fields.iter().map(|field| (field.name.clone(), shown(field))).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn a_requests_call_is_read_as_the_library_would_send_it() {
    let request = read(
        "import requests\nBASE = 'http://h:8000'\nAUDIO = \"builtin:speech.wav\"\n\nwith open(AUDIO, 'rb') as f:\n    \
         r = requests.post(\n        f\"{BASE}/asr\",\n        files={'audio': (\"a.wav\", f, \"audio/wav\"), 'raw': open(AUDIO, 'rb')},\n        \
         data={'decoding': 'ctc', 'beam': 4, 'vad': True, 'gone': None},  # lang is missing\n        params={'v': 1},\n        \
         headers={'X-Tenant': 'a', 'Authorization': f'Bearer {token}'},\n        timeout=30, verify=False)\n",
    );
    assert_eq!(request.url.as_ref().unwrap().as_str(), "http://h:8000/asr");
    assert_eq!(request.message.method, "POST");
    let expected = [
        ("v", "1"),
        ("decoding", "ctc"),
        ("beam", "4"),
        ("vad", "True"),
        ("audio", "a.wav audio/wav 146124"),
        ("raw", "speech.wav  146124"),
    ];
    assert_eq!(texts(&request), pairs(&expected), "requests gives a file no media type of its own");
    assert_eq!(request.message.encoding, Encoding::Multipart);
    assert_eq!(request.message.headers, pairs(&[("X-Tenant", "a")]));
    assert_eq!(request.message.limit.unwrap().as_secs(), 30);
    assert!(request.trust.insecure);
    assert_eq!((request.reading.kind.as_str(), request.reading.place.as_str()), ("python", "client.py:6"));
    assert!(
        request.reading.notes.iter().any(|note| note.contains("header Authorization (token)")),
        "{:?}",
        request.reading
    );
}

#[test]
fn a_locust_task_posts_to_a_path_of_its_host() {
    let request = read(
        "from locust import HttpUser, task\n\nclass User(HttpUser):\n    host = \"http://h:9000\"\n\n    @task\n    def asr(self):\n        \
         self.client.get(\"/health\")\n        self.client.post(\"/asr\", data={\"lang\": \"en\"}, name=\"asr\", catch_response=True)\n",
    );
    assert_eq!(request.url.as_ref().unwrap().as_str(), "http://h:9000/asr");
    assert_eq!((texts(&request), request.message.encoding), (pairs(&[("lang", "en")]), Encoding::Urlencoded));
    assert!(request.reading.notes[0].contains("line 8: GET /health"), "{:?}", request.reading);
    let hostless = read(
        "from locust import HttpUser\nclass U(HttpUser):\n  def t(self):\n    self.client.post('/asr', json={'a': 1})\n",
    );
    assert!(hostless.url.is_none());
}

#[test]
fn an_aiohttp_form_is_put_together() {
    let request = read(
        "import aiohttp\nasync def send(session):\n    form = aiohttp.FormData()\n    form.add_field('audio', open('builtin:speech.wav', 'rb'), \
         filename='s.wav', content_type='audio/wav')\n    form.add_field('lang', 'en')\n    \
         async with session.post('http://h/asr', data=form) as r:\n        return await r.json()\n",
    );
    assert_eq!(texts(&request), pairs(&[("audio", "s.wav audio/wav 146124"), ("lang", "en")]));
    assert_eq!(request.message.encoding, Encoding::Multipart);
}

#[test]
fn json_bodies_hold_base64_and_later_members() {
    let request = read(
        "import base64, httpx\npayload = {'model': 'm', 'audio_b64': ''}\nwith open('builtin:speech.wav', 'rb') as f:\n    \
         payload['audio_b64'] = base64.b64encode(f.read()).decode('utf-8')\npayload.update({'n': [1, 2.5, None, -3], 'ok': False})\n\
         client = httpx.Client(base_url='http://h/', headers={'x-a': 'b'})\nclient.post('/v1/infer', json=payload)\npayload['after'] = 1\n",
    );
    let expected = [("model", "m"), ("n", "[1,2.5,null,-3]"), ("ok", "false"), ("audio_b64", "base64 of speech.wav")];
    assert_eq!(texts(&request), pairs(&expected));
    assert_eq!(request.url.as_ref().unwrap().as_str(), "http://h/v1/infer");
    assert_eq!(request.message.headers, pairs(&[("x-a", "b")]));
    assert!(request.message.fields.iter().all(|field| field.place == Place::Json));
}

#[test]
fn a_body_of_ones_own_has_no_content_type_unless_it_is_given() {
    let text = "import requests, json\nrequests.post('http://h/asr', data=json.dumps({'lang': 'en'}))\n";
    let request = read(text);
    assert_eq!((request.message.encoding, request.message.content_type.as_str()), (Encoding::Raw, ""));
    let declared = text.replace("}))", "}), headers={'Content-Type': 'application/json'})");
    let request = read(&declared);
    assert_eq!((request.message.encoding, texts(&request)), (Encoding::Json, pairs(&[("lang", "en")])));
}

#[test]
fn what_is_not_written_out_is_asked_for_by_name_and_line() {
    let text = "import requests, sys\nurl = sys.argv[1]\ndef send(lang):\n    return requests.post(f'{url}/asr', data={'lang': lang, 'n': 1})\n";
    let error = given(text, &[]).unwrap_err();
    assert!(
        error.starts_with("client.py:4: the value of \"lang\" is lang") && error.contains("--field lang=VALUE"),
        "{error}"
    );
    let request = given(text, &[("lang", "hi")]).unwrap();
    assert_eq!(texts(&request), pairs(&[("lang", "hi"), ("n", "1")]));
    assert!(request.url.is_none() && request.message.path == "/asr");
    assert!(request.reading.notes[0].contains("the one named by --server"), "{:?}", request.reading);
    for (text, part) in [
        ("import requests\nrequests.post(URL)\n", "the URL is not written out in the file: URL"),
        ("import requests\nrequests.post('http://h/asr', data=make())\n", "make()"),
        ("import requests\nrequests.post('http://h/asr', files={'audio': open('gone.wav','rb')})\n", "gone.wav"),
        ("import requests\nd = {'a': 1}\nd[key()] = 2\nrequests.post('http://h/asr', data=d)\n", "key()"),
        ("import requests\nd = dict(a=1)\nrequests.post('http://h/asr', json=d)\n", "json= is"),
        ("import requests\nx = 1\nx = 2\nrequests.post('http://h/asr', json={'n': x})\n", "\"n\" is x"),
        ("from fastapi import FastAPI\napp = FastAPI()\n@app.post('/asr')\ndef f(): pass\n", "no call"),
        ("import requests\nsettings.get('url')\n", "no call"),
    ] {
        let error = given(text, &[]).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn the_line_to_change_is_shown_in_python() {
    let field = |name: &str, place, value: &str| Field {
        name: name.into(),
        place,
        content: Content::Text(value.into()),
        guess: true,
    };
    let change = |text: &str, fields: &[Field]| {
        let change = read(text).code.unwrap().with("client.py", fields).remove(0);
        (change.at, change.old, change.new)
    };
    let (at, old, new) = change(
        "import requests\nrequests.post('http://h/asr',\n    data={'decoding': 'ctc',\n    },\n)\n",
        &[field("lang", Place::Form, "en")],
    );
    assert_eq!((at.as_str(), old.as_str()), ("client.py:3", "data={'decoding': 'ctc'}"));
    assert_eq!(new, r#"data={'decoding': 'ctc', "lang": "en"}"#);
    let (at, old, new) = change(
        "import requests\npayload = {}\nrequests.post('http://h/asr', json=payload)\n",
        &[field("lang", Place::Json, "en")],
    );
    assert_eq!(
        (at.as_str(), old.as_str(), new.as_str()),
        ("client.py:2", "payload = {}", r#"payload = {"lang": "en"}"#)
    );
    let (at, old, new) =
        change("import requests\nrequests.post('http://h/asr')\n", &[field("lang", Place::Form, "en")]);
    assert_eq!((at.as_str(), old.as_str(), new.as_str()), ("client.py:2", "", r#"data={"lang": "en"}"#));
    let (at, _, new) = change(
        "import aiohttp\nform = aiohttp.FormData()\nform.add_field('a', 'b')\nsession.post('http://h/asr', data=form)\n",
        &[field("lang", Place::Form, "en")],
    );
    assert_eq!(
        (at.as_str(), new.as_str()),
        ("client.py:3", r#"form.add_field('a', 'b'); form.add_field("lang", "en")"#)
    );
}

#[test]
fn secrets_in_a_program_are_not_told() {
    for text in [
        "import requests\nrequests.post('http://h/asr', headers=sign('S3CRET', \"S3CRET\"), data={'key': make('S3CRET')})\n",
        "import requests\nrequests.post('http://h/asr', json={**base('S3CRET'), 'a': 1})\n",
        "import requests\nrequests.post(f'http://u:S3CRET@h{get(\"S3CRET\")}x/asr')\n",
        "import requests\nrequests.post('http://u:S3CRET@h/login?token=S3CRET')\nrequests.post('http://h/asr', json=f('S3CRET'))\n",
        "import requests\nrequests.post('http://h/asr', json={'a': 1}, **more('S3CRET'), auth=get('S3CRET'), cookies={'a': 'S3CRET'})\n",
    ] {
        let told = match given(text, &[]) {
            Ok(request) => format!("{:?} {:?}", request.reading, request.code),
            Err(error) => error,
        };
        assert!(!told.contains("S3CRET"), "{text}: {told}");
    }
    let request = read("import requests\nrequests.post('http://h/asr', data={'api_key': 'S3CRET', 'a': 'b'})\n");
    let field = Field { name: "lang".into(), place: Place::Form, content: Content::Text("en".into()), guess: true };
    let change = request.code.unwrap().with("client.py", &[field]).remove(0);
    assert_eq!(change.new, r#"data={'api_key': "***", 'a': 'b', "lang": "en"}"#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn any_program_is_a_request_or_an_error(
        text in "import requests\n(requests\\.post\\('http://h/asr'|[(){}\\[\\],:='\"+*.\n ]|data|json|files|open|f'|\\{x\\}|x|\\\\|with |as |1|None){0,60}",
    ) {
        let _ = given(&text, &[]);
    }

    #[test]
    fn any_literal_is_read_or_left(value in "([bfr]?['\"][a-z{}\\\\nx0-9]{0,8}['\"]|[0-9.eE_-]{1,6}|[({\\[]|[)}\\]]|[,:+]|None|True){1,12}") {
        let _ = given(&format!("import requests\nrequests.post('http://h/asr', json={{'a': {value}}}, data={value})\n"), &[]);
    }
}
