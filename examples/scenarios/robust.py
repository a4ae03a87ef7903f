"""A forwarder that survives what production does: every log line reaches the backend, and none of them twice.

Telemetry is answered 200 as soon as it is known, whatever it holds, and sent on from there; what is not sent on at
SHUTDOWN is sent then. Run as its own program, or called in a thread: `Forwarder(backend_url, name).run()`.
"""

import json
import os
import sys
import threading
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

LATEST = "2025-01-29"
TIMEOUT_S = 1.5
ATTEMPTS = 8

Event = dict[str, Any]


class Batches:
    """What bodies hold: each event once, whatever was repeated, and records that were cut in two whole again."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._cut = ""

    def events(self, body: bytes) -> list[Event]:
        """The events of a body that nobody has seen yet. A body may have come before: its answer was lost."""
        text = body.decode("utf-8", "replace")
        if text in self._seen:
            return []
        self._seen.add(text)
        events = self._decoded(text)
        return [event for event in events if isinstance(event, dict) and "type" in event]

    def _decoded(self, text: str) -> list[Any]:
        try:
            found = json.loads(text)
        except ValueError:
            found = self._joined(text)
        return found if isinstance(found, list) else []

    def _joined(self, text: str) -> object:
        """A cut piece ends with `}]`; the next body repeats time and type, then the record goes on."""
        first, self._cut = self._cut, text
        envelope = text.partition('"record":')
        if not first or not envelope[1]:
            return None
        self._cut = ""
        with suppress(ValueError):
            return json.loads(first[: -len("}]")] + envelope[2])
        self._cut = text
        return None


class Outbox:
    """Log lines on their way to the backend; they stay until it has taken them."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._lines: list[object] = []
        self._lock = threading.Lock()
        self._sending = threading.Lock()

    def add(self, events: list[Event]) -> None:
        """The function's lines among these, and nothing else."""
        with self._lock:
            self._lines += [event.get("record") for event in events if event["type"] == "function"]

    def send(self) -> None:
        """Send on what is there, as often as it takes."""
        with self._sending:
            with self._lock:
                lines, self._lines = self._lines, []
            if lines and not any(self._sent(json.dumps(lines).encode()) for _ in range(ATTEMPTS)):
                with self._lock:
                    self._lines = lines + self._lines  # perhaps next time

    def _sent(self, body: bytes) -> bool:
        # a connection of its own: one that is kept may be dead after a freeze
        connection = HTTPConnection(self._address, timeout=TIMEOUT_S)
        try:
            connection.request("POST", "/v1/logs", body, {"Content-Type": "application/json"})
            return 200 <= connection.getresponse().status < 300
        except OSError:
            return False
        finally:
            connection.close()


class Forwarder:
    """The extension: a listener, a subscription, and the loop that asks for the next event."""

    registers_for: tuple[str, ...] | None = None

    def __init__(self, backend_url: str, name: str) -> None:
        self.backend_url = backend_url
        self._api = os.environ["AWS_LAMBDA_RUNTIME_API"]
        self._managed = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "lambda-managed-instances"
        self._name = name
        self._batches = Batches()
        self._outbox = Outbox(backend_url)
        self._handling = threading.Lock()

    def run(self) -> None:
        """Live from register to SHUTDOWN."""
        listener = ThreadingHTTPServer(("sandbox.localdomain", 0), self._handler())
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            self._live(listener.server_port)
        finally:
            listener.shutdown()
            thread.join()
            listener.server_close()
            self._outbox.send()

    def _live(self, port: int) -> None:
        usual = ("SHUTDOWN",) if self._managed else ("INVOKE", "SHUTDOWN")  # there is no INVOKE on Managed Instances
        events = self.registers_for or usual
        headers = {"Lambda-Extension-Name": self._name}
        _, identifier = self._call("POST", "/2020-01-01/extension/register", {"events": events}, headers)
        identified = {"Lambda-Extension-Identifier": identifier}
        subscription = {
            "schemaVersion": LATEST,
            "types": ["platform", "function"],
            "buffering": {"timeoutMs": 100},
            "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}"},
        }
        self._call("PUT", "/2022-07-01/telemetry", subscription, identified)
        while True:
            event, _ = self._call("GET", "/2020-01-01/extension/event/next", None, identified)
            if not isinstance(event, dict) or event["eventType"] == "SHUTDOWN":
                return

    def _call(self, method: str, path: str, body: object, headers: dict[str, str]) -> tuple[Any, str]:
        connection = HTTPConnection(self._api)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise RuntimeError(f"{method} {path}: {response.status} {answer.decode()}")
            return json.loads(answer), response.headers.get("Lambda-Extension-Identifier", "")
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        forwarder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # it broke off: the same batch comes again
                forwarder.take(body)
                with suppress(OSError):  # whoever hangs up sends it again, and it is known then
                    self.send_response(200)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                with suppress(ConnectionError):
                    super().handle()

        return Handler

    def take(self, body: bytes) -> None:
        """A batch has come: it is sent on before it is answered, for what is answered never comes again."""
        with self._handling:
            self._outbox.add(self._batches.events(body))
        self._outbox.send()


if __name__ == "__main__":
    Forwarder(sys.argv[1], Path(__file__).name).run()
