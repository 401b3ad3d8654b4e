"""Stands before a server, passes everything on, and keeps each request with its answer.

    python record.py http://127.0.0.1:8000 PORT FILE.jsonl

A line of the file is an exchange: `asked` (method and path), `body` (what was sent, as JSON), `status`, `kind` (the
content type) and `answer` (the body that came, as text, to the letter). The same request with the same status is kept
once. Keys are not kept. Of `/openapi.json` and `/server_info`, servers' descriptions of themselves, the part that is read
alone is kept.
"""

import http.client
import http.server
import json
import sys
import threading
import urllib.parse

upstream, port = urllib.parse.urlsplit(sys.argv[1]), int(sys.argv[2])
out, kept, lock = open(sys.argv[3], "w", encoding="utf-8"), set(), threading.Lock()


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def pass_on(self):
        asked = self.rfile.read(int(self.headers.get("content-length") or 0))
        link = http.client.HTTPConnection(upstream.hostname, upstream.port)
        headers = {name: self.headers[name] for name in ("content-type", "authorization") if self.headers[name]}
        link.request(self.command, self.path, asked, headers)
        answer = link.getresponse()
        kind = answer.headers.get("content-type", "")
        self.send_response(answer.status)
        self.send_header("content-type", kind)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        body = b""
        try:
            while piece := answer.read1(65536):
                body += piece
                self.wfile.write(piece)
                self.wfile.flush()
        finally:
            link.close()
        self.keep(asked, answer.status, kind, body)

    do_GET = do_POST = pass_on

    def keep(self, asked, status, kind, body):
        line = {"asked": f"{self.command} {self.path}", "body": json.loads(asked or "null"), "status": status}
        key = json.dumps(line)
        if self.path == "/openapi.json" and status == 200:
            schema = json.loads(body)["components"]["schemas"]["CompletionRequest"]
            body = json.dumps({"components": {"schemas": {"CompletionRequest": schema}}}).encode()
        if self.path == "/server_info" and status == 200:
            said = json.loads(body)
            body = json.dumps({name: said[name] for name in ("context_length", "max_req_input_len", "version")}).encode()
        line |= {"kind": kind, "answer": body.decode("utf-8")}
        with lock:
            if key not in kept:
                kept.add(key)
                print(json.dumps(line, ensure_ascii=False), file=out, flush=True)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Recorder).serve_forever()
