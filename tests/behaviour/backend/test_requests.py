"""Whatever a client sends, in whatever framing: it is taken, recorded, and answered."""

import json
import socket
import threading
from dataclasses import FrozenInstanceError

import pytest

from pytest_lambda_telemetry import Backend, LambdaTelemetry, LambdaTelemetryError, Settings
from pytest_lambda_telemetry.environment import over
from pytest_lambda_telemetry.model.backend import BackendCalled
from pytest_lambda_telemetry.sandbox.assembly import assemble
from tests.support.clients import ask, connect, connection, exchange, post

MIB = 1 << 20


def test_a_request_is_recorded_as_it_was_sent(lambda_telemetry: LambdaTelemetry, backend: Backend) -> None:
    lambda_telemetry.advance(seconds=2)
    with connection(backend) as made:
        made.request("PATCH", "/v1/%6Cogs?key=a%20b&key=", b'{"a": [1]}', {"X-Api-Key": "k"})
        answer = made.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
    (request,) = backend.requests
    assert (request.method, request.path, request.query) == ("PATCH", "/v1/%6Cogs", "key=a%20b&key=")
    assert request.headers["x-api-key"] == request.headers["X-API-KEY"] == "k"
    assert request.raw == request.body == b'{"a": [1]}'
    assert request.json == {"a": [1]}
    assert request.status == 200
    assert request.at == lambda_telemetry.now
    assert repr(request) == "<BackendRequest PATCH /v1/%6Cogs?key=a%20b&key= -> 200>"
    with pytest.raises(FrozenInstanceError):
        request.status = 500  # type: ignore[misc]  # on purpose


@pytest.mark.parametrize(
    ("body", "decoded"),
    [
        (b"", None),
        (b"null", None),
        (b'"text"', "text"),
        (b"[1]\n", [1]),
        (b'{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        (b'{"index": {}}\r\n\r\n"x"', [{"index": {}}, "x"]),
        (b"plain text", None),
        (b'{"a": 1}\nplain', None),
        (b"\xff\xfe", None),
        (b"\n\n", None),
        (b"[" * 100_000, None),
    ],
)
def test_json_and_ndjson_are_decoded_and_anything_else_is_none(backend: Backend, body: bytes, decoded: object) -> None:
    assert post(backend, body=body) == (200, b"")
    assert backend.requests[0].json == decoded
    assert backend.requests[0].body == body


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "X-Y"])
@pytest.mark.parametrize("path", ["/", "/a/b/c", "/api/v2/series", "/%00", "//x", "/~"])
def test_any_method_and_path_are_taken(backend: Backend, method: str, path: str) -> None:
    with connection(backend) as made:
        made.request(method, path)
        assert made.getresponse().status == 200
    assert [(one.method, one.path) for one in backend.requests] == [(method, path)]


