//! Frames, statuses and messages; the calls themselves are made in tests/service.

use super::frame::{framed, unframed};
use super::messages::{Contents, InferRequest, InferResponse, RepositoryIndex, ServerMetadata, TensorHead};
use super::*;
use proptest::prelude::*;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn reply(message: &[u8]) -> Reply {
    ended(framed(message), &[("grpc-status", "0")])
}

fn ended(body: Vec<u8>, trailers: &[(&str, &str)]) -> Reply {
    let (content_type, trailers) = ("application/grpc+proto".into(), pairs(trailers));
    Reply { status: 200, content_type, body, trailers, ..Reply::default() }
}

const INFER: &str = "/v2/models/m/infer";

/// The message of an inference with this body.
fn sent(body: Vec<u8>, headers: &[(&str, &str)]) -> Result<InferRequest, String> {
    let payload = Payload::Bytes { bytes: body.into(), content_type: "application/json".into() };
    let url = format!("http://h:1{INFER}").parse().unwrap();
    let outgoing = Outgoing { method: "POST".into(), url, headers: pairs(headers), payload, follow: true };
    let call = call(&outgoing).map_err(|failure| failure.text)?;
    assert_eq!(call.url.as_str(), "http://h:1/inference.GRPCInferenceService/ModelInfer");
    let Payload::Bytes { bytes, content_type } = call.payload else { return Err("no message".into()) };
    assert_eq!(content_type, "application/grpc");
    assert!(call.headers.contains(&("te".into(), "trailers".into())));
    assert!(!call.headers.iter().any(|(name, _)| name == BINARY_FROM));
    Ok(InferRequest::decode(unframed(&bytes)?).unwrap())
}

#[test]
fn a_frame_is_read_as_it_was_written_and_a_torn_one_is_told() {
    assert_eq!(framed(b"abc"), b"\0\0\0\0\x03abc");
    assert_eq!(unframed(b"\0\0\0\0\x03abc"), Ok(&b"abc"[..]));
    assert!(unframed(b"\0\0\0").unwrap_err().contains("begins with 5 bytes, 3 came"));
    assert!(unframed(b"\0\0\0\0\x04abc").unwrap_err().contains("4 bytes was announced, 3 came"));
    assert!(unframed(b"\0\0\0\0\x02abc").unwrap_err().contains("1 bytes follow"));
    assert!(unframed(b"\x01\0\0\0\x03abc").unwrap_err().contains("compressed"));
    assert!(unframed(b"\0\xff\xff\xff\xff").unwrap_err().contains("4294967295 bytes was announced"));
}

#[test]
fn a_status_stands_for_an_http_status_and_its_words_are_decoded() {
    let told = |code: &str, message: &str| {
        let status = status::told(&pairs(&[("grpc-status", code), ("grpc-message", message)])).unwrap();
        (status.name, status.http, status.message)
    };
    assert_eq!(told("3", "missing %27lang%27 100%"), ("INVALID_ARGUMENT".into(), 400, "missing 'lang' 100%".into()));
    assert_eq!(told("5", "caf%C3%A9").2, "café");
    assert_eq!(told("8", "quota").1, 429);
    assert_eq!(told("8", "Received message larger than max (5 vs. 4)").1, 413);
    assert_eq!(told("16", "").0, "UNAUTHENTICATED");
    assert_eq!((told("14", "").1, told("4", "").1, told("12", "").1, told("16", "").1), (503, 504, 501, 401));
    assert_eq!(told("99", "x").0, "code 99");
    assert_eq!(status::told(&pairs(&[("content-type", "application/grpc")])), None);
}

#[test]
fn an_inference_travels_raw_and_its_answer_is_told_as_json() {
    let request = json!({ "inputs": [
        { "name": "a", "shape": [2], "datatype": "FP32", "data": [0.5, -1.0] },
        { "name": "t", "shape": [1], "datatype": "BYTES", "data": ["hé"] },
        { "name": "n", "shape": [1, 1], "datatype": "INT64", "data": [-2] },
    ]});
    let sent = sent(request.to_string().into_bytes(), &[]).unwrap();
    assert_eq!((sent.model_name.as_str(), sent.inputs.len()), ("m", 3));
    assert_eq!(sent.inputs[2].shape, [1, 1]);
    assert_eq!(sent.raw_input_contents[0], [0, 0, 0, 0x3f, 0, 0, 0x80, 0xbf]);
    assert_eq!(sent.raw_input_contents[1], b"\x03\0\0\0h\xc3\xa9");
    assert_eq!(sent.raw_input_contents[2], (-2_i64).to_le_bytes());
    let answer = InferResponse {
        model_name: "m".into(),
        model_version: "1".into(),
        outputs: sent.inputs,
        raw_output_contents: sent.raw_input_contents,
    };
    let mut reply = reply(&answer.encode_to_vec());
    translate(INFER, &mut reply);
    let told: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status, reply.grpc_status.as_deref()), (200, Some("OK")));
    assert_eq!(told["outputs"][0]["data"], json!([0.5, -1.0]));
    assert_eq!(told["outputs"][1]["data"], json!(["hé"]));
    assert_eq!(told["outputs"][2], json!({ "name": "n", "datatype": "INT64", "shape": [1, 1], "data": [-2] }));
}

