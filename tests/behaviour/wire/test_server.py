"""The server over real sockets: framing, refusals, the life of connections."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection

import pytest
from freezegun import freeze_time

from pytest_lambda_telemetry.model.errors import MisuseError
from pytest_lambda_telemetry.real import Real
from pytest_lambda_telemetry.wire.exchange import HttpRequest, HttpResponse, Limits, Malformed
from pytest_lambda_telemetry.wire.server import Server

OK = HttpResponse(status=200, body=b'"OK"')
PUT = b"PUT /t HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def as_json(status: int, message: str) -> HttpResponse:
    return HttpResponse(status=status, body=json.dumps({"status": status, "message": message}).encode())


def make(port: int = 0, *, body_bytes: int = 1 << 20, request_s: float = 5.0, connections: int = 256) -> Server:
    limits = Limits(body_bytes=body_bytes, request_s=request_s, connections=connections)
    return Server(port, limits=limits, error_response=as_json)


class App:
    """A handler that records; `on_malformed` too."""

    def __init__(self, response: HttpResponse | None = OK) -> None:
        self.requests: list[HttpRequest] = []
        self.malformed: list[tuple[str, int]] = []
        self.response = response

    def handle(self, request: HttpRequest) -> HttpResponse | None:
        self.requests.append(request)
        return self.response

    def on_malformed(self, problem: Malformed) -> None:
        self.malformed.append((problem.reason, problem.status))


class Gate:
    """A handler that holds every request until it is let go, like a long poll."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go = threading.Event()
        self.requests: list[HttpRequest] = []

    def handle(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        self.entered.release()
        assert self.go.wait(10)
        return OK


_earlier: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _only_threads_of_this_test() -> None:
    """The fixtures' shared server, if an earlier test of this process used it, is not ours to count."""
    _earlier.clear()
    _earlier.update(threading.enumerate())


def ours() -> list[str]:
    fresh = (thread for thread in threading.enumerate() if thread not in _earlier)
    return [thread.name for thread in fresh if thread.name.startswith("http-")]


def connections() -> int:
    """How many connections are served now, idle ones included: each has a thread."""
    return sum(name.startswith("http-connection-") for name in ours())


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes true: for what another thread does after the client has seen its answer."""
    deadline = Real.monotonic() + 5
    gone_by = threading.Event()
    while not holds() and Real.monotonic() < deadline:
        gone_by.wait(0.001)
    return holds()


@pytest.fixture
def server() -> Iterator[Server]:
    with closing(make()) as server:
        yield server
    assert ours() == []


@pytest.fixture
def hasty() -> Iterator[Server]:
    """A server that soon loses patience with half a request."""
    with closing(make(request_s=0.05)) as server:
        yield server
    assert ours() == []


@pytest.fixture
def app(server: Server) -> App:
    app = App()
    server.attach(app.handle, app.on_malformed)
    return app


def dial(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=5)


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def talk(server: Server, data: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes; everything that comes back until the server closes."""
    with dial(server) as sock:
        sock.sendall(data)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        return read_all(sock)


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in fields), body


def request(
    server: Server, method: str = "PUT", path: str = "/t", body: bytes | None = b"{}", **headers: str
) -> tuple[int, bytes]:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=5)) as client:
        client.request(method, path, body, headers)
        response = client.getresponse()
        return response.status, response.read()


# -- the plain case ----------------------------------------------------------------------------------------------------


def test_a_request_reaches_the_handler_whole(server: Server, app: App) -> None:
    status, body = request(server, "PUT", "/2022-07-01/telemetry?a=1", b'{"x": 1}', **{"X-Thing": "one"})
    assert (status, body) == (200, b'"OK"')
    (seen,) = app.requests
    assert (seen.method, seen.target, seen.body) == ("PUT", "/2022-07-01/telemetry?a=1", b'{"x": 1}')
    assert seen.headers["x-thing"] == "one"
    assert not seen.expired()


def test_the_address_is_known_before_anything_is_served() -> None:
    with closing(make()) as server:
        assert server.address == f"127.0.0.1:{server.port}"
        assert ours() == []


def test_an_answer_is_json_with_a_length_and_no_date(server: Server, app: App) -> None:
    app.response = HttpResponse(status=202, body=b"{}", headers=(("Lambda-Extension-Identifier", "i"),), close=True)
    answer = talk(server, PUT)
    assert answer == (
        b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Lambda-Extension-Identifier: i\r\nConnection: close\r\n\r\n{}"
    )


