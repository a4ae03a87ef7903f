"""The same server for services other than Lambda's: any method, path, body and answer; clients of real programs."""

import asyncio
import http.client
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing

import aiohttp
import httpx
import pytest
import requests

from pytest_lambda_telemetry.model.errors import MisuseError
from pytest_lambda_telemetry.wire.exchange import HttpRequest, HttpResponse, Limits, Wording
from pytest_lambda_telemetry.wire.server import Server

LARGE = 64 << 20


class Intake:
    """Takes anything."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.response = HttpResponse(status=200)

    def handle(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return self.response

    @property
    def lines(self) -> list[str]:
        return [f"{request.method} {request.target}" for request in self.requests]


@pytest.fixture
def server() -> Iterator[Server]:
    with closing(Server(limits=Limits(body_bytes=LARGE, request_s=20.0))) as server:
        yield server


@pytest.fixture
def intake(server: Server) -> Intake:
    intake = Intake()
    server.attach(intake.handle)
    return intake


def talk(server: Server, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


# -- requests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "M-SEARCH", "PROPFIND", "x"])
@pytest.mark.parametrize("path", ["/", "/api/v2/logs?ddsource=lambda&x=%20", "/~a/b;c=d/ü", "*"])
def test_any_method_and_path(server: Server, intake: Intake, method: str, path: str) -> None:
    talk(server, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi".encode("latin-1"))
    assert intake.lines == [f"{method} {path}"]
    assert intake.requests[0].body == b"hi"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [LARGE, LARGE + 1])
def test_bodies_up_to_the_limit(server: Server, intake: Intake, size: int, chunked: bool) -> None:
    body = bytes(size)
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as client:
        client.request("POST", "/", iter([body[: size // 2], body[size // 2 :]]) if chunked else body)
        response = client.getresponse()
        answer = response.read()
    if size > LARGE:
        assert (response.status, answer, intake.requests) == (413, b"the request body is too large\n", [])
    else:
        assert (response.status, answer) == (200, b"")
        assert intake.requests[0].body == body


@pytest.mark.parametrize("chunked", [False, True])
def test_expect_100_continue_is_answered_before_the_body(server: Server, intake: Intake, chunked: bool) -> None:
    framing, body = (
        (b"Transfer-Encoding: chunked", b"2\r\nhi\r\n0\r\n\r\n") if chunked else (b"Content-Length: 2", b"hi")
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n" + framing + b"\r\n\r\n")
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    assert intake.requests[0].body == b"hi"


def test_requests_of_every_framing_may_follow_one_another_on_a_connection(server: Server, intake: Intake) -> None:
    stream = (
        b"POST /counted HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
        b"POST /chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n"
        b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n"
        b"POST /old HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nfour"
        b"POST /last HTTP/1.0\r\nContent-Length: 4\r\n\r\nfive"
        b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    answers = talk(server, stream)
    assert intake.lines == ["POST /counted", "POST /chunked", "GET /none", "POST /old", "POST /last"]
    assert [request.body for request in intake.requests] == [b"one", b"two", b"", b"four", b"five"]
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 5


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/x-ndjson", "application/json"])
def test_an_answer_of_another_type(server: Server, intake: Intake, content_type: str) -> None:
    intake.response = HttpResponse(status=200, body=b"hi", content_type=content_type, close=True)
    assert talk(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == (
        f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi".encode()
    )


def test_an_answer_without_a_type_and_with_headers(server: Server, intake: Intake) -> None:
    fields = (("Retry-After", "3"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))
    intake.response = HttpResponse(status=503, body=bytes(range(256)), content_type=None, headers=fields, close=True)
    assert talk(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 256\r\nRetry-After: 3\r\nSet-Cookie: a=1\r\n"
        b"Set-Cookie: b=2\r\nConnection: close\r\n\r\n" + bytes(range(256))
    )


def test_a_large_answer(server: Server, intake: Intake) -> None:
    intake.response = HttpResponse(status=200, body=bytes(LARGE), content_type="application/octet-stream")
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as client:
        for _ in range(2):
            client.request("GET", "/")
            assert len(client.getresponse().read()) == LARGE


# -- what it says of itself --------------------------------------------------------------------------------------------


def test_a_refusal_is_plain_text_unless_the_owner_has_another_form(server: Server, intake: Intake) -> None:
    head, _, body = talk(server, b"\0").partition(b"\r\n\r\n")
    assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in head
    assert body == b"not an HTTP request: it begins with b'\\x00'\n"


def test_a_server_speaks_in_its_owners_name() -> None:
    wording = Wording(
        listener="the intake",
        service="an intake",
        handler="the intake's handler",
        unattached="the intake is closed",
        too_large="more than a byte",
        threads="intake",
    )
    told: list[str] = []

    def handler(_: HttpRequest) -> HttpResponse:
        raise ValueError("broken")

    with closing(Server(limits=Limits(body_bytes=1), wording=wording)) as server:
        server.attach(handler, lambda problem: told.append(problem.reason))
        for data in (
            b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        ):
            assert talk(server, data).endswith(f"{told[-1]}\n".encode())
        server.detach(handler)
        assert talk(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"the intake is closed\n")
        with pytest.raises(MisuseError, match=r"^the intake cannot listen on "):
            Server(server.port, wording=wording)
    assert told == [
        "CONNECT a:1: this is an intake, not a proxy",
        "more than a byte",
        "ValueError in the intake's handler: broken",
    ]


# -- clients of real programs ------------------------------------------------------------------------------------------

BODY = b'{"logs": [1, 2, 3]}' * 1000


def pieces() -> Iterator[bytes]:
    for start in range(0, len(BODY), 1000):
        yield BODY[start : start + 1000]


def with_http_client(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as client:
        client.request("POST", "/counted", BODY, {"Content-Type": "application/json"})
        assert client.getresponse().read() == b""
        client.request("POST", "/chunked", pieces(), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        assert client.getresponse().read() == b""


def with_requests(url: str) -> None:
    with requests.Session() as session:
        assert session.post(f"{url}/counted", BODY).status_code == 200
        assert session.post(f"{url}/chunked", pieces()).status_code == 200


def with_httpx(url: str) -> None:
    with httpx.Client() as client:
        assert client.post(f"{url}/counted", content=BODY).status_code == 200
        assert client.post(f"{url}/chunked", content=pieces()).status_code == 200


def with_aiohttp(url: str) -> None:
    async def post() -> None:
        async def trickle() -> object:
            for piece in pieces():
                yield piece

        async with aiohttp.ClientSession() as session:
            assert (await session.post(f"{url}/counted", data=BODY, expect100=True)).status == 200
            assert (await session.post(f"{url}/chunked", data=trickle(), expect100=True)).status == 200

    asyncio.run(post())


def with_curl(url: str) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    common = [curl, "--silent", "--show-error", "--fail", "--noproxy", "*", "--data-binary", "@-"]
    options = ([f"{url}/counted", "-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked", f"{url}/chunked"])
    for more in options:
        subprocess.run([*common, *more], input=BODY, check=True, timeout=20)


NODE = """
const http = require('http');
const [url, body] = [process.argv[1], require('fs').readFileSync(0)];
const post = (path, headers, send) => new Promise((done, failed) => {
  const request = http.request(url + path, {method: 'POST', headers}, answer => answer.resume().on('end', done));
  request.on('error', failed);
  send(request);
});
const whole = request => request.end(body);
const parts = request => { request.write(body.subarray(0, 999)); request.write(body.subarray(999)); request.end(); };
(async () => {
  await post('/counted', {'Content-Length': body.length}, whole);
  await post('/chunked', {Trailer: 'x'}, request => { request.addTrailers({x: 'y'}); parts(request); });
  if (globalThis.fetch) {
    await fetch(url + '/counted', {method: 'POST', body});
    const stream = new ReadableStream({start(out) { out.enqueue(new Uint8Array(body)); out.close(); }});
    await fetch(url + '/chunked', {method: 'POST', body: stream, duplex: 'half'});
  }
})();
"""


def with_node(url: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    subprocess.run([node, "-e", NODE, url], input=BODY, check=True, timeout=20)


@pytest.mark.parametrize(
    "client",
    [with_http_client, with_requests, with_httpx, with_aiohttp, with_curl, with_node],
    ids=lambda client: client.__name__.removeprefix("with_"),
)
def test_what_real_clients_send_arrives_whole(
    server: Server, intake: Intake, client: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client(f"http://{server.address}")
    assert intake.lines[:2] == ["POST /counted", "POST /chunked"]
    assert {request.body for request in intake.requests} == {BODY}
