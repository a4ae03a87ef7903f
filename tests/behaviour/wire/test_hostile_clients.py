"""Requests that two readers could understand differently bring nothing in; what real clients send stays welcome."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from pytest_lambda_telemetry.wire.exchange import HttpRequest, HttpResponse, Limits, Malformed
from pytest_lambda_telemetry.wire.server import Server

SECOND = b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n"
LINE = b"POST / HTTP/1.1\r\n"
HEAD = LINE + b"Host: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class App:
    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.refused: list[Malformed] = []

    def handle(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return HttpResponse(status=200)


@pytest.fixture
def server() -> Iterator[Server]:
    with closing(Server(limits=Limits(body_bytes=1 << 20))) as server:
        yield server


@pytest.fixture
def app(server: Server) -> App:
    app = App()
    server.attach(app.handle, app.refused.append)
    return app


def talk(server: Server, data: bytes, *, half_close: bool = False) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(data)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


ODD_BLANKS = {
    f"{blank!r} {where} {what}": prefix + (blank + value if where == "before" else value + blank) + suffix
    for blank in (b"\x0b", b"\x0c", b"\xa0", b"\x85", b"\x1c", b"\x1f", b"\x00", b"\r", b"\x7f")
    for what, prefix, value, suffix in (
        ("chunked", HEAD + b"Transfer-Encoding: ", b"chunked", b"\r\n\r\n" + END),
        ("a length", HEAD + b"Content-Length: ", b"2", b"\r\n\r\n{}"),
        ("a chunk's size", CHUNKED, b"2", b"\r\n{}\r\n" + END),
    )
    for where in ("before", "after")
}

REFUSED = {
    **ODD_BLANKS,
    # fields
    "a bare CR in a value": HEAD + b"A: b\rTransfer-Encoding: chunked\r\n\r\n",
    "a bare CR before the line end": HEAD + b"A: b\r\r\n\r\n",
    "a bare CR for a line end": LINE + b"Host: x\rA: b\r\n\r\n",
    "a bare CR for the end of the header": HEAD + b"\r\r\n",
    "a bare CR before the request line": b"\r" + HEAD + b"\r\n",
    "NUL in a value": HEAD + b"A: b\0c\r\n\r\n",
    "NUL in a name": HEAD + b"A\0: b\r\n\r\n",
    "NUL in the target": b"GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n",
    "two Host lines": HEAD + b"Host: x\r\n\r\n",
    "two different Host lines": HEAD + b"hOST: y\r\n\r\n",
    "two Host lines in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n",
    "no Host line": LINE + b"\r\n",
    "no Host line with a whole URI": b"GET http://x/ HTTP/1.1\r\n\r\n",
    "an empty name": HEAD + b": b\r\n\r\n",
    "a blank after a name": HEAD + b"Content-Length : 2\r\n\r\n{}",
    "a tab after a name": HEAD + b"Transfer-Encoding\t: chunked\r\n\r\n" + END,
    "a blank before the first name": LINE + b" Host: x\r\n\r\n",
    "a folded value": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + END,
    "a Latin-1 letter in a name": HEAD + b"\xe9: b\r\n\r\n",
    **{
        f"{chr(mark)!r} in a name": HEAD + b"Content" + bytes([mark]) + b"Length: 2\r\n\r\n{}"
        for mark in b'"(),/;<=>?@[\\]{} '
    },
    # request lines
    "two blanks": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab for a blank": b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a form feed for a blank": b"GET\x0c/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a blank after the version": b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
    "a blank in the target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a separator in the method": b"GE(T / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a lower-case version": b"GET / http/1.1\r\nHost: x\r\n\r\n",
    "a long version": b"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
    # which framing?
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "chunks in a kept HTTP/1.0": (
        b"POST / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + END
    ),
    "a length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "chunks and a length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + END,
    "chunks twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "chunks in a list": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + END,
    "chunks after nothing": HEAD + b"Transfer-Encoding: , chunked\r\n\r\n" + END,
    "chunks, in quotes": HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n' + END,
    "chunks, with a parameter": HEAD + b"Transfer-Encoding: chunked;a=b\r\n\r\n" + END,
    "identity": HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
    "an empty encoding": HEAD + b"Transfer-Encoding:\r\n\r\n" + END,
    "an empty length": HEAD + b"Content-Length:\r\n\r\n",
    "a hexadecimal length": HEAD + b"Content-Length: 0x2\r\n\r\n{}",
    "a length with an underscore": HEAD + b"Content-Length: 1_0\r\n\r\n0123456789",
    "a fraction": HEAD + b"Content-Length: 2.0\r\n\r\n{}",
    # chunks
    "a blank after a size": CHUNKED + b"2 \r\n{}\r\n" + END,
    "a blank before a size": CHUNKED + b" 2\r\n{}\r\n" + END,
    "a tab after a size": CHUNKED + b"2\t\r\n{}\r\n" + END,
    "a blank before an extension": CHUNKED + b"2 ;a=b\r\n{}\r\n" + END,
    "a blank after the last size": CHUNKED + b"0 \r\n\r\n",
    "a size with a sign": CHUNKED + b"+2\r\n{}\r\n" + END,
    "a negative size": CHUNKED + b"-1\r\n{}\r\n" + END,
    "a size with 0x": CHUNKED + b"0x2\r\n{}\r\n" + END,
    "a size with an underscore": CHUNKED + b"0_2\r\n{}\r\n" + END,
    "no size": CHUNKED + b"\r\n{}\r\n" + END,
    "an endless size": CHUNKED + b"0" * 17 + b"2\r\n{}\r\n" + END,
    "an extension without a size": CHUNKED + b";a=b\r\n{}\r\n" + END,
    "a bare CR in an extension": CHUNKED + b"2;a\r=b\r\n{}\r\n" + END,
    "NUL in an extension": CHUNKED + b"2;a=\0\r\n{}\r\n" + END,
    "LF after a size": CHUNKED + b"2\n{}\r\n" + END,
    "LF after an extension": CHUNKED + b"2;a=b\n{}\r\n" + END,
    "LF after a chunk": CHUNKED + b"2\r\n{}\n" + END,
    "CR after a chunk": CHUNKED + b"2\r\n{}\r" + END,
    "nothing after a chunk": CHUNKED + b"2\r\n{}" + END,
    "LF after the last size": CHUNKED + b"2\r\n{}\r\n0\n\r\n",
    "LF for the end": CHUNKED + b"2\r\n{}\r\n0\r\n\n",
    "a trailer without colon": CHUNKED + b"0\r\ntrailer\r\n\r\n",
    "a trailer without name": CHUNKED + b"0\r\n: x\r\n\r\n",
    "a trailer that ends with LF": CHUNKED + b"0\r\nA: b\n\r\n",
    "a folded trailer": CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n",
    "a bare CR in a trailer": CHUNKED + b"0\r\nA: b\rc\r\n\r\n",
    "a separator in a trailer's name": CHUNKED + b"0\r\nA b: c\r\n\r\n",
    "extensions without end": CHUNKED + b"".join(b"1;" + b"x" * 1000 + b"\r\nx\r\n" for _ in range(50)) + END,
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_and_nothing_after_it_is_executed(server: Server, app: App, case: str) -> None:
    answer = talk(server, REFUSED[case] + SECOND)
    assert app.requests == []
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert [(problem.status, f"{problem.reason}\n".encode()) for problem in app.refused] == [
        (400, answer.partition(b"\r\n\r\n")[2])
    ]


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_however_it_is_cut_into_segments(server: Server, app: App, case: str) -> None:
    data = (REFUSED[case] if len(REFUSED[case]) < 500 else REFUSED["a blank after a size"]) + SECOND
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(len(data)):
            sock.sendall(data[start : start + 1])
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert app.requests == []


BODY = b'{"logs": ["a"]}'
SIZE = b"%x" % len(BODY)
CHUNKS = SIZE + b"\r\n" + BODY + b"\r\n" + END
JSON = b"Content-Type: application/json\r\n"

WELCOME = {
    "curl": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n"
        + JSON
        + b"Content-Length: 15\r\n\r\n"
        + BODY
    ),
    "curl, chunked": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
        b"Transfer-Encoding: chunked\r\n" + JSON + b"\r\n" + CHUNKS
    ),
    "curl, offering HTTP/2": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nContent-Length: 15\r\n\r\n" + BODY
    ),
    "Node http": (
        b"POST /t?x=1 HTTP/1.1\r\nContent-Type: application/json\r\nHost: sandbox.localdomain:9001\r\n"
        b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS
    ),
    "Node http, with a trailer": (
        b"POST /t?x=1 HTTP/1.1\r\nTrailer: Checksum\r\nHost: x\r\nConnection: keep-alive\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS[:-2] + b"Checksum: 7895bf4b8828b55ceaf47747b4bca667\r\n\r\n"
    ),
    "Node undici": (
        b"POST /t?x=1 HTTP/1.1\r\nhost: 127.0.0.1:9001\r\nconnection: keep-alive\r\ncontent-type: application/json\r\n"
        b"accept: */*\r\naccept-language: *\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\n"
        b"accept-encoding: gzip, deflate\r\ncontent-length: 15\r\n\r\n" + BODY
    ),
    "Go net/http": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 15\r\n"
        + JSON
        + b"Accept-Encoding: gzip\r\n\r\n"
        + BODY
    ),
    "Go net/http, chunked": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: x\r\nUser-Agent: Go-http-client/1.1\r\nTransfer-Encoding: chunked\r\n"
        b"Trailer: X-Sum\r\nAccept-Encoding: gzip\r\n\r\n" + CHUNKS[:-2] + b"X-Sum: \r\n\r\n"
    ),
    "Rust hyper": (
        b"POST /t?x=1 HTTP/1.1\r\ncontent-type: application/json\r\naccept: */*\r\nhost: 127.0.0.1:9001\r\n"
        b"content-length: 15\r\n\r\n" + BODY
    ),
    "Rust hyper, chunked": (
        b"POST /t?x=1 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        + SIZE.upper()
        + b"\r\n"
        + BODY
        + b"\r\n0\r\n\r\n"
    ),
    "Rust ureq": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: x\r\nUser-Agent: ureq/2.9.1\r\nAccept: */*\r\nContent-Length: 15\r\n\r\n" + BODY
    ),
    "Python http.client": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nAccept-Encoding: identity\r\nContent-Length: 15\r\n\r\n"
        + BODY
    ),
    "Python urllib": (
        b"POST /t?x=1 HTTP/1.1\r\nAccept-Encoding: identity\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 15\r\nHost: 127.0.0.1:9001\r\n"
        b"User-Agent: Python-urllib/3.11\r\nConnection: close\r\n\r\n" + BODY
    ),
    "Python requests": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: x\r\nUser-Agent: python-requests/2.32.3\r\nAccept-Encoding: gzip, deflate\r\n"
        b"Accept: */*\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS
    ),
    "Java HttpClient": (
        b"POST /t?x=1 HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 15\r\nHost: localhost:9001\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n"
        b"User-Agent: Java-http-client/21.0.2\r\n\r\n" + BODY
    ),
    "the AWS SDK, signed chunks": (
        b"PUT /t?x=1 HTTP/1.1\r\nHost: x\r\nContent-Encoding: aws-chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
        + SIZE
        + b";chunk-signature="
        + b"a" * 64
        + b"\r\n"
        + BODY
        + b"\r\n0;chunk-signature="
        + b"b" * 64
        + b"\r\nx-amz-checksum-crc32: sOO8/Q==\r\nx-amz-trailer-signature: c\r\n\r\n"
    ),
    "no blanks around values": b"POST /t?x=1 HTTP/1.1\r\nHost:x\r\nContent-Length:15\r\n\r\n" + BODY,
    "blanks and tabs around values": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: \t x \t\r\nContent-Length: \t15 \t \r\nA:\r\nB: a\tb \r\n\r\n" + BODY
    ),
    "blanks and tabs around chunked": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \t Chunked \t \r\n\r\n" + CHUNKS
    ),
    "odd but honest chunks": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: x\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n"
        + b"".join(b'0001;a;b=c;d="e;f \t"\r\n%c\r\n' % byte for byte in BODY)
        + b"000\r\nA:b\r\nC: \xc3\xa9\r\n\r\n"
    ),
    "empty lines before": b"\r\n\n\r\nPOST /t?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n" + BODY,
    "LF line ends": b"POST /t?x=1 HTTP/1.1\nHost: x\nContent-Length: 15\n\n" + BODY,
    "an empty Host": b"POST /t?x=1 HTTP/1.1\r\nHost:\r\nContent-Length: 15\r\n\r\n" + BODY,
    "a whole URI": b"POST http://x:9001/t?x=1 HTTP/1.1\r\nHost: x:9001\r\nContent-Length: 15\r\n\r\n" + BODY,
    "HTTP/1.0, no Host": b"POST /t?x=1 HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 15\r\n\r\n" + BODY,
    "UTF-8 in a value": ("POST /t?x=1 HTTP/1.1\r\nHost: x\r\nName: é—…à\r\nContent-Length: 15\r\n\r\n".encode() + BODY),
    "every mark a name may have": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: x\r\n!#$%&'*+-.^_`|~9aZ: b\r\nContent-Length: 15\r\n\r\n" + BODY
    ),
    "many names": (
        b"POST /t?x=1 HTTP/1.1\r\nHost: x\r\n" + b"Cookie: a=b\r\n" * 98 + b"Content-Length: 15\r\n\r\n" + BODY
    ),
}


@pytest.mark.parametrize("case", WELCOME)
def test_what_real_clients_send_is_executed_and_what_follows_too(server: Server, app: App, case: str) -> None:
    answer = talk(server, WELCOME[case] + SECOND, half_close=True)
    assert app.refused == []
    first, *others = app.requests
    assert first.target == "/t?x=1"
    assert json.loads(first.body) == {"logs": ["a"]}
    assert [request.target for request in others] == ([] if b"Connection: close" in WELCOME[case] else ["/second"])
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == len(app.requests)


def test_a_body_of_many_small_chunks_is_taken(server: Server, app: App) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in b"x" * 20_000)
    talk(server, CHUNKED + chunks + END, half_close=True)
    assert app.requests[0].body == b"x" * 20_000


@pytest.mark.parametrize("header", [("X", "a\r\nB: c"), ("X: y", "z"), ("X", "\0"), ("", "x"), ("X\r\n", "y")])
def test_an_answer_cannot_be_split_either(server: Server, app: App, header: tuple[str, str]) -> None:
    def handler(_: HttpRequest) -> HttpResponse:
        return HttpResponse(status=200, headers=(header,))

    server.attach(handler, app.refused.append)
    assert talk(server, HEAD + b"\r\n").startswith(b"HTTP/1.1 500 ")
    (problem,) = app.refused
    assert problem.reason.startswith("ValueError in the handler: ")
