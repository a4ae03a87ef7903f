"""What the tests of the integrations share: a listener that writes down moves, and a stand-in for our API."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pytest_lambda_telemetry.integrations import passthrough
from pytest_lambda_telemetry.model.ports import ForeignClock


@dataclass
class Moves:
    """A listener: each entry is (what, microseconds the clock showed then)."""

    look: Callable[[], ForeignClock | None]
    seen: list[tuple[str, int]] = field(default_factory=list)
    refusal: Exception | None = None

    def before_move(self) -> None:
        self._note("before")
        if self.refusal is not None:
            raise self.refusal

    def after_move(self) -> None:
        self._note("after")

    def _note(self, what: str) -> None:
        clock = self.look()
        assert clock is not None, "told of a move while nothing is active"
        self.seen.append((what, clock.now_us()))


@dataclass
class FakeApi:
    """A server that answers every request "OK" and keeps their paths."""

    port: int
    paths: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_ours(self, host: str, port: int) -> bool:
        return host in ("127.0.0.1", "localhost") and port == self.port


@pytest.fixture(scope="session")
def _server() -> Iterator[FakeApi]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.paths.append(self.path)
            self.send_response_only(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

        do_PUT = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = FakeApi(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def unclaimed(_server: FakeApi) -> FakeApi:
    """The server, which no library has been told about."""
    _server.paths.clear()
    return _server


@pytest.fixture
def api(unclaimed: FakeApi) -> Iterator[FakeApi]:
    """The server, with every mocking library told to let calls to it pass."""
    assert passthrough.install(unclaimed.is_ours) == ()
    yield unclaimed
    passthrough.uninstall(unclaimed.is_ours)
