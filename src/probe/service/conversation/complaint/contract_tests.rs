//! What popular servers answer, each as it came over the wire or stands in its source: the field and what it is.

use super::read;
use crate::probe::service::conversation::rejection::Rejection;
use crate::probe::service::message::{Encoding, Message};

fn json_message() -> Message {
    Message {
        author: "doctor",
        method: "POST".into(),
        path: "/x".into(),
        fields: Vec::new(),
        headers: Vec::new(),
        encoding: Encoding::Json,
        content_type: "application/json".into(),
        verbatim: None,
        limit: None,
        follow: true,
    }
}

#[test]
fn every_servers_answer_is_read_for_what_it_is() {
    let mut faults = Vec::new();
    for (status, body, kind, fields) in [
        (
            422,
            r#"{"detail":[{"type":"missing","loc":["body","lang"],"msg":"Field required","input":null}]}"#,
            "missing_field",
            vec!["lang"],
        ),
        (
            422,
            r#"{"detail":[{"loc":["body","lang"],"msg":"field required","type":"value_error.missing"}]}"#,
            "missing_field",
            vec!["lang"],
        ),
        (
            422,
            r#"{"detail":[{"type":"json_invalid","loc":["body",1],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting property name enclosed in double quotes"}}]}"#,
            "malformed_body",
            vec![],
        ),
        (
            422,
            r#"{"detail":[{"type":"value_error","loc":["body","audio"],"msg":"Value error, Expected UploadFile, received: <class 'str'>","input":"abc","ctx":{"error":{}}}]}"#,
            "wrong_value",
            vec![],
        ),
        (
            422,
            r#"{"detail":[{"type":"int_parsing","loc":["query","n"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"x"}]}"#,
            "wrong_value",
            vec![],
        ),
        (400, r#"{"detail":"Missing required parameter: lang"}"#, "missing_field", vec!["lang"]),
        (404, r#"{"detail":"Not Found"}"#, "path", vec![]),
        (405, r#"{"detail":"Method Not Allowed"}"#, "method", vec![]),
        (
            400,
            "<!doctype html>\n<html lang=en>\n<title>400 Bad Request</title>\n<h1>Bad Request</h1>\n<p>The browser (or proxy) sent a request that this server could not understand.</p>\n",
            "unnamed",
            vec![],
        ),
        (
            500,
            "<!doctype html>\n<html lang=en>\n<head><title>werkzeug.exceptions.BadRequestKeyError: 400 Bad Request: The browser (or proxy) sent a request that this server could not understand.\nKeyError: &#39;lang&#39;\n // Werkzeug Debugger</title>",
            "missing_field",
            vec!["lang"],
        ),
        (
            500,
            "<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>\n<p>The server encountered an internal error and was unable to complete your request. Either the server is overloaded or there is an error in the application.</p>",
            "server_error",
            vec![],
        ),
        (
            415,
            "<!doctype html>\n<title>415 Unsupported Media Type</title>\n<h1>Unsupported Media Type</h1>\n<p>Did not attempt to load JSON data because the request Content-Type was not &#39;application/json&#39;.</p>",
            "content_type",
            vec![],
        ),
        (
            413,
            "<!doctype html>\n<title>413 Request Entity Too Large</title>\n<p>The data value transmitted exceeds the capacity limit.</p>",
            "too_large",
            vec![],
        ),
        (500, r#"{"detail":"Internal server error"}"#, "server_error", vec![]),
        (
            400,
            r#"{"error":"1 validation error for Input","detail":[{"type":"missing","loc":["lang"],"msg":"Field required","url":"https://errors.pydantic.dev/2.14/v/missing"}]}"#,
            "missing_field",
            vec!["lang"],
        ),
        (429, r#"{"error":"Too many requests"}"#, "rate", vec![]),
        (504, r#"{"error":"Not able to process the request in 5 seconds"}"#, "time_out", vec![]),
        (500, "Internal Server Error", "server_error", vec![]),
        (
            503,
            "Request dropped due to backpressure (num_queued_requests=1, max_queued_requests=1).",
            "unavailable",
            vec![],
        ),
        (404, "Path '/nope' not found. Ping http://.../-/routes for available routes.", "path", vec![]),
        (
            500,
            "Traceback (most recent call last):\n  File \"/m/model.py\", line 11, in predict\n    lang = StringCodec.decode_input(inputs[\"lang\"])  # a missing field 'x' is required\nKeyError: 'lang'\n",
            "missing_field",
            vec!["lang"],
        ),
        (
            422,
            r#"{"detail":[{"type":"missing","loc":["body","inputs",0,"shape"],"msg":"Field required","input":{}}]}"#,
            "missing_field",
            vec!["inputs.0.shape"],
        ),
        (404, r#"{"error":"Model nope not found"}"#, "model", vec![]),
        (
            400,
            r#"{"error":"[request id: <id_unknown>] expected 2 inputs but got 1 inputs for model 'm'. Got inputs ['a'], but missing required inputs ['b']. Please provide all required inputs."}"#,
            "missing_field",
            vec!["b"],
        ),
        (
            400,
            r#"{"error":"[request id: <id_unknown>] expected 2 inputs but got 3 inputs for model 'scale'. Got input(s) ['lang','x','zz'], but missing required input(s) ]. Please provide all required input(s)."}"#,
            "unnamed",
            vec![],
        ),
        (400, r#"{"error":"unexpected inference input 'x' for model 'm'"}"#, "unnamed", vec![]),
        (
            400,
            r#"{"error":"unexpected shape for input 'images' for model 'yolo'. Expected [-1,3,640,640], got [1,3,384,640]. NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension"}"#,
            "unnamed",
            vec![],
        ),
        (
            400,
            r#"{"error":"[request id: <id_unknown>] inference input 'x' data-type is 'INT32', but model 'scale' expects 'FP32'"}"#,
            "unnamed",
            vec![],
        ),
        (400, r#"{"error":"Request for unknown model: 'm' is not found"}"#, "model", vec![]),
        (
            400,
            r#"{"error":{"message":"1 validation error:\n  {'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required', 'input': '<dict of 1 items>'}","type":"Bad Request","param":"body.messages","code":400}}"#,
            "missing_field",
            vec!["messages"],
        ),
        (
            400,
            r#"{"error":{"message":"1 validation error:\n  {'type': 'json_invalid', 'loc': 'body.1', 'msg': 'JSON decode error', 'input': '<dict of 0 items>'}","type":"Bad Request","param":"body.1","code":400}}"#,
            "malformed_body",
            vec![],
        ),
        (
            400,
            r#"{"object":"error","message":"[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required', 'input': {}}]","type":"BadRequestError","param":null,"code":400}"#,
            "missing_field",
            vec!["messages"],
        ),
        (
            404,
            r#"{"error":{"message":"The model `X` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
            "model",
            vec![],
        ),
        (
            422,
            "Failed to deserialize the JSON body into the target type: missing field `inputs` at line 1 column 2",
            "missing_field",
            vec!["inputs"],
        ),
        (429, r#"{"error":"Model is overloaded","error_type":"overloaded"}"#, "rate", vec![]),
        (
            424,
            r#"{"error":"Request failed during generation: Server error: x","error_type":"generation"}"#,
            "dependency",
            vec![],
        ),
        (404, r#"{"code":404,"type":"ModelNotFoundException","message":"Model not found: m"}"#, "model", vec![]),
        (
            503,
            r#"{"code":503,"type":"ServiceUnavailableException","message":"Model \"m\" has no worker to serve inference request."}"#,
            "unavailable",
            vec![],
        ),
        (503, r#"{"code":503,"type":"InternalServerException","message":"Prediction failed"}"#, "server_error", vec![]),
        (
            400,
            r#"{"code":400,"type":"BadRequestException","message":"Parameter url is required."}"#,
            "missing_field",
            vec!["url"],
        ),
        (400, r#"{"error":"Missing 'inputs' or 'instances' key"}"#, "missing_field", vec!["inputs"]),
        (
            400,
            r#"{"error":"Failed to process element: 0 key: image_bytes of 'instances' list. Error: Invalid argument: JSON object: does not have named input: image_bytes"}"#,
            "unnamed",
            vec![],
        ),
        (404, r#"{"error":"Servable not found for request: Latest(m)"}"#, "model", vec![]),
        (400, r#"{"error":"Expected \"instances\" to be a list"}"#, "missing_field", vec!["instances"]),
        (500, r#"{"error":"KeyError : 'lang'"}"#, "missing_field", vec!["lang"]),
        (503, r#"{"error":"Model with name m is not ready."}"#, "unavailable", vec![]),
        (503, r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#, "unavailable", vec![]),
        (
            400,
            r#"{"error":{"code":400,"message":"'messages' is required","type":"invalid_request_error"}}"#,
            "missing_field",
            vec!["messages"],
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"[json.exception.parse_error.101] parse error at line 1, column 2","type":"invalid_request_error"}}"#,
            "malformed_body",
            vec![],
        ),
        (400, r#"{"error":"model is required"}"#, "missing_field", vec!["model"]),
        (400, r#"{"error":"missing request body"}"#, "unnamed", vec![]),
        (404, r#"{"error":"model 'x' not found"}"#, "model", vec![]),
        (503, "Service Unavailable", "unavailable", vec![]),
        (
            502,
            "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>",
            "gateway",
            vec![],
        ),
        (504, "<html><head><title>504 Gateway Time-out</title></head></html>", "time_out", vec![]),
        (401, r#"{"error":"authentication required"}"#, "credentials", vec![]),
        (403, r#"{"detail":"Not authenticated"}"#, "credentials", vec![]),
        (408, "", "time_out", vec![]),
        (409, r#"{"error":"busy"}"#, "conflict", vec![]),
        (411, "", "length", vec![]),
        (200, r#"{"error":"Something went wrong: language is required"}"#, "missing_field", vec!["language"]),
        (200, r#"{"error":"Something went wrong"}"#, "error_inside", vec![]),
        (
            500,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>MultiValueDictKeyError\n          at /asr</title><style>x</style></head><body><h1>MultiValueDictKeyError\n       at /asr</h1>\n  <pre class=\"exception_value\">&#x27;lang&#x27;</pre>",
            "missing_field",
            vec!["lang"],
        ),
    ] {
        let complaint = read(body.as_bytes(), &[]);
        let read = Rejection::of(Some(status), &json_message(), &complaint, body);
        let named: Vec<&str> = match read.is_hopeless() {
            true => Vec::new(),
            false => complaint.missing.iter().map(|(name, _)| name.as_str()).collect(),
        };
        if read.name() != kind || named != fields {
            faults.push(format!("{status} {body}\n  is read as {} {named:?}, meant is {kind} {fields:?}", read.name()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
