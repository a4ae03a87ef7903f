"""Real clients, in this process and in children, plain and over TLS."""

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import urllib3

from pytest_lambda_telemetry import Backend, LambdaTelemetry, MisuseError
from pytest_lambda_telemetry.backend import certificates
from tests.support.clients import TIMEOUT, ask
from tests.support.programs import program

RECORD = {"message": "hello"}
BODY = json.dumps(RECORD).encode()
VARIABLES = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE")


def tell(call: Callable[..., int], backend: Backend) -> None:
    """Let a client send twice; both arrive whole."""
    assert call(f"{backend.url}/v1/logs?a=b") == 200
    assert call(f"{backend.url}/v1/logs?a=b") == 200
    assert [(one.path, one.query, one.json) for one in backend.requests] == [("/v1/logs", "a=b", RECORD)] * 2


def by_urllib(url: str) -> int:
    with urllib.request.urlopen(url, BODY, timeout=TIMEOUT) as answer:
        return int(answer.status)


def by_urllib3(url: str) -> int:
    with urllib3.PoolManager(ca_certs=os.environ.get("SSL_CERT_FILE")) as pool:
        return pool.request("POST", url, body=BODY, timeout=TIMEOUT).status


def by_requests(url: str) -> int:
    return requests.post(url, BODY, timeout=TIMEOUT).status_code


def by_requests_in_chunks(url: str) -> int:
    return requests.post(url, iter([BODY[:5], BODY[5:]]), timeout=TIMEOUT).status_code


def by_httpx(url: str) -> int:
    with httpx.Client() as client:
        return client.post(url, content=BODY, timeout=TIMEOUT).status_code


SYNC = [by_urllib, by_urllib3, by_requests, by_requests_in_chunks, by_httpx]


@pytest.fixture
def secure(lambda_telemetry: LambdaTelemetry) -> Backend:
    pytest.importorskip("trustme", reason="tls=True needs trustme")
    return lambda_telemetry.backend("secure", tls=True)


@pytest.mark.parametrize("call", SYNC)
def test_clients_in_this_process(call: Callable[..., int], backend: Backend) -> None:
    tell(call, backend)


@pytest.mark.parametrize("call", SYNC)
def test_clients_in_this_process_over_tls(call: Callable[..., int], secure: Backend) -> None:
    assert secure.url.startswith("https://127.0.0.1:")
    tell(call, secure)


@pytest.mark.asyncio
@pytest.mark.parametrize("tls", [False, True])
async def test_a_client_on_the_running_loop(tls: bool, lambda_telemetry: LambdaTelemetry) -> None:
    if tls:
        pytest.importorskip("trustme", reason="tls=True needs trustme")
    backend = lambda_telemetry.backend(tls=tls)
    trust: Any = ssl.create_default_context(cafile=backend.ca_file) if tls else True
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.post(f"{backend.url}/v1/logs", json=RECORD, ssl=trust) as answer:
                assert answer.status == 200
    assert [one.json for one in backend.requests] == [RECORD] * 2
    lambda_telemetry.freeze()
    lambda_telemetry.thaw()


SEND = """
import os, urllib.request
for _ in range(2):
    urllib.request.urlopen(os.environ["BACKEND"] + "/v1/logs?a=b", b'{"message": "hello"}').read()
say("sent")
"""
CURL = 'for _ in 1 2; do "$CURL" -sSf --data-binary \'{"message": "hello"}\' "$BACKEND/v1/logs?a=b" || exit 1; done\n'
NODE = """
const {request} = require(process.env.BACKEND.split(":")[0]);
const agent = new (require(process.env.BACKEND.split(":")[0]).Agent)({keepAlive: true});
function send(left) {
  if (!left) return agent.destroy();
  const call = request(process.env.BACKEND + "/v1/logs?a=b", {method: "POST", agent}, (answer) => {
    answer.resume().on("end", () => send(left - 1));
  });
  call.write('{"message": ');
  call.end('"hello"}');
}
send(2);
"""


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("language", ["python", "curl", "node"])
def test_children(language: str, tls: bool, lambda_telemetry: LambdaTelemetry, tmp_path: Path) -> None:
    if tls:
        pytest.importorskip("trustme", reason="tls=True needs trustme")
    tool = sys.executable if language == "python" else shutil.which(language)
    if tool is None:
        pytest.skip(f"this machine has no {language}")
    backend = lambda_telemetry.backend(tls=tls)
    env = {"BACKEND": backend.url, "CURL": tool}
    if language == "python":
        argv = program(tmp_path, SEND)
    elif language == "curl":
        argv = ["/bin/sh", str(tmp_path / "send.sh")]
        (tmp_path / "send.sh").write_text(CURL)
    else:
        argv = [tool, str(tmp_path / "send.js")]
        (tmp_path / "send.js").write_text(NODE)
    done = subprocess.run(
        argv, env={**lambda_telemetry.env, **env}, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [(one.method, one.path, one.query, one.json) for one in backend.requests] == [
        ("POST", "/v1/logs", "a=b", RECORD)
    ] * 2


def test_an_extension_in_a_child_reaches_it_over_tls(
    secure: Backend, lambda_telemetry: LambdaTelemetry, tmp_path: Path
) -> None:
    extension = program(tmp_path, "me = register('ext.py')\n" + SEND + "until_shutdown(me)")
    process = lambda_telemetry.run_extension(extension, env={"BACKEND": secure.url})
    secure.wait_for(2, "/v1/logs", timeout=60)
    lambda_telemetry.wait_until_ready("ext.py", timeout=60)
    lambda_telemetry.shutdown()
    assert process.returncode == 0


# -- TLS ---------------------------------------------------------------------------------------------------------------


def test_the_variables_and_the_file_go_with_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trustme", reason="tls=True needs trustme")
    monkeypatch.setenv("SSL_CERT_FILE", "/mine.pem")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    before = dict(os.environ)
    with LambdaTelemetry() as fake:
        assert "SSL_CERT_FILE" not in fake.env
        one, two = fake.backend(tls=True), fake.backend("two", tls=True)
        file = one.ca_file
        assert file is not None
        assert two.ca_file == file
        assert [fake.env[name] for name in VARIABLES] == [os.environ[name] for name in VARIABLES] == [file] * 3
        assert Path(file).read_text().startswith("-----BEGIN CERTIFICATE-----")
        for host in ("localhost", "127.0.0.1"):
            by_urllib(f"https://{host}:{two.port}/")
    assert not Path(file).parent.exists()
    assert dict(os.environ) == before
    assert one.ca_file == file


def test_an_environment_that_is_entered_later_has_the_variables_too() -> None:
    pytest.importorskip("trustme", reason="tls=True needs trustme")
    from pytest_lambda_telemetry.environment import over
    from pytest_lambda_telemetry.sandbox.assembly import assemble
    from pytest_lambda_telemetry.settings import DEFAULTS

    before = dict(os.environ)
    environment = over(assemble(DEFAULTS))
    backend = environment.backend(tls=True)
    assert dict(os.environ) == before
    with environment:
        assert by_urllib(backend.url) == 200
    assert dict(os.environ) == before


def test_without_trustme_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, lambda_telemetry: LambdaTelemetry) -> None:
    certificates._authority.cache_clear()
    certificates.server_context.cache_clear()
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(MisuseError) as caught:
        lambda_telemetry.backend(tls=True)
    assert str(caught.value) == (
        "tls=True needs trustme, which makes the certificate: pip install 'pytest-lambda-telemetry[tls]'"
    )
    assert by_urllib(lambda_telemetry.backend().url) == 200


