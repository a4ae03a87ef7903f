"""What makes a server Lambda's: its limit, its errors, its words."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from pytest_lambda_telemetry.api.dialect import LIMITS, error_response, runtime_server
from pytest_lambda_telemetry.model.errors import MisuseError
from pytest_lambda_telemetry.protocol.contract import MAX_BODY_BYTES, too_large
from pytest_lambda_telemetry.wire.exchange import HttpRequest, HttpResponse, Malformed
from pytest_lambda_telemetry.wire.server import Server

PUT = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"


def broken(_: HttpRequest) -> HttpResponse:
    raise ValueError("broken")


@pytest.fixture
def server() -> Iterator[Server]:
    with closing(runtime_server()) as server:
        yield server


def talk(server: Server, data: bytes) -> tuple[bytes, object]:
    """The head of the answer, and its body decoded."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        head, _, body = b"".join(iter(lambda: sock.recv(65536), b"")).rpartition(b"\r\n\r\n")
    return head, json.loads(body)


REFUSED = {
    "too large": (PUT % (MAX_BODY_BYTES + 1), 413, "RequestEntityTooLarge", too_large().message),
    "a failure of our own": (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        *(500, "InternalServerError", "ValueError in lambda_telemetry's handler: broken"),
    ),
    "a proxy's request": (
        b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        *(405, "MethodNotAllowed", "CONNECT a:1: this is the Lambda runtime API, not a proxy"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_server_refuses_is_refused_in_lambdas_form(server: Server, case: str) -> None:
    data, status, error_type, message = REFUSED[case]
    told: list[Malformed] = []
    server.attach(broken, told.append)
    head, body = talk(server, data)
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert head.endswith(b"\r\nConnection: close")
    assert b"\r\nContent-Type: application/json\r\n" in head
    assert body == {"errorType": error_type, "errorMessage": message}
    assert [(problem.status, problem.reason) for problem in told] == [(status, message)]


def test_without_a_test_requests_are_answered_503(server: Server) -> None:
    server.attach(broken)
    server.detach(broken)
    _, body = talk(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert body == {"errorType": "ServiceUnavailable", "errorMessage": "no test is using lambda_telemetry now"}


@pytest.mark.parametrize("status", [400, 405, 408, 413, 414, 431, 500, 503, 505])
def test_every_status_with_which_a_server_refuses_has_an_error_type(status: int) -> None:
    answer = error_response(status, "why")
    assert answer.status == status
    assert json.loads(answer.body) == {"errorType": json.loads(answer.body)["errorType"], "errorMessage": "why"}


def test_a_body_may_be_as_large_as_the_contract_says() -> None:
    assert too_large().status == 413
    assert LIMITS.body_bytes == MAX_BODY_BYTES


def test_a_port_in_use_is_told_in_lambdas_name(server: Server) -> None:
    with pytest.raises(MisuseError, match=rf"^the fake Lambda API cannot listen on 127\.0\.0\.1:{server.port}: "):
        runtime_server(server.port)


def test_its_threads_are_named_for_the_package() -> None:
    entered, go = threading.Event(), threading.Event()

    def hold(_: HttpRequest) -> None:
        entered.set()
        assert go.wait(5)

    before = set(threading.enumerate())
    with closing(runtime_server()) as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        server.attach(hold)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert entered.wait(5)
        names = {thread.name for thread in set(threading.enumerate()) - before}
        go.set()
    assert names == {"lambda-telemetry-server", "lambda-telemetry-connection-1"}