#[test]
fn every_type_of_tensor_has_its_width() {
    let widths = [
        ("BOOL", json!(true), 1),
        ("INT8", json!(-1), 1),
        ("UINT8", json!(255), 1),
        ("INT16", json!(1), 2),
        ("UINT16", json!(1), 2),
        ("INT32", json!(1), 4),
        ("UINT32", json!(1), 4),
        ("INT64", json!(1), 8),
        ("UINT64", json!(u64::MAX), 8),
        ("FP16", json!(0.5), 2),
        ("BF16", json!(0.5), 2),
        ("FP32", json!(0.5), 4),
        ("FP64", json!(0.5), 8),
    ];
    for (datatype, value, width) in widths {
        let (_, raw) =
            tensor::raw(&json!({ "name": "x", "shape": [1], "datatype": datatype, "data": [value] })).unwrap();
        assert_eq!(raw.len(), width, "{datatype}");
        if datatype == "FP16" {
            assert_eq!(raw, [0x00, 0x38], "0.5 is 0x3800");
        }
        if datatype == "BF16" {
            assert_eq!(raw, [0x00, 0x3f], "0.5 is 0x3f00");
        }
    }
    let wrong = |datatype: &str, value: Value| {
        tensor::raw(&json!({ "name": "x", "shape": [1], "datatype": datatype, "data": [value] })).unwrap_err()
    };
    assert_eq!(wrong("UINT8", json!(256)), "x: 256 is no value of type UINT8");
    assert_eq!(wrong("FP32", json!("loud")), "x: \"loud\" is no value of type FP32");
    assert!(wrong("STRUCT", json!(1)).contains("STRUCT"));
}

#[test]
fn values_that_a_server_sends_by_type_are_told_too() {
    let contents = Contents { fp32_contents: vec![0.25], bytes_contents: vec![b"x".to_vec()], ..Contents::default() };
    let head = TensorHead { name: "o".into(), datatype: "FP32".into(), shape: vec![1], contents: Some(contents) };
    assert_eq!(tensor::told(&head, None)["data"], json!([0.25, "x"]));
    let long = TensorHead { contents: None, ..head };
    let data = tensor::told(&long, Some(&vec![0; 1 << 20]));
    assert_eq!(data["data"].as_array().map(Vec::len), Some(256), "the first values are enough");
}

#[test]
fn refusals_and_broken_answers_are_told_by_what_they_are() {
    let mut refused = ended(Vec::new(), &[("grpc-status", "3"), ("grpc-message", "no %5B")]);
    translate(INFER, &mut refused);
    assert_eq!((refused.status, refused.grpc_status.as_deref()), (400, Some("INVALID_ARGUMENT")));
    assert_eq!(refused.body, b"no [");
    // Without a message the status stands among the headers.
    let mut at_once = Reply { headers: pairs(&[("grpc-status", "16")]), ..ended(Vec::new(), &[]) };
    translate(INFER, &mut at_once);
    assert_eq!(at_once.status, 401);
    let mut unended = ended(framed(b""), &[]);
    translate(INFER, &mut unended);
    assert_eq!((unended.status, unended.grpc_status), (502, None));
    let mut garbage = reply(b"\xff\xff\xff");
    translate(INFER, &mut garbage);
    assert_eq!(garbage.status, 502);
    assert!(String::from_utf8_lossy(&garbage.body).contains("cannot be read"));
    let mut proxy = Reply { status: 503, content_type: "text/html".into(), body: b"<h1>".to_vec(), ..Reply::default() };
    translate(INFER, &mut proxy);
    assert_eq!((proxy.status, proxy.body.as_slice()), (503, &b"<h1>"[..]), "a proxy's own answer stays");
}

#[test]
fn what_the_server_says_of_itself_has_the_form_that_it_has_over_http() {
    let json_of = |call: &str, bytes: Vec<u8>| told(Some(call), &bytes).unwrap().1;
    let metadata = ServerMetadata { name: "triton".into(), version: "2".into(), extensions: vec!["x".into()] };
    assert_eq!(
        json_of("ServerMetadata", metadata.encode_to_vec()),
        json!({ "name": "triton", "version": "2", "extensions": ["x"] })
    );
    let models = vec![
        m::IndexedModel { name: "a".into(), state: "UNAVAILABLE".into(), ..Default::default() },
        m::IndexedModel { name: "b".into(), ..Default::default() },
    ];
    let index = json_of("RepositoryIndex", RepositoryIndex { models }.encode_to_vec());
    assert_eq!(index[0]["state"], "UNAVAILABLE");
    assert_eq!(index[1].get("state"), None, "an unset state is none");
    let config = m::ModelConfig { max_batch_size: 8, input: vec![m::ModelInput { name: "a".into(), optional: true }] };
    let config = json_of("ModelConfig", m::ModelConfigAnswer { config: Some(config) }.encode_to_vec());
    assert_eq!(config, json!({ "max_batch_size": 8, "input": [{ "name": "a", "optional": true }] }));
    let health = told(None, &m::Health { status: 2 }.encode_to_vec());
    assert_eq!(health, Ok((false, json!({ "status": "NOT_SERVING" }))));
    assert_eq!(json_of("ServerLive", m::State { holds: true }.encode_to_vec()), json!({ "live": true }));
}