def failed(lambda_telemetry: LambdaTelemetry) -> str:
    """What the journal says of a handshake, which its client may know of earlier."""
    lambda_telemetry.wait_until(lambda: lambda_telemetry.journal, timeout=30)
    (entry,) = lambda_telemetry.journal
    assert (entry.kind, entry.who, entry.verdict) == ("backend", "secure", "400")
    return entry.what


def test_a_client_that_does_not_trust_the_certificate_is_explained(
    lambda_telemetry: LambdaTelemetry, secure: Backend
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(socket.create_connection(("127.0.0.1", secure.port)), server_hostname="localhost")
    assert failed(lambda_telemetry) == (
        "no request: the TLS handshake failed: the client does not trust the certificate; give it the certificate of"
        " its authority"
    )
    assert by_urllib(secure.url) == 200


def test_plain_http_where_tls_is_spoken_is_explained(lambda_telemetry: LambdaTelemetry, secure: Backend) -> None:
    with socket.create_connection(("127.0.0.1", secure.port), timeout=TIMEOUT) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
        while sock.recv(1000):
            pass
    assert failed(lambda_telemetry) == (
        "no request: the TLS handshake failed: plain HTTP was sent where TLS is spoken; use https://"
    )


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", bytes(1000)])
def test_what_is_no_handshake_ends_its_connection_and_nothing_else(secure: Backend, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", secure.port), timeout=TIMEOUT) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        try:
            while sock.recv(1000):
                pass
        except ConnectionResetError:
            pass
    assert by_urllib(secure.url) == 200
    assert len(secure.requests) == 1


@pytest.mark.parametrize("left", [b"", b"more"])
def test_an_end_over_tls_is_announced(secure: Backend, left: bytes) -> None:
    context = ssl.create_default_context(cafile=secure.ca_file)
    plain = socket.create_connection(("127.0.0.1", secure.port), timeout=TIMEOUT)
    with context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx" + left)
        answer = b"".join(iter(lambda: sock.recv(1000), b""))  # raises where the end comes without a word
    assert answer.endswith(b"Connection: close\r\n\r\n")


def test_large_bodies_holds_faults_and_freezes_work_over_tls(
    lambda_telemetry: LambdaTelemetry, secure: Backend
) -> None:
    context = ssl.create_default_context(cafile=secure.ca_file)
    with closing(http.client.HTTPSConnection("127.0.0.1", secure.port, context=context, timeout=TIMEOUT)) as made:
        body = os.urandom(9_000_000)
        secure.respond(body=body)
        made.request("POST", "/", body)
        assert made.getresponse().read() == body
        assert secure.requests[0].body == body
        secure.fail_next("reset")
        with pytest.raises(OSError):  # ssl has errors of its own for a reset
            ask(made)
        made.close()
        secure.respond(200)
        made.request("POST", "/")
        assert made.getresponse().read() == b""
        lambda_telemetry.invoke()
        with pytest.raises(OSError):  # ssl has errors of its own for a reset
            ask(made)
        made.close()
        secure.hold()
        made.request("POST", "/gone")
        secure.wait_for(1, "/gone", timeout=30)
        made.close()
        lambda_telemetry.wait_until(
            lambda: any("the client gave up" in one.verdict for one in lambda_telemetry.journal), timeout=30
        )
        secure.release()
        assert by_urllib(secure.url) == 200
