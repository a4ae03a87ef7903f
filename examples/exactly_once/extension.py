"""Sends the function's log lines on to a backend, each exactly once: whoever loses an answer, whatever is frozen.

A batch is known by the hash of its bytes, which are the same when Lambda sends it again.
"""

import json
import os
from hashlib import sha256
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

RUNTIME_API = os.environ["AWS_LAMBDA_RUNTIME_API"]
BACKEND_URL = os.environ["BACKEND_URL"]
NAME = Path(__file__).name  # Lambda wants the file's name

waiting: dict[str, bytes] = {}  # batches that the backend has not taken yet, by their hash


class Listener(BaseHTTPRequestHandler):
    """Takes batches, and lets neither Lambda nor the function wait for the backend."""

    def do_POST(self) -> None:
        batch = self.rfile.read(int(self.headers["Content-Length"]))
        waiting[sha256(batch).hexdigest()] = batch
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def flush() -> None:
    """Send what waits. A batch that the backend has not taken goes on waiting."""
    for batch_id, batch in list(waiting.items()):
        if any(taken(batch, batch_id) for _attempt in range(5)):
            del waiting[batch_id]


def taken(batch: bytes, batch_id: str) -> bool:
    """Send a batch. The backend may have taken it although its answer is lost: then it knows it by its key."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": batch_id}
    try:
        with urlopen(Request(f"{BACKEND_URL}/v1/logs", batch, headers), timeout=1) as answer:
            answer.read()
    except (OSError, HTTPException):  # no connection, no whole answer, or one that is no success
        return False
    return True


def call(method: str, path: str, body: object = None, **headers: str) -> tuple[Any, Any]:
    """One call of Lambda's API: the decoded answer and its headers."""
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(f"http://{RUNTIME_API}{path}", data, {"Content-Type": "application/json", **named}, method=method)
    with urlopen(request) as response:
        return json.load(response), response.headers


def main() -> None:
    """Listen, register, subscribe; with each event send what came before it, up to SHUTDOWN."""
    server = HTTPServer(("sandbox.localdomain", 0), Listener)
    Thread(target=server.serve_forever, daemon=True).start()
    _, headers = call(
        "POST", "/2020-01-01/extension/register", {"events": ["INVOKE", "SHUTDOWN"]}, Lambda_Extension_Name=NAME
    )
    identifier = headers["Lambda-Extension-Identifier"]
    subscription = {
        "schemaVersion": "2022-12-13",
        "types": ["function"],
        "buffering": {"timeoutMs": 100},
        "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{server.server_port}"},
    }
    call("PUT", "/2022-07-01/telemetry", subscription, Lambda_Extension_Identifier=identifier)
    while True:
        event, _ = call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=identifier)
        flush()
        if event["eventType"] == "SHUTDOWN":
            break


if __name__ == "__main__":
    main()