CHUNKED = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_chunked_body_is_joined(backend: Backend) -> None:
    answer = exchange(backend, CHUNKED + b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert backend.requests[0].raw == b"abcde"


def test_a_client_that_expects_100_continue_is_told_to_go_on(backend: Backend) -> None:
    with connect(backend) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert list(backend.requests) == []
        sock.sendall(b"body")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
    assert backend.requests[0].raw == b"body"


def test_http_1_0_ends_with_its_answer_unless_it_is_to_be_kept(backend: Backend) -> None:
    assert exchange(backend, b"POST /a HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", end=False).endswith(b"\r\n\r\n")
    with connect(backend) as sock:
        for _ in range(2):
            sock.sendall(b"POST /b HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx")
            assert b"Connection: keep-alive\r\n" in sock.recv(1000)
    assert [one.path for one in backend.requests] == ["/a", "/b", "/b"]


def test_pipelined_requests_are_answered_in_order(backend: Backend) -> None:
    for number in range(3):
        backend.respond(200, body=f"<{number}>", path=f"/{number}")
    one = "POST /{} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
    answer = exchange(backend, "".join(one.format(number) for number in range(3)).encode())
    assert [answer.index(f"<{number}>".encode()) for number in range(3)] == sorted(
        answer.index(f"<{number}>".encode()) for number in range(3)
    )
    assert [request.path for request in backend.requests] == ["/0", "/1", "/2"]


def test_a_body_of_64_mib_is_taken_and_one_byte_more_is_answered_413(backend: Backend) -> None:
    body = bytes(64 * MIB)
    assert post(backend, "/fits", body) == (200, b"")
    assert backend.requests[-1].body == body
    status, text = post(backend, "/large", body + b"x")
    assert (status, text) == (413, b"the body is larger than 67,108,864 bytes\n")
    assert backend.requests[-1].status == 413
    assert backend.requests[-1].raw == b""


def test_many_clients_at_once_lose_nothing(backend: Backend) -> None:
    def send(number: int) -> None:
        with connection(backend) as made:
            for turn in range(20):
                assert ask(made, f"/{number}", f"{turn}".encode())[0] == 200

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        bodies = [one.raw for one in backend.requests if one.path == f"/{number}"]
        assert bodies == [f"{turn}".encode() for turn in range(20)]


BROKEN = {
    "text": (b"hello\r\n\r\n", None),
    "no host": (b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n", None),
    "a length that is none": (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n", "/x"),
    "a length and chunks": (CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n") + b"0\r\n\r\n", "/c"),
    "a bad chunk": (CHUNKED + b"zz\r\n\r\n", "/c"),
    "a body that ends early": (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", "/x"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_request_is_answered_400_and_recorded(
    lambda_telemetry: LambdaTelemetry, backend: Backend, what: str
) -> None:
    sent, path = BROKEN[what]
    assert exchange(backend, sent).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert [(one.path, one.status, one.raw) for one in backend.requests] == ([(path, 400, b"")] if path else [])
    (entry,) = [entry for entry in lambda_telemetry.journal if entry.kind == "backend"]
    assert entry.verdict.startswith("400")
    assert post(backend) == (200, b"")


def test_a_connection_that_breaks_off_before_a_request_is_nothing(backend: Backend) -> None:
    connect(backend).close()
    with connect(backend) as sock:
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
    assert post(backend) == (200, b"")
    assert len(backend.requests) == 1


def test_bodies_are_let_go_first_and_counts_stay_exact() -> None:
    sandbox = assemble(Settings(), limit=100)  # facts, and KiB
    try:
        backend = over(sandbox).backend()
        with connection(backend) as made:
            for number in range(120):
                ask(made, "/big", f"{number:03}".encode() + b"x" * 10_000)
        assert len(backend.requests) == 100
        assert backend.requests[-1].raw.startswith(b"119")
        assert "requests=120" in repr(backend)
        assert len(backend.wait_for(120, "/big")) == 100
        first = backend.requests[0]
        for read in (lambda: first.raw, lambda: first.body, lambda: first.json):
            with pytest.raises(LambdaTelemetryError) as caught:
                read()
            assert str(caught.value) == (
                "the bytes of this request to a backend were let go to keep the journal within its limit; raise"
                " lambda_telemetry_journal_limit in pytest's ini file to keep more"
            )
        assert sandbox.journal.retention.kept_bytes <= 101 * 1024
    finally:
        sandbox.end()


def test_one_body_beyond_the_journals_limit_is_kept_while_it_is_the_newest() -> None:
    sandbox = assemble(Settings(), limit=10)
    try:
        backend = over(sandbox).backend()
        post(backend, "/a", bytes(MIB))
        assert len(backend.requests[0].raw) == MIB
        post(backend, "/b", bytes(MIB))
        assert [one.content.released for one in backend.requests] == [True, False]
    finally:
        sandbox.end()


def test_each_request_is_a_fact_in_the_journal_and_a_line_of_the_timeline(
    lambda_telemetry: LambdaTelemetry, backend: Backend
) -> None:
    other = lambda_telemetry.backend("metrics")
    post(backend, "/v1/logs?x=1", json.dumps({"a": 1}).encode())
    lambda_telemetry.advance(seconds=1)
    post(other, "/v1/metrics", b"", Content_Encoding="br")
    assert [entry.fact.request for entry in lambda_telemetry.journal if isinstance(entry.fact, BackendCalled)] == [
        *backend.requests,
        *other.requests,
    ]
    assert lambda_telemetry.timeline().splitlines()[:2] == [
        "+0.000s  backend  #1 POST /v1/logs (8 bytes)  200",
        "+1.000s  metrics  #1 POST /v1/metrics         200: body left as it was sent: Content-Encoding br is not undone"
        " here",
    ]
