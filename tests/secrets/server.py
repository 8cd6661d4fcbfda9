"""A server that gives its secrets away: in its log, answers, headers, schema and counters.

Run: python3 server.py SENTENCES.json LOG
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sentences = json.load(open(sys.argv[1]))
log = open(sys.argv[2], "a", buffering=1)
for sentence in sentences["log"]:
    log.write(f"INFO:     10.77.1.9:51234 - \"POST /asr HTTP/1.1\" 422 Unprocessable Entity\n")
    log.write(f"ERROR marker-log http://10.77.1.9:51234 /home/adalovelace/m.onnx: CUDA out of memory. {sentence}\n")
    log.write("Traceback (most recent call last):\n  File \"/home/adalovelace/serve.py\", line 3, in asr\n")
    log.write(f"RuntimeError: marker-log cannot reach https://gpu-box-77.acme.net/x {sentence}\n")
turn = [0]


def next_of(place):
    turn[0] += 1
    return sentences[place][turn[0] % len(sentences[place])]


def schema():
    example = {f"field{number}": sentence for number, sentence in enumerate(sentences["schema"])}
    body = {"type": "object", "required": ["text"], "properties": {
        "text": {"type": "string", "example": "hello", "description": " ".join(sentences["schema"])},
        "api_key": {"type": "string", "default": sentences["default"]}}, "example": example}
    post = {"description": "marker-schema " + " ".join(sentences["schema"]),
            "requestBody": {"content": {"application/json": {"schema": body}}}, "responses": {}}
    return {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {"/asr": {"post": post}}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, text, kind="application/json"):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("www-authenticate", "Bearer realm=\"marker-header\", " + next_of("header"))
        self.send_header("x-device", "cpu " + next_of("header"))
        self.send_header("set-cookie", "sid=" + sentences["default"])
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/openapi.json":
            return self.answer(200, json.dumps(schema()))
        if self.path == "/metrics":
            lines = [f"x_total{{path={json.dumps(sentence)}}} 1" for sentence in sentences["metrics"]]
            return self.answer(200, "\n".join(["# TYPE x_total counter", *lines, ""]), "text/plain")
        self.answer(404, json.dumps({"detail": "marker-answer " + next_of("answer")}))

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        sentence = next_of("answer")
        log.write(f"ERROR marker-log {sentence}\n")
        self.answer(422, json.dumps({"detail": [{"loc": ["body", "lang"], "msg": "marker-answer Field required " + sentence}]}))


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