def test_a_status_without_a_name_of_its_own(server: Server, app: App) -> None:
    app.response = HttpResponse(status=599, close=True)
    assert talk(server, PUT).startswith(b"HTTP/1.1 599 \r\n")


def test_a_connection_serves_many_requests(server: Server, app: App) -> None:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=5)) as client:
        for number in range(5):
            client.request("PUT", f"/{number}", b"{}")
            assert client.getresponse().read() == b'"OK"'
        assert connections() == 1
    assert [seen.target for seen in app.requests] == ["/0", "/1", "/2", "/3", "/4"]


def test_pipelined_requests_are_answered_in_order(server: Server, app: App) -> None:
    server.attach(app.handle)
    lines = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(3))
    answer = talk(server, lines + b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.count(b'"OK"') == 4
    assert [seen.target for seen in app.requests] == ["/0", "/1", "/2", "/last"]


def test_head_is_answered_without_a_body(server: Server, app: App) -> None:
    _, headers, body = parse(talk(server, b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    assert (headers["Content-Length"], body) == ("4", b"")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_that_has_no_body_gets_none(server: Server, app: App, status: int) -> None:
    app.response = HttpResponse(status=status, body=b"x", close=True)
    _, headers, body = parse(talk(server, PUT))
    assert (headers, body) == ({"Connection": "close"}, b"")


def test_http_1_0_ends_with_the_answer_unless_asked(server: Server, app: App) -> None:
    assert parse(talk(server, b"GET / HTTP/1.0\r\n\r\n"))[1]["Connection"] == "close"
    kept = talk(server, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n")
    assert kept.count(b"Connection: keep-alive") == 1
    assert kept.count(b'"OK"') == 2


def test_empty_lines_before_a_request_are_passed_over(server: Server, app: App) -> None:
    talk(server, b"\r\n\r\n\nGET /x HTTP/1.0\r\n\r\n")
    assert app.requests[0].target == "/x"
    assert app.malformed == []


def test_none_closes_without_an_answer(server: Server, app: App) -> None:
    app.response = None
    assert talk(server, PUT) == b""


@pytest.mark.parametrize(
    ("sent", "target"),
    [
        ("http://127.0.0.1:9001/a/b?c=d", "/a/b?c=d"),
        ("HTTP://sandbox.localdomain", "/"),
        ("http://h?q", "/?q"),
        ("//twice/slashed", "//twice/slashed"),
        ("/a%20b?x=http://y", "/a%20b?x=http://y"),
        ("*", "*"),
    ],
)
def test_a_target_is_reduced_to_its_path(server: Server, app: App, sent: str, target: str) -> None:
    talk(server, f"PUT {sent} HTTP/1.0\r\n\r\n".encode())
    assert app.requests[0].target == target


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_a_chunked_body_is_decoded(server: Server, app: App) -> None:
    head = b"PUT /t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\n\r\n"
    talk(server, head + b'3;ext="x"\r\n{"a\r\n0B\r\n": "0123456\r\n2\r\n"}\r\n0\r\nTrailer: x\r\n\r\n')
    assert app.requests[0].body == b'{"a": "0123456"}'


def test_expect_100_continue(server: Server, app: App) -> None:
    with dial(server) as sock:
        sock.sendall(PUT.removesuffix(b"\r\n{}") + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"{}")
        assert parse(read_all(sock))[0] == 200
    assert app.requests[0].body == b"{}"


def test_a_body_announced_as_too_large_is_refused_before_it_is_sent(server: Server, app: App) -> None:
    head = f"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {(1 << 20) + 1}\r\nExpect: 100-continue\r\n\r\n"
    with dial(server) as sock:
        sock.sendall(head.encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_at_the_limit_is_taken(server: Server, app: App) -> None:
    assert request(server, body=b"x" * (1 << 20))[0] == 200
    assert len(app.requests[0].body) == 1 << 20


@pytest.mark.parametrize("size", [(1 << 20) + 1, 5 << 20])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_drained_and_refused(server: Server, app: App, size: int, chunked: bool) -> None:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=5)) as client:
        client.request("PUT", "/t", iter([b"x" * size]) if chunked else b"x" * size, encode_chunked=chunked)
        response = client.getresponse()
        assert response.status == 413
        assert json.loads(response.read()) == {"status": 413, "message": "the request body is too large"}
    assert app.requests == []
    assert app.malformed == [("the request body is too large", 413)]


def test_a_body_without_end_is_refused_too(server: Server, app: App) -> None:
    answer = b""
    with dial(server) as sock:
        sock.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        for _ in range(17):
            sock.sendall(b"x" * (1 << 20))
        answer = sock.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413")


def test_blanks_around_the_value_of_a_header_are_not_part_of_it(server: Server, app: App) -> None:
    with dial(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nName: \t ext a \t\r\nConnection: close\r\n\r\n")
        sock.makefile("rb").read()
    assert app.requests[0].headers["name"] == "ext a"


# -- what is no request ------------------------------------------------------------------------------------------------

MALFORMED = {
    "not HTTP": (b"hello there\r\n\r\n", 400),
    "binary": (b"\x00\x01\x02", 400),
    "TLS": (bytes.fromhex("16030100c8010000c40303"), 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "too many words": (b"GET / x HTTP/1.1\r\n\r\n", 400),
    "bad version": (b"GET / HTTX/1.1\r\n\r\n", 400),
    "old version": (b"GET / HTTP/0.9\r\n\r\n", 505),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "a proxy's request": (b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "no path": (b"GET path HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "long target": (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
    "long header": (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: x\r\n" * 101 + b"\r\n", 431),
    "header without colon": (b"GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", 400),
    "header without name": (b"GET / HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n", 400),
    "space before colon": (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\n{}", 400),
    "folded header": (b"GET / HTTP/1.1\r\nHost: x\r\nA: x\r\n y\r\n\r\n", 400),
    "first line folded": (b"GET / HTTP/1.1\r\n A: x\r\nHost: x\r\n\r\n", 400),
    "length in words": (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: two\r\n\r\n{}", 400),
    "negative length": (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n{}", 400),
    "signed length": (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}", 400),
    "huge length": (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n{}", 400),
    "two lengths": (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
    "listed lengths": (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\n{}", 400),
    "both framings": (CHUNKED.replace(b"Host", b"Content-Length: 2\r\nHost") + b"0\r\n\r\n", 400),
    "unknown encoding": (b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "bad chunk size": (CHUNKED + b"zz\r\n", 400),
    "negative chunk": (CHUNKED + b"-1\r\n", 400),
    "chunk overrun": (CHUNKED + b"2\r\n{}}\r\n0\r\n\r\n", 400),
    "endless trailer": (CHUNKED + b"0\r\n" + b"A: b\r\n" * 101, 431),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_request_is_refused_and_reported(server: Server, app: App, case: str) -> None:
    data, expected = MALFORMED[case]
    with dial(server) as sock:
        sock.sendall(data)
        status, headers, body = parse(sock.makefile("rb").read())
    assert status == expected
    assert headers["Content-Type"] == "application/json"
    assert headers["Connection"] == "close"
    answer = json.loads(body)
    assert answer["status"] == expected
    assert app.malformed == [(answer["message"], expected)]
    assert app.requests == []


CUT_SHORT = {
    "request line": b"PUT / HT",
    "header": b"PUT / HTTP/1.1\r\nHost: x\r\n",
    "header line": b"PUT / HTTP/1.1\r\nHost: ",
    "body": b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{}",
    "chunk size": CHUNKED,
    "chunk": CHUNKED + b"5\r\n{}",
    "trailer": CHUNKED + b"0\r\n",
}


@pytest.mark.parametrize("case", CUT_SHORT)
def test_a_request_cut_short_is_refused(server: Server, app: App, case: str) -> None:
    assert parse(talk(server, CUT_SHORT[case], half_close=True))[0] == 400
    assert [status for _, status in app.malformed] == [400]
    assert app.requests == []


@pytest.mark.parametrize("case", CUT_SHORT)
def test_half_a_request_and_then_silence_runs_into_the_deadline(hasty: Server, case: str) -> None:
    app = App()
    hasty.attach(app.handle, app.on_malformed)
    status, _, body = parse(talk(hasty, CUT_SHORT[case]))
    assert status == 408
    assert json.loads(body)["message"] == "the request was not complete 0.05 s after its first byte"
    assert app.requests == []


def test_the_deadline_is_for_the_whole_request_however_it_trickles(hasty: Server) -> None:
    app = App()
    hasty.attach(app.handle, app.on_malformed)
    with dial(hasty) as sock:
        sock.settimeout(0.01)
        answer = b""
        for _ in range(500):
            sock.sendall(b"x")
            try:
                answer = sock.recv(65536)
            except TimeoutError:
                continue
            break
    assert answer.startswith(b"HTTP/1.1 408")


def test_an_idle_connection_may_stay(hasty: Server) -> None:
    app = App()
    hasty.attach(app.handle)
    with dial(hasty) as idle:
        idle.sendall(PUT)
        assert idle.recv(65536)
        talk(hasty, b"PUT / HTTP/1.1\r\nHost: x\r\n")  # takes one deadline
        idle.sendall(PUT)
        assert parse(idle.recv(65536))[0] == 200


def test_silence_or_leaving_before_a_request_is_no_error(server: Server, app: App) -> None:
    assert talk(server, b"", half_close=True) == b""
    assert app.malformed == []


def test_a_client_that_does_not_wait_for_its_answer_is_no_error(server: Server) -> None:
    gate = Gate()
    app = App()
    server.attach(gate.handle, app.on_malformed)
    with dial(server) as sock:
        sock.sendall(PUT)
        assert gate.entered.acquire(timeout=5)
    gate.go.set()
    assert eventually(lambda: connections() == 0)
    assert app.malformed == []


def test_unread_bytes_do_not_cost_the_client_its_answer(server: Server, app: App) -> None:
    app.response = HttpResponse(status=200, body=b"x" * 500_000, close=True)
    _, _, body = parse(talk(server, PUT + PUT + b"y" * 300_000))
    assert len(body) == 500_000
    assert len(app.requests) == 1


# -- handlers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ValueError, SystemExit, pytest.fail.Exception])
def test_what_a_handler_raises_is_answered_and_reported(
    server: Server, kind: type[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    def handler(_: HttpRequest) -> HttpResponse:
        raise kind("broken")

    app = App()
    server.attach(handler, app.on_malformed)
    status, body = request(server)
    message = f"{kind.__name__} in the handler: broken"
    assert app.malformed == [(message, 500)]
    assert (status, json.loads(body)) == (500, {"status": 500, "message": message})
    assert capfd.readouterr() == ("", "")


def test_an_answer_that_cannot_be_written_is_a_failure_of_the_handler(server: Server, app: App) -> None:
    app.response = HttpResponse(status=200, headers=(("X", "☃"),))
    status, headers, _ = parse(talk(server, PUT))
    assert (status, headers["Connection"]) == (500, "close")
    (problem,) = app.malformed
    assert problem[0].startswith("UnicodeEncodeError in the handler: ")


def test_without_a_hook_an_error_is_only_the_answer(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    def handler(_: HttpRequest) -> HttpResponse:
        raise ValueError("broken")

    server.attach(handler)
    assert request(server)[0] == 500
    assert capfd.readouterr() == ("", "")


def test_a_held_request_knows_whether_its_client_is_there(server: Server) -> None:
    gate = Gate()
    server.attach(gate.handle)
    with dial(server) as sock:
        sock.sendall(PUT)
        assert gate.entered.acquire(timeout=5)
        assert gate.requests[0].alive()
        sock.sendall(b"GET")  # a pipelined start is a sign of life
        assert gate.requests[0].alive()
    with dial(server) as sock:
        sock.sendall(PUT)
        assert gate.entered.acquire(timeout=5)
        sock.shutdown(socket.SHUT_WR)
        assert eventually(lambda: not gate.requests[1].alive())
        gate.go.set()
        assert parse(read_all(sock))[0] == 200
    assert eventually(lambda: connections() == 0)
    assert not gate.requests[0].alive()


def test_others_are_served_while_many_hang(server: Server, app: App) -> None:
    gate = Gate()
    with ExitStack() as stack:
        half_open = [stack.enter_context(dial(server)) for _ in range(100)]
        for sock in half_open:
            sock.sendall(b"PUT / HT")
        server.attach(gate.handle)
        polls = [stack.enter_context(dial(server)) for _ in range(50)]
        for sock in polls:
            sock.sendall(PUT)
            assert gate.entered.acquire(timeout=5)
        server.attach(app.handle, app.on_malformed)
        assert request(server)[0] == 200
        assert connections() >= 150
        gate.go.set()
        assert [parse(sock.recv(65536))[0] for sock in polls] == [200] * 50


def test_too_many_connections_are_turned_away() -> None:
    app = App()
    with ExitStack() as stack:
        server = stack.enter_context(closing(make(connections=3)))
        server.attach(app.handle, app.on_malformed)
        served = [stack.enter_context(dial(server)) for _ in range(3)]
        for sock in served:
            sock.sendall(PUT)
            assert parse(sock.recv(65536))[0] == 200
        assert connections() == 3
        for _ in range(100):
            status, _, body = parse(talk(server, PUT))
            assert status == 503
            assert json.loads(body)["message"] == "3 connections are open already; close some"
        assert connections() == 3
        assert len(ours()) == 4
        assert eventually(lambda: app.malformed[99:] == [("3 connections are open already; close some", 503)])
        for sock in served:
            sock.close()
        assert eventually(lambda: connections() == 0)
        assert request(server)[0] == 200


# -- attach and detach -------------------------------------------------------------------------------------------------


def test_without_a_test_requests_are_answered_503(server: Server, app: App) -> None:
    server.detach(app.handle)
    status, headers, body = parse(talk(server, PUT))
    assert (status, headers["Connection"]) == (503, "close")
    assert json.loads(body)["message"] == "nobody answers here now"
    assert app.requests == []


def test_detaching_ends_idle_and_half_read_connections(server: Server, app: App) -> None:
    with dial(server) as idle, dial(server) as half, dial(server) as silent:
        idle.sendall(PUT)
        assert idle.recv(65536)
        half.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Le")
        assert eventually(lambda: connections() == 3)
        server.detach(app.handle)
        assert connections() == 0
        assert [read_all(sock) for sock in (idle, half, silent)] == [b"", b"", b""]
    assert app.malformed == []
    assert ours() == ["http-server"]


def test_a_request_being_answered_is_answered_before_its_connection_ends(server: Server) -> None:
    gate = Gate()
    server.attach(gate.handle)
    with dial(server) as sock:
        sock.sendall(PUT)
        assert gate.entered.acquire(timeout=5)
        detaching = threading.Thread(target=server.detach, args=(gate.handle,))
        detaching.start()
        assert eventually(gate.requests[0].expired)
        assert gate.requests[0].alive()
        gate.go.set()
        status, headers, _ = parse(read_all(sock))
        detaching.join(5)
    assert (status, headers["Connection"]) == (200, "close")
    assert connections() == 0


def test_a_handler_that_does_not_return_is_cut_off(server: Server) -> None:
    gate = Gate()
    server.attach(gate.handle)
    with dial(server) as sock:
        sock.sendall(PUT)
        assert gate.entered.acquire(timeout=5)
        server.detach(gate.handle, timeout=0.01)
        assert read_all(sock) == b""
        assert gate.requests[0].expired()
        gate.go.set()
    server.close()
    assert ours() == []


def test_a_client_that_keeps_its_end_open_does_not_delay_detaching(server: Server, app: App) -> None:
    app.response = HttpResponse(status=200, close=True)
    with dial(server) as sock:
        sock.sendall(PUT + b"GET / HT")  # unread bytes make the connection linger
        assert parse(sock.recv(65536))[0] == 200
        server.detach(app.handle)
        assert connections() == 0


def test_a_handler_may_detach_itself(server: Server) -> None:
    def handler(_: HttpRequest) -> HttpResponse:
        server.detach(handler)
        return OK

    server.attach(handler)
    assert parse(talk(server, PUT))[0] == 200


def test_detaching_what_is_not_attached_is_no_error(server: Server, app: App) -> None:
    server.detach(App().handle)
    server.detach(app.handle)
    server.detach(app.handle)


def test_a_connection_stays_with_the_handler_it_was_accepted_for(server: Server, app: App) -> None:
    inner = App(HttpResponse(status=201))
    with dial(server) as first:
        first.sendall(PUT)
        assert parse(first.recv(65536))[0] == 200
        server.attach(inner.handle)
        assert request(server)[0] == 201
        first.sendall(PUT)
        assert parse(first.recv(65536))[0] == 200
        server.detach(inner.handle)
        assert request(server)[0] == 503
        server.attach(app.handle, app.on_malformed)
        assert request(server)[0] == 200
        server.detach(app.handle)
        assert read_all(first) == b""


def test_clients_move_on_to_the_handler_in_anothers_place(server: Server, app: App) -> None:
    gate, inner = Gate(), App(HttpResponse(status=201))
    server.attach(gate.handle)
    with dial(server) as idle, dial(server) as busy, dial(server) as half:
        busy.sendall(PUT)
        assert gate.entered.acquire(timeout=5)
        half.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Le")
        assert eventually(lambda: connections() == 3)
        server.attach(inner.handle)
        server.move_on(gate.handle)
        assert read_all(idle) == read_all(half) == b""
        assert request(server)[0] == 201
        assert not gate.requests[0].expired()
        gate.go.set()
        status, headers, _ = parse(read_all(busy))
        assert (status, headers["Connection"]) == (200, "close")
    server.move_on(App().handle)  # which is not attached: no error


def test_connections_opened_between_two_tests_end_with_the_next_attach(server: Server, app: App) -> None:
    server.detach(app.handle)
    with dial(server) as between:
        assert eventually(lambda: connections() == 1)
        server.attach(app.handle)
        assert read_all(between) == b""


def test_connections_wait_for_the_first_attach(server: Server) -> None:
    with dial(server) as early:
        early.sendall(PUT)
        server.attach(App().handle)
        assert parse(early.recv(65536))[0] == 200


# -- closing, ports ----------------------------------------------------------------------------------------------------


def test_closing_ends_everything_and_may_be_repeated() -> None:
    server = make()
    app = App()
    server.attach(app.handle)
    with dial(server) as idle:
        idle.sendall(PUT)
        assert idle.recv(65536)
        server.close()
        server.close()
        assert read_all(idle) == b""
        assert ours() == []
        assert connections() == 0
    with pytest.raises(ConnectionRefusedError):
        dial(server)
    with pytest.raises(MisuseError, match=r"^the server on 127\.0\.0\.1:\d+ is closed"):
        server.attach(app.handle)


def test_a_port_can_be_used_again_at_once() -> None:
    with closing(make()) as first:
        first.attach(App().handle)
        request(first)
    with closing(make(first.port)) as second:
        assert second.port == first.port


def test_a_port_in_use_is_named() -> None:
    with closing(make()) as server:
        with pytest.raises(MisuseError, match=rf"^the server cannot listen on 127\.0\.0\.1:{server.port}: "):
            Server(server.port)


def test_a_port_that_cannot_be() -> None:
    with pytest.raises(MisuseError, match=r"127\.0\.0\.1:70000: .*0-65535"):
        Server(70000)


# -- whatever a test does to the process -------------------------------------------------------------------------------


def test_serving_needs_neither_the_socket_name_nor_a_default_timeout(
    server: Server, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forbidden(socket.socket):
        def __new__(cls, *args: object, **kwargs: object) -> "Forbidden":
            raise RuntimeError("sockets are disabled in this test")

    genuine = socket.socket
    monkeypatch.setattr(socket, "socket", Forbidden)
    with genuine() as sock:
        sock.settimeout(5)
        genuine.connect(sock, ("127.0.0.1", server.port))
        sock.sendall(PUT)
        assert parse(sock.recv(65536))[0] == 200


def test_a_default_timeout_changes_nothing() -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(0.001)
    try:
        with closing(make()) as server:
            gate = Gate()
            server.attach(gate.handle)
            with dial(server) as sock:
                sock.sendall(PUT)
                assert gate.entered.acquire(timeout=5)
                threading.Event().wait(0.01)
                gate.go.set()
                assert parse(sock.recv(65536))[0] == 200
                sock.sendall(PUT)
                assert parse(sock.recv(65536))[0] == 200
    finally:
        socket.setdefaulttimeout(before)


def test_deadlines_are_real_though_the_clock_stands_still(hasty: Server) -> None:
    app = App()
    hasty.attach(app.handle, app.on_malformed)
    with freeze_time("2025-01-29"):
        assert request(hasty)[0] == 200
        assert parse(talk(hasty, b"PUT / HT"))[0] == 408
        hasty.detach(app.handle)


def test_an_error_of_who_is_told_closes_the_connection(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    def on_malformed(_: Malformed) -> None:
        raise ValueError("broken")

    server.attach(App().handle, on_malformed)
    assert talk(server, b"\0") == b""
    assert eventually(lambda: connections() == 0)
    assert capfd.readouterr() == ("", "")


def test_closing_wakes_the_server_though_connect_is_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    server = make()
    server.attach(App().handle)

    def refuse(*_: object) -> None:
        raise RuntimeError("connections are not allowed in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    server.close()
    assert ours() == []
