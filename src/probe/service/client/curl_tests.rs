//! Command lines as clients write them.

use super::curl::{ClientRequest, parse};
use crate::probe::service::message::{Content, Encoding, Place};
use proptest::prelude::*;
use std::path::Path;

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
    assert_eq!(read("curl localhost:8000/x\r\n").url.as_str(), "http://localhost:8000/x");
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
    assert_eq!(request.url.as_str(), "http://h/x");
    assert_eq!(request.message.headers[0].1, "Basic bWU6c2VjcmV0");
}

#[test]
fn mistakes_are_named() {
    for (text, part) in [
        ("curl --proxy http://p http://h/", "--proxy"),
        ("curl -sZ http://h/", "-Z"),
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
        ("curl http://a/\ncurl http://b/", "more than one"),
        ("curl ftp://a/", "not an http"),
        ("curl http://$HOST/", "shell variable"),
        ("curl -H \"Authorization: Bearer $TOKEN\" http://h/", "shell variable"),
        ("curl -H 'a b: c' http://h/", "valid header"),
        ("curl -d a=1 -F b=2 http://h/", "both -F and -d"),
        ("curl --data-raw $'a\\n' http://h/", "quoting"),
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
    for text in [
        "-d \"$DATA\"",
        "-d $DATA",
        "-d \"`id`\"",
        "-d $(id)",
        "-d \"${x}\"",
        "-F \"lang=$lang\"",
        "# it's\n -d $X",
        "-d $'a'",
    ] {
        let error = parse(&format!("curl http://h/p {text}"), Path::new("/nonexistent")).err();
        assert!(error.is_some_and(|error| error.contains("shell variable")), "{text}");
    }
    for text in ["-d '$DATA'", "-d 'a`b`'", "-d \\$DATA", "-d 'costs 5$'", "-d \"5$\"", "# $HOME isn't sent"] {
        assert!(parse(&format!("curl http://h/p {text}\n"), Path::new("/nonexistent")).is_ok(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_request_or_an_error(text in "\\PC{0,200}") {
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
