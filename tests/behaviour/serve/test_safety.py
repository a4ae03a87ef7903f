"""Who may control the server, and what anybody may send to it."""

import json
import socket
from collections.abc import Mapping

import pytest

from tests.support.server import JSON, TIMEOUT, Client, Running, serving

FORBIDDEN = [
    {"Host": "example.com"},
    {"Host": "localhost.example.com:80"},
    {"Host": "127.0.0.1.example.com"},
    {"Host": "0.0.0.0"},
    {"Host": "192.168.0.1:80"},
    {"Host": ""},
    {"Origin": "http://example.com"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {"Origin": "https://127.0.0.1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FORBIDDEN, ids=str)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_in_a_browser_cannot_call(client: Client, method: str, headers: Mapping[str, str]) -> None:
    path = "/v1/now" if method == "GET" else "/v1/end_init"
    client.request(method, path, headers={**JSON, **headers}).refused(403, "forbidden")
    client.do("register")  # init is not over


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:80", "[::1]:80"])
def test_the_loopback_has_many_names(client: Client, host: str) -> None:
    assert client.request("GET", "/v1/now", headers={"Host": host}).status == 200


def test_its_own_pages_are_no_strangers(server: Running, client: Client) -> None:
    for host in ("127.0.0.1", "localhost"):
        own = {"Origin": f"http://{host}:{server.control.partition(':')[2]}", "Sec-Fetch-Site": "same-origin"}
        assert client.request("GET", "/v1/now", headers=own).status == 200


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "json", ""]
)
def test_a_body_must_say_that_it_is_json(client: Client, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    for body in (b"{}", None):
        message = client.request("POST", "/v1/end_init", body, headers).refused(415, "media-type")
        assert message.endswith("; send `Content-Type: application/json`")
    client.do("register")


@pytest.mark.parametrize("kind", ["application/json", "APPLICATION/JSON", 'application/json;charset="UTF-8"'])
def test_json_has_many_spellings(client: Client, kind: str) -> None:
    assert client.request("POST", "/v1/freeze", b"", {"Content-Type": kind}).status == 200


def test_a_body_has_a_bound(client: Client) -> None:
    body = b'{"events": "' + b"x" * (16 << 20) + b'"}'
    message = client.request("POST", "/v1/emit", body).refused(413, "too-large")
    assert message == "the request body is larger than 16,777,216 bytes; send it in several calls"
    assert client.post("emit", events="x" * (15 << 20)).status == 400


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello?\r\n\r\n", 400),
        (b"GET /v1/now HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1/now HTTP/1.0\r\n\r\n", 403),
        (b"GET /v1/now HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
        (b"CONNECT example.com:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"POST /v1/emit HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{", 400),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET /v1/%ff%00/..//now HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    ],
)
def test_what_is_no_call_is_refused_as_json(server: Running, sent: bytes, status: int) -> None:
    host, port = server.control.split(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        head, _, body = b"".join(iter(lambda: sock.recv(65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert json.loads(body).keys() == {"error", "message"}


def test_without_the_token_nothing_is_answered() -> None:
    with serving("--token", "s3cret") as server:
        assert server.told["token"] == "s3cret"
        for authorization in ("", "Bearer", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "s3cret", "Bearer \xff"):
            with server.client({"Authorization": authorization}) as client:
                for answer in (
                    client.get("now"),
                    client.get("nothing"),
                    client.post("reset"),
                    client.get("openapi.json"),
                ):
                    assert answer.refused(401, "unauthorized").startswith("this server wants its token")
                    assert answer.headers["www-authenticate"] == "Bearer"
        for authorization in ("Bearer s3cret", "bearer  s3cret"):
            with server.client({"Authorization": authorization}) as client:
                assert client.do("freeze") is None
        assert server.end() == (0, "", "")


def test_the_page_runs_nothing_and_is_in_no_frame(client: Client) -> None:
    answer = client.get("timeline")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    client.do("register", name="<script>")
    page = client.request("GET", "/v1/timeline", headers={"Accept": "text/html,*/*"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert b"&lt;script&gt;" in page.raw
    assert b"<script>" not in page.raw
    assert b'<meta http-equiv="refresh" content="1">' in page.raw
