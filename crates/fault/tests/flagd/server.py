"""Answers OFREP as flagd does, for a file of flags that it looks at before each answer, and the flag
UI's API beside it. flagd itself is a Go program that not every module proxy has; the evaluation here
is that of its own authors' library for Python, openfeature-flagd-core.

    server.py FILE
"""

import http.server
import json
import os
import pathlib
import sys

from openfeature.contrib.tools.flagd.core import FlagdCore

PATH = pathlib.Path(sys.argv[1])
KINDS = {bool: "boolean", str: "string", int: "float", float: "float"}
# As the demo's flag UI: read when it starts, written over the file at each write.
COPY = json.loads(PATH.read_text())


def evaluate(core, flags, key):
    kind = KINDS.get(type(next(iter(flags[key]["variants"].values()))), "object")
    found = getattr(core, f"resolve_{kind}_value")(key, None)
    return {"key": key, "value": found.value, "variant": found.variant, "reason": str(found.reason)}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path == "/feature/api/read":
            return self.answer(200, COPY)
        return self.answer(404, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/feature/api/write":
            COPY.clear()
            COPY.update(json.loads(body)["data"])
            beside = PATH.with_suffix(".new")
            beside.write_text(json.dumps(COPY))
            os.replace(beside, PATH)
            return self.answer(200, {})
        text = PATH.read_text()
        core, flags = FlagdCore(), json.loads(text)["flags"]
        # The library takes no descriptions, which flagd passes over.
        bare = {key: {k: v for k, v in flag.items() if k != "description"} for key, flag in flags.items()}
        core.set_flags({"flags": bare})
        place = "/ofrep/v1/evaluate/flags"
        if self.path == place:
            return self.answer(200, {"flags": [evaluate(core, flags, key) for key in flags]})
        key = self.path.removeprefix(place + "/")
        if key not in flags:
            return self.answer(404, {"key": key, "errorCode": "FLAG_NOT_FOUND"})
        return self.answer(200, evaluate(core, flags, key))

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}), flush=True)
server.serve_forever()