#[test]
fn every_path_has_its_call_or_is_not_found() {
    let asked = |path: &'static str| question(path).map(|one| (one.call, one.model, one.version));
    assert_eq!(asked("/v2"), Some(("ServerMetadata", "", "")));
    assert_eq!(asked("/v2/"), Some(("ServerMetadata", "", "")));
    assert_eq!(asked("/v2/health/live"), Some(("ServerLive", "", "")));
    assert_eq!(asked("/v2/repository/index"), Some(("RepositoryIndex", "", "")));
    assert_eq!(asked("/v2/models/m"), Some(("ModelMetadata", "m", "")));
    assert_eq!(asked("/v2/models/m/ready"), Some(("ModelReady", "m", "")));
    assert_eq!(asked("/v2/models/m/versions/2/infer"), Some(("ModelInfer", "m", "2")));
    for path in ["/openapi.json", "/v2/models/m/stats", "/v2/models/", "/v2/models//infer", "/"] {
        assert_eq!(asked(path), None, "{path}");
        let mut answer = reply(b"\x08\x01");
        translate(path, &mut answer);
        assert_eq!((answer.status, answer.grpc_status.as_deref()), (404, Some("OK")), "{path}");
    }
    // Not ready is 400, as over HTTP.
    let mut answer = reply(b"");
    translate("/v2/models/m/ready", &mut answer);
    assert_eq!((answer.status, answer.body.as_slice()), (400, &br#"{"ready":false}"#[..]));
}

#[test]
fn binary_tensors_are_sent_as_they_are() {
    let head = json!({ "inputs": [
        { "name": "a", "shape": [2], "datatype": "FP16", "parameters": { "binary_data_size": 4 } },
        { "name": "t", "shape": [1], "datatype": "BYTES", "data": ["x"] },
    ]});
    let head = head.to_string().into_bytes();
    let length = head.len().to_string();
    let whole = [head.as_slice(), &[1, 2, 3, 4]].concat();
    let message = sent(whole, &[("Inference-Header-Content-Length", &length)]).unwrap();
    assert_eq!(message.raw_input_contents, [vec![1, 2, 3, 4], b"\x01\0\0\0x".to_vec()]);
    let short = sent(head, &[("inference-header-content-length", &length)]).unwrap_err();
    assert!(short.contains("a: 4 bytes are announced, fewer are there"), "{short}");
    assert!(sent(b"{".to_vec(), &[]).unwrap_err().contains("the body is not JSON"));
}

proptest! {
    #[test]
    fn any_message_survives_its_frame(message in proptest::collection::vec(any::<u8>(), 0..300)) {
        let body = framed(&message);
        prop_assert_eq!(unframed(&body), Ok(message.as_slice()));
    }

    #[test]
    fn any_bytes_are_an_answer_or_an_error(
        body in proptest::collection::vec(any::<u8>(), 0..300), status in "[0-9]{0,6}", message in "(%[0-9a-fA-F]{0,2}|.){0,20}",
    ) {
        let paths = ["/v2", "/v2/health/live", "/v2/models/m", "/v2/models/m/config", "/v2/repository/index", INFER, HEALTH, "/"];
        for path in paths {
            translate(path, &mut ended(body.clone(), &[("grpc-status", &status), ("grpc-message", &message)]));
            translate(path, &mut ended(body.clone(), &[("grpc-status", "0")]));
            translate(path, &mut reply(&body));
        }
    }

    #[test]
    fn any_body_becomes_a_call_or_an_error(
        body in proptest::collection::vec(any::<u8>(), 0..100), length in "[0-9]{0,4}", path in "/v2(/[a-z/]{0,20})?",
    ) {
        let _ = sent(body, &[(BINARY_FROM, &length)]);
        prop_assert!(call_path(&path).starts_with('/'));
    }

    #[test]
    fn any_raw_values_are_told_without_a_panic(
        raw in proptest::collection::vec(any::<u8>(), 0..64),
        datatype in "BOOL|INT8|UINT16|INT32|UINT64|FP16|FP32|FP64|BYTES|X",
    ) {
        let head = TensorHead { datatype, ..TensorHead::default() };
        tensor::told(&head, Some(&raw));
    }
}
