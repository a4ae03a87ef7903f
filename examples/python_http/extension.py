"""A telemetry extension in plain Python, in the way of AWS's own samples: `http.server` listens, `urllib` calls Lambda.

It keeps the function's log lines in `lines`.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

RUNTIME_API = os.environ["AWS_LAMBDA_RUNTIME_API"]  # read once, at import, as most extensions do
NAME = "extension.py"  # on Lambda it has to be the file's name

lines: list[str] = []


class Listener(BaseHTTPRequestHandler):
    """Receives batches of telemetry."""

    def do_POST(self) -> None:
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        lines.extend(event["record"] for event in batch if event["type"] == "function")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def call(method: str, path: str, body: object = None, **headers: str) -> tuple[Any, Any]:
    """One call of Lambda's API: the decoded answer and its headers."""
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(f"http://{RUNTIME_API}{path}", data, {"Content-Type": "application/json", **named}, method=method)
    with urlopen(request) as response:
        return json.load(response), response.headers


def run(port: int) -> None:
    """Register, subscribe, then ask for the next event until Lambda says SHUTDOWN."""
    _, headers = call(
        "POST", "/2020-01-01/extension/register", {"events": ["INVOKE", "SHUTDOWN"]}, Lambda_Extension_Name=NAME
    )
    identifier = headers["Lambda-Extension-Identifier"]
    subscription = {
        "schemaVersion": "2022-12-13",
        "types": ["platform", "function"],
        "buffering": {"timeoutMs": 100, "maxBytes": 262_144, "maxItems": 1_000},
        "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}"},
    }
    call("PUT", "/2022-07-01/telemetry", subscription, Lambda_Extension_Identifier=identifier)
    while True:
        event, _ = call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=identifier)
        if event["eventType"] == "SHUTDOWN":
            break


def main() -> None:
    """Listen while the extension runs."""
    with HTTPServer(("sandbox.localdomain", 0), Listener) as server:  # port 0: any free one, so tests may run at once
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            run(server.server_port)
        finally:
            server.shutdown()


if __name__ == "__main__":
    main()
