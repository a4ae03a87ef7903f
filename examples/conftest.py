"""A listener for the examples that are about what an extension does with telemetry, not about how it subscribes."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

Handle = Callable[[list[dict[str, Any]]], int | None]


@pytest.fixture
def listen() -> Iterator[Callable[[Handle], str]]:
    """`listen(handle)` starts an HTTP listener and returns its URI; it answers what `handle(batch)` returns, or 200."""
    started: list[tuple[HTTPServer, Thread]] = []

    def start(handle: Handle) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(handle(batch) or 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)  # port 0: any free one
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((server, thread))
        return f"http://sandbox.localdomain:{server.server_port}"

    yield start
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()
