//! Command lines as clients write them.

use super::curl;
use super::request::{ClientRequest, Setting};
use crate::probe::service::message::{Content, Encoding, Place};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

fn parse(text: &str, folder: &Path) -> Result<ClientRequest, String> {
    curl::parse(text, &Setting { origin: "client.sh", folder, given: &BTreeMap::new() })
}

fn read(text: &str) -> ClientRequest {
    parse(text, Path::new("/nonexistent")).unwrap()
}

fn refused(text: &str) -> String {
    parse(text, Path::new("/nonexistent")).unwrap_err()
}

fn texts(request: &ClientRequest) -> Vec<(String, String)> {
    request.message.fields.iter().map(|field| (field.name.clone(), field.content.as_text())).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn lines_comments_prompts_and_pipes_are_taken_apart() {
    let request = read(
        "# the user's client\n$ /usr/bin/curl -sSL \\\n  -X post \\\n 'http://127.0.0.1:8000/asr?v=1' \\\n -F lang=en | jq .\n",
    );
    assert_eq!((request.message.method.as_str(), request.message.path.as_str()), ("POST", "/asr"));
    assert_eq!(texts(&request), pairs(&[("v", "1"), ("lang", "en")]));
    assert!(request.message.follow);
    assert_eq!(request.message.encoding, Encoding::Multipart);
    assert_eq!(read("curl localhost:8000/x\r\n").url.unwrap().as_str(), "http://localhost:8000/x");
}

#[test]
fn joined_short_options_carry_the_last_ones_value() {
    let request = read("curl -skXPUT -Ha:b -m2.5 http://h/x -dq=1");
    assert_eq!(request.message.method, "PUT");
    assert!(request.trust.insecure);
    assert_eq!(request.message.headers, pairs(&[("a", "b")]));
    assert_eq!(request.message.limit.unwrap().as_millis(), 2500);
    assert_eq!(request.message.encoding, Encoding::Urlencoded);
}

#[test]
fn data_of_every_kind_becomes_fields() {
    let form = read("curl http://h/x -d a=1 --data-urlencode 'b=x y&z' --data-raw c=@3");
    assert_eq!(form.message.content_type, "application/x-www-form-urlencoded");
    assert_eq!(texts(&form), pairs(&[("a", "1"), ("b", "x y&z"), ("c", "@3")]));
    assert_eq!(form.message.method, "POST");

    let json = read(r#"curl http://h/x -H 'Content-Type: application/json; charset=utf-8' -d '{"a": 1, "b": [true]}'"#);
    assert_eq!(json.message.encoding, Encoding::Json);
    assert_eq!(texts(&json), pairs(&[("a", "1"), ("b", "[true]")]));
    assert_eq!(json.message.verbatim.as_deref(), Some(&br#"{"a": 1, "b": [true]}"#[..]), "sent as it was written");

    let mistake = read(r#"curl http://h/x -d '{"a": 1}'"#);
    assert_eq!(mistake.message.encoding, Encoding::Raw, "JSON that is declared a form");

    let get = read("curl -G http://h/x -d a=1");
    assert_eq!((get.message.method.as_str(), get.message.encoding), ("GET", Encoding::None));
    assert_eq!(get.message.fields[0].place, Place::Query);

    let tensors = read(
        r#"curl http://h/x --json '{"id":"7","inputs":[{"name":"T","shape":[1],"datatype":"INT32","data":[1]}]}'"#,
    );
    let places: Vec<_> = tensors.message.fields.iter().map(|field| (field.name.as_str(), field.place)).collect();
    assert_eq!(places, [("id", Place::Json), ("T", Place::Tensor)]);
}

#[test]
fn form_parts_are_files_samples_texts_and_literals() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.bin"), b"abc\n").unwrap();
    let text = "curl http://h/x -F 'f=@a.bin;type=audio/flac;filename=b.flac' -F 't=<a.bin' -F s=@builtin:speech.wav \
                --form-string l=@x;y -F 'semi=a;b'";
    let request = parse(&text.replace("l=@x;y", "'l=@x;y'"), folder.path()).unwrap();
    let contents: Vec<&Content> = request.message.fields.iter().map(|field| &field.content).collect();
    let Content::File(file) = contents[0] else { panic!("{contents:?}") };
    assert_eq!(
        (file.name.as_str(), file.media_type.as_str(), &file.bytes[..]),
        ("b.flac", "audio/flac", &b"abc\n"[..])
    );
    assert_eq!(contents[1], &Content::Text("abc\n".into()));
    assert!(matches!(contents[2], Content::File(file) if file.bytes.starts_with(b"RIFF") && file.name == "speech.wav"));
    assert_eq!(contents[3], &Content::Text("@x;y".into()));
    assert_eq!(contents[4], &Content::Text("a;b".into()));
    // -d drops line ends, --data-binary keeps them.
    let body =
        |option: &str| parse(&format!("curl http://h/x {option} @a.bin"), folder.path()).unwrap().message.verbatim;
    assert_eq!(body("-d").as_deref(), Some(&b"abc"[..]));
    assert_eq!(body("--data-binary").as_deref(), Some(&b"abc\n"[..]));
}

#[test]
fn credentials_become_headers_and_leave_the_url() {
    let request = read("curl -u me:secret http://h/x -b 'sid=1' -A me/1 --oauth2-bearer tok");
    let names: Vec<&str> = request.message.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["authorization", "cookie", "user-agent", "authorization"]);
    assert_eq!(request.message.headers[0].1, "Basic bWU6c2VjcmV0");
    let request = read("curl http://me:secret@h/x");
    assert_eq!(request.url.unwrap().as_str(), "http://h/x");
    assert_eq!(request.message.headers[0].1, "Basic bWU6c2VjcmV0");
}

#[test]
fn mistakes_are_named() {
    for (text, part) in [
        ("curl --config http://p http://h/", "--config"),
        ("curl -sK http://h/", "-K"),
        ("curl -F audio=@gone.wav http://h/", "gone.wav"),
        ("curl -F audio=@/dev/zero http://h/", "not a regular file"),
        ("curl -F audio=@builtin:gone http://h/", "built-in"),
        ("curl -d @- http://h/", "standard input"),
        ("curl http://h/ -X", "lacks its value"),
        ("curl http://h/ -F", "lacks its value"),
        ("curl -F novalue http://h/", "NAME=VALUE"),
        ("curl -s", "no URL"),
        ("wget http://h/", "no curl command"),
        ("curl 'http://h/", "unclosed"),
        ("curl http://a/ http://b/", "second URL"),
        ("curl ftp://a/", "not an http"),
        ("curl http://$HOST/", "shell variable"),
        ("curl -H 'Authorization: Bearer $TOKEN' http://h/", "shell variable"),
        ("curl -H 'a b: c' http://h/", "valid header"),
        ("curl -d a=1 -F b=2 http://h/", "both -F and -d"),
        ("curl -m soon http://h/", "number of seconds"),
    ] {
        let error = refused(text);
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains("$TOKEN"), "{error}");
    }
}

#[test]
fn a_pipe_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = std::ffi::CString::new(folder.path().join("fifo").to_str().unwrap()).unwrap();
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    let error = parse("curl http://h/ -F audio=@fifo", folder.path()).unwrap_err();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn files_written_on_windows_are_read() {
    let text = "\u{feff}curl.exe \"http://h/p\" ^\r\n  -H \"X-A: b\" ^\r\n  -d \"x=1\"\r\n";
    let request = parse(text, Path::new("/nonexistent")).unwrap();
    assert_eq!((request.message.method.as_str(), request.message.path.as_str()), ("POST", "/p"));
    assert_eq!(request.message.headers, [("X-A".to_owned(), "b".to_owned())]);
}

#[test]
fn what_a_shell_would_have_expanded_is_not_sent_as_it_stands() {
    for (text, what) in [
        ("-d \"$DATA\"", "the shell variable DATA"),
        ("-d $DATA", "the shell variable DATA"),
        ("-d \"`id`\"", "the output of a command"),
        ("-d $(id)", "the output of a command"),
        ("-d \"${x:-1}\"", "the shell variable x"),
        ("-F \"lang=$lang\"", "the shell variable lang"),
        ("# it's\n -d $X", "the shell variable X"),
        ("-d \"$1\"", "an argument of the script"),
    ] {
        let error = parse(&format!("curl http://h/p {text}"), Path::new("/nonexistent")).err();
        assert!(error.as_ref().is_some_and(|error| error.contains(what)), "{text}: {error:?}");
    }
    for text in ["-d '$DATA'", "-d 'a`b`'", "-d \\$DATA", "-d 'costs 5$'", "-d \"5$\"", "# $HOME isn't sent"] {
        assert!(parse(&format!("curl http://h/p {text}\n"), Path::new("/nonexistent")).is_ok(), "{text}");
    }
}

#[test]
fn a_browsers_command_is_read_with_its_quoting() {
    let text = "curl 'http://h/v1/asr' \\\n  -H 'accept: */*' \\\n  -b 'sid=S3CRET; theme=dark' \\\n  \
                -H 'content-type: application/json' \\\n  --data-raw $'{\"text\":\"it\\'s\\\\n\\u00e9\\x21\"}' \\\n  --compressed";
    let request = read(text);
    assert_eq!(texts(&request), pairs(&[("text", "it's\n\u{e9}!")]), "a line end in JSON is its own mistake");
    assert_eq!(request.message.method, "POST");
    let names: Vec<&str> = request.message.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["accept", "cookie"]);
    let cmd = "curl ^\"http://h/asr?a=1^&b=2^\" ^\r\n  -H ^\"x-a: b^\" ^\r\n  --data-raw ^\"^{^\\^\"lang^\\^\":^\\^\"en^\\^\"^}^\" -H ^\"content-type: application/json^\"";
    let request = read(cmd);
    assert_eq!(texts(&request), pairs(&[("a", "1"), ("b", "2"), ("lang", "en")]));
}

#[test]
fn variables_that_the_text_sets_are_filled_in_and_here_documents_read() {
    let text = "#!/bin/bash\nURL=http://h:8000\nLANGUAGE='en'\nTOKEN=$(cat token)\nfor i in 1 2; do\n  \
                ANSWER=$(curl -s -X POST \"$URL/asr\" -F \"lang=${LANGUAGE}\" -H \"Authorization: Bearer $TOKEN\" -F id=7)\ndone\n";
    let request = read(text);
    assert_eq!(request.url.unwrap().as_str(), "http://h:8000/asr");
    assert_eq!(texts(&read(text)), pairs(&[("lang", "en"), ("id", "7")]));
    assert_eq!(request.message.headers, pairs(&[]));
    assert!(request.reading.notes[0].contains("the shell variable TOKEN"), "{:?}", request.reading);
    assert!(refused("L=a\nL=b\ncurl http://h/ -F lang=$L").contains("--field lang=VALUE"));
    let document =
        "curl http://h/x -H 'content-type: application/json' -d @- <<'EOF'\n{\"lang\": \"$x\"}\nEOF\necho done\n";
    assert_eq!(texts(&read(document)), pairs(&[("lang", "$x")]));
    assert!(refused("curl http://h/x -d @- <<EOF\n$x\nEOF\n").contains("here-document"));
    assert_eq!(texts(&read("curl http://h/x --json @- <<< '{\"a\":1}'")), pairs(&[("a", "1")]));
}

#[test]
fn what_the_file_does_not_tell_is_the_users_to_give() {
    let given = BTreeMap::from([("lang".to_owned(), "hi".to_owned())]);
    let setting = Setting { origin: "/a/client.sh", folder: Path::new("/nonexistent"), given: &given };
    let request = curl::parse("curl $BASE/asr -F \"lang=$LANG_CODE\"", &setting).unwrap();
    assert_eq!(texts(&request), pairs(&[("lang", "hi")]));
    assert_eq!((request.url.is_none(), request.message.path.as_str()), (true, "/asr"));
}

#[test]
fn of_several_commands_the_inference_is_chosen_and_the_others_are_told() {
    let text = "curl http://h/health\ncurl -X POST http://h/login -d user=me\ncurl http://h/v1/asr -F lang=en | jq .\n\
                curl http://h/v1/asr -F lang=hi\n";
    let request = read(text);
    assert_eq!(texts(&request), pairs(&[("lang", "en")]));
    assert_eq!(request.reading.place, "client.sh:3");
    let told = &request.reading.notes[0];
    assert!(told.starts_with("3 other requests in it: line 1: GET http://h/health, line 2: POST"), "{told}");
}

#[test]
fn options_of_the_connection_are_passed_over_and_said() {
    let request = read("curl -x http://user:S3CRET@proxy:3128 --cert c.pem --no-keepalive http://h/x -d a=1");
    assert_eq!(request.reading.notes.len(), 2, "{:?}", request.reading.notes);
    assert!(request.reading.notes[0].contains("-x is passed over"), "{:?}", request.reading.notes);
    assert!(!format!("{:?}", request.reading).contains("S3CRET"));
    let query = read("curl 'http://h/x?a=1' --url-query b=2 --url-query 'c=x y' --json '{}'");
    assert_eq!(texts(&query), pairs(&[("a", "1"), ("b", "2"), ("c", "x y")]));
    assert_eq!(query.message.headers, pairs(&[("accept", "application/json")]));
}

proptest! {
    #[test]
    fn any_text_is_a_request_or_an_error(text in "\\PC{0,200}") {
        let _ = parse(&text, Path::new("/nonexistent"));
    }

    #[test]
    fn any_shell_text_is_a_request_or_an_error(text in "(curl |http://h/ |-[dFHX] |[a-z]=|[$'\"`(){}<>|&;#\\\\ \n^@-]|EOF|\\$\\(|<<){0,40}") {
        let _ = parse(&text, Path::new("/nonexistent"));
    }

    #[test]
    fn any_words_after_curl_are_a_request_or_an_error(
        words in proptest::collection::vec("(-[a-zA-Z]{1,3}|--(data|json|form|get|url|header|user)|http://h/\\{x\\}|[a-z]=[@<]?[a-z;\"]{0,4}|\\PC{0,6})", 0..12),
    ) {
        if let Ok(request) = parse(&format!("curl {}", words.join(" ")), Path::new("/nonexistent")) {
            let server = "http://127.0.0.1:1/".parse().unwrap();
            if let Some(outgoing) = request.message.outgoing(&server, &[]) {
                // Whatever the client wrote, it goes to the server that the user named.
                prop_assert_eq!(outgoing.url.origin(), server.origin());
            }
        }
    }
}
