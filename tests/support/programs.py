"""Extensions as programs of their own, for `run_extension`: what a test writes is put behind a few helpers."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_lambda_telemetry import LambdaTelemetry
from pytest_lambda_telemetry.host.child_names import HINT

_PRELUDE = """
import json, os, signal, socket, subprocess, sys, threading, time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer

def say(text):
    print(text, flush=True)

def call(method, path, body=None, **headers):
    connection = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    named = {f"Lambda-Extension-{name}": value for name, value in headers.items()}
    payload = None if body is None else json.dumps(body)
    connection.request(method, path, payload, {"Content-Type": "application/json", **named})
    answer = connection.getresponse()
    return answer, answer.read()

def register(name, events=("INVOKE", "SHUTDOWN")):
    answer, _ = call("POST", "/2020-01-01/extension/register", {"events": list(events)}, Name=name)
    return answer.getheader("Lambda-Extension-Identifier")

def serve(on_batch=lambda batch: None, after=lambda batch: None, port=0):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            on_batch(batch)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            self.wfile.flush()
            after(batch)
        def log_message(self, *args):
            pass
    server = HTTPServer(("sandbox.localdomain", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port

def subscribe(identifier, port, types=("platform", "function", "extension"), timeout_ms=100, **changes):
    body = {"schemaVersion": "2022-12-13", "types": list(types), "buffering": {"timeoutMs": timeout_ms},
            "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}/in"}, **changes}
    return call("PUT", "/2022-07-01/telemetry", body, Identifier=identifier)

def next_event(identifier):
    _, body = call("GET", "/2020-01-01/extension/event/next", Identifier=identifier)
    return json.loads(body)

def until_shutdown(identifier, on_event=lambda event: None):
    while True:
        event = next_event(identifier)
        on_event(event)
        if event["eventType"] == "SHUTDOWN":
            return

def for_ever():
    while True:
        signal.pause()
"""


def program(folder: Path, body: str, name: str = "ext.py") -> list[str]:
    """The command that runs `body`, a Python extension in a file of this name."""
    path = folder / name
    path.write_text(_PRELUDE + body)
    return [sys.executable, str(path)]


SUBSCRIBER = """
me = register("ext.py")
subscribe(me, serve({on_batch}), {types})
until_shutdown(me, {on_event})
"""


def subscriber(
    folder: Path,
    *,
    on_batch: str = "lambda batch: None",
    types: Sequence[str] = ("platform", "function", "extension"),
    on_event: str = "lambda event: None",
) -> list[str]:
    """A well-behaved extension `ext.py` with a listener, which answers only after `on_batch`."""
    return program(folder, SUBSCRIBER.format(on_batch=on_batch, types=list(types), on_event=on_event))


def noted(lambda_telemetry: LambdaTelemetry, kind: str) -> list[str]:
    """What the journal says of one kind, in words; without the hint of machines that allow no mount namespace."""
    return [
        f"{entry.who}: {entry.what} {entry.verdict}".strip()
        for entry in lambda_telemetry.journal
        if entry.kind == kind and entry.what != HINT
    ]
