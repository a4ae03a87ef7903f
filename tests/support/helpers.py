"""An extension and listeners as tests need them: real sockets, no shortcuts into our own code."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

IDENTIFIER = "Lambda-Extension-Identifier"
TELEMETRY = "/2022-07-01/telemetry"
EXTENSION = "/2020-01-01/extension"


class Answer:
    """What the fake answered: `status`, `headers`, `raw`, and `body` decoded (None where it is no JSON)."""

    def __init__(self, status: int, headers: HTTPMessage, raw: bytes) -> None:
        self.status, self.headers, self.raw = status, headers, raw
        try:
            self.body: Any = json.loads(raw)
        except ValueError:
            self.body = None


def call(
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] = {},
    *,
    api: str | None = None,
    raw: bytes | None = None,
    timeout: float = 20.0,
) -> Answer:
    """One request to the fake (by default the one in AWS_LAMBDA_RUNTIME_API), on a connection of its own."""
    connection = HTTPConnection(api or os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=timeout)
    try:
        payload = raw if raw is not None else None if body is None else json.dumps(body).encode()
        connection.request(method, path, payload, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def register(name: str = "ext", events: Sequence[str] = ("INVOKE", "SHUTDOWN"), **options: Any) -> str:
    """Register over HTTP; the identifier."""
    answer = call("POST", f"{EXTENSION}/register", {"events": list(events)}, {"Lambda-Extension-Name": name}, **options)
    assert answer.status == 200, answer.raw
    return str(answer.headers[IDENTIFIER])


def subscribe_body(port: int, **changes: Any) -> dict[str, Any]:
    """A valid Subscribe body for an HTTP listener, with some top-level fields replaced."""
    return {
        "schemaVersion": "2022-12-13",
        "types": ["platform", "function", "extension"],
        "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}"},
        **changes,
    }


def subscribe(identifier: str, body: object, **options: Any) -> Answer:
    """PUT a Subscribe body over HTTP."""
    return call("PUT", TELEMETRY, body, {IDENTIFIER: identifier}, **options)


class Listener:
    """An HTTP listener on a free port. `answers` decides the status of each batch (default: 200 for ever)."""

    def __init__(self, answers: Callable[[int], int] = lambda _number: 200, port: int = 0) -> None:
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                listener.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                listener.paths.append(self.path)
                listener.headers.append(dict(self.headers))
                self.send_response_only(answers(len(listener.bodies)))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A sender that breaks off is what some tests are about: no traceback for it."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005})
        self._thread.start()

    @property
    def uri(self) -> str:
        return f"http://sandbox.localdomain:{self.port}"

    @property
    def batches(self) -> list[list[dict[str, Any]]]:
        return [json.loads(body) for body in self.bodies]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(target: Callable[[], object]) -> Iterator[threading.Thread]:
    """A thread that must have ended by itself at the end of the block (after the test's own means of ending it)."""
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    yield thread
    thread.join(10)
    assert not thread.is_alive()
