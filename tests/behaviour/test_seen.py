"""`seen=` takes what a test has of its own backend, whichever library plays it."""

import gzip
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest
import requests
import responses
import respx
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from pytest_httpserver import HTTPServer
from pytest_httpx import HTTPXMock
from requests_mock import Mocker

from pytest_lambda_telemetry import AsyncLambdaTelemetry, LambdaTelemetry, MisuseError, events
from tests.support.helpers import Listener

BACKEND = "http://backend.example/ingest"
BUFFERING: Any = {"timeoutMs": 100}


@pytest.fixture
def lines(lambda_telemetry: LambdaTelemetry) -> Iterator[tuple[str, ...]]:
    """Two lines, which the function has logged and the extension has acknowledged."""
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri, types=["function"], buffering=BUFFERING)
        logged = lambda_telemetry.log_lines(2)
        lambda_telemetry.emit(*map(events.function, logged))
        lambda_telemetry.advance(ms=100)
        yield logged


@pytest.fixture
def seen(lambda_telemetry: LambdaTelemetry) -> Callable[[object], str]:
    """What the assertion says of `seen=`, in one line; empty where it is green."""

    def told(given: object, **options: Any) -> str:
        try:
            lambda_telemetry.assert_exactly_once(seen=given, timeout=0, **options)
        except AssertionError as error:
            return str(error).partition("\n")[0]
        return ""

    return told


LOST = "not exactly once: of 2 records 0 arrived once, 2 are lost"
DOUBLED = "not exactly once: of 2 records 0 arrived once, 2 are doubled"

Seen = Callable[[object], str]


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda body: [body], id="list"),
        pytest.param(lambda body: body, id="one"),
        pytest.param(lambda body: (body,), id="tuple"),
        pytest.param(lambda body: iter([body]), id="iterator"),
        pytest.param(lambda body: lambda: [body], id="callable"),
        pytest.param(lambda body: lambda: body, id="callable that returns one"),
        pytest.param(lambda body: [body.decode()], id="str"),
        pytest.param(lambda body: [bytearray(body)], id="bytearray"),
        pytest.param(lambda body: [memoryview(body)], id="memoryview"),
        pytest.param(lambda body: [(body, 202)], id="with its status"),
        pytest.param(lambda body: (body, 202), id="one with its status"),
        pytest.param(lambda body: [(body, 503), (body, 202)], id="refused before"),
        pytest.param(lambda body: [(body, None), (body, 202)], id="not answered before"),
        pytest.param(lambda body: [b"something else", body], id="after something else"),
        pytest.param(lambda body: httpx.Request("POST", BACKEND, content=body), id="httpx"),
        pytest.param(lambda body: [requests.Request("POST", BACKEND, data=body).prepare()], id="requests"),
    ],
)
def test_values(lines: tuple[str, ...], seen: Seen, wrap: Callable[[bytes], object]) -> None:
    assert seen(wrap(json.dumps(lines).encode())) == ""


def test_two_bodies_are_no_pair_with_a_status(lines: tuple[str, ...], seen: Seen) -> None:
    assert seen((lines[0].encode(), lines[1].encode())) == ""


def test_what_is_missing_and_what_is_double(lines: tuple[str, ...], seen: Seen) -> None:
    assert seen([]) == seen(list) == seen([b""]) == LOST
    assert seen([json.dumps(lines)] * 2) == DOUBLED


def test_the_message_counts_items(lambda_telemetry: LambdaTelemetry, lines: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError) as caught:
        lambda_telemetry.assert_exactly_once(seen=[lines[0], lines[1], (lines[1], 200)])
    assert "; seen in item 2 of seen= and item 3 of seen=\n" in str(caught.value)


def test_items_with_one_idempotency_key_count_once(lines: tuple[str, ...], seen: Seen) -> None:
    once = httpx.Request("POST", BACKEND, json=lines, headers={"Idempotency-Key": "a"})
    again = httpx.Request("POST", BACKEND, json=lines, headers={"idempotency-key": "a"})
    assert seen([once, again]) == ""
    assert seen([once, httpx.Request("POST", f"{BACKEND}/2", json=lines, headers=again.headers)]) == DOUBLED


def test_it_waits_for_what_a_callable_will_have(lambda_telemetry: LambdaTelemetry, lines: tuple[str, ...]) -> None:
    asked = []

    def later() -> list[str]:
        asked.append(1)
        return list(lines) if len(asked) > 2 else []

    lambda_telemetry.assert_exactly_once(seen=later, timeout=60)


# -- libraries ---------------------------------------------------------------------------------------------------------


def test_respx(lines: tuple[str, ...], seen: Seen, respx_mock: respx.MockRouter) -> None:
    route = respx_mock.post(BACKEND).mock(
        side_effect=[httpx.ConnectError("down"), httpx.Response(503), httpx.Response(200), httpx.Response(200)]
    )
    with pytest.raises(httpx.ConnectError):
        httpx.post(BACKEND, json=lines)
    httpx.post(BACKEND, json=lines)
    assert seen(route.calls) == LOST
    packed = gzip.compress(json.dumps(lines).encode())
    httpx.post(BACKEND, content=packed, headers={"Content-Encoding": "gzip"})
    for given in (route.calls, route, respx_mock, lambda: route.calls, lambda: route, list(route.calls)):
        assert seen(given) == ""
    httpx.post(BACKEND, json=lines)
    assert seen(route) == DOUBLED


def test_responses(lines: tuple[str, ...], seen: Seen) -> None:
    with responses.RequestsMock() as mock:
        mock.post(BACKEND, body=requests.ConnectionError("down"))
        mock.post(BACKEND, status=503)
        taken = mock.post(BACKEND, status=202)
        mock.get(BACKEND)
        with pytest.raises(requests.ConnectionError):
            requests.post(BACKEND, json=lines)
        requests.post(BACKEND, json=lines)
        requests.get(BACKEND)  # it has no body at all
        assert seen(mock) == LOST
        requests.post(BACKEND, data="\n".join(lines))
        for given in (mock, mock.calls, taken, taken.calls, lambda: mock.calls):
            assert seen(given) == ""
        requests.post(BACKEND, json=lines)
        assert seen(mock) == DOUBLED


def test_requests_mock(lines: tuple[str, ...], seen: Seen) -> None:
    with Mocker() as mock:
        matcher = mock.post(BACKEND, status_code=202)
        mock.get(BACKEND)
        requests.get(BACKEND)
        assert seen(mock) == LOST
        requests.post(BACKEND, json=lines)
        for given in (mock, matcher, mock.request_history, lambda: mock.request_history):
            assert seen(given) == ""
        requests.post(BACKEND, data=gzip.compress(lines[0].encode()), headers={"Content-Encoding": "gzip"})
        assert seen(mock) == "not exactly once: of 2 records 1 arrived once, 1 is doubled"


def test_requests_mock_does_not_keep_what_it_answered(lines: tuple[str, ...], seen: Seen) -> None:
    """The test pairs each request with its status."""
    kept: list[tuple[object, int]] = []
    statuses = iter([503, 200])

    def answer(request: object, context: Any) -> str:
        context.status_code = next(statuses)
        kept.append((request, context.status_code))
        return ""

    with Mocker() as mock:
        mock.post(BACKEND, text=answer)
        requests.post(BACKEND, json=lines)
        requests.post(BACKEND, json=lines)
        assert seen(kept) == ""
        assert seen(mock) == DOUBLED


def test_pytest_httpx(lines: tuple[str, ...], seen: Seen, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=BACKEND)
    httpx.post(BACKEND, json=lines)
    assert seen(httpx_mock.get_requests) == seen(httpx_mock.get_requests()) == ""


def test_pytest_httpserver(lines: tuple[str, ...], seen: Seen) -> None:
    with HTTPServer() as server:
        server.expect_ordered_request("/ingest").respond_with_data(status=503)
        server.expect_ordered_request("/ingest").respond_with_data()
        requests.post(server.url_for("/ingest"), json=lines)
        assert seen(server) == LOST
        requests.post(server.url_for("/ingest"), json=lines)
        for given in (server, server.log, lambda: server.log):
            assert seen(given) == ""


def test_a_fake_backend(lambda_telemetry: LambdaTelemetry, lines: tuple[str, ...], seen: Seen) -> None:
    backend, other = lambda_telemetry.backend(), lambda_telemetry.backend("other")
    backend.fail_next(503)
    send = partial(httpx.post, json=lines, trust_env=False)
    send(backend.url)
    assert seen(backend) == seen(backend.requests) == LOST
    send(backend.url)
    assert seen(backend) == seen(backend.requests) == seen(lambda: backend.requests) == ""
    send(f"{other.url}/a", headers={"Idempotency-Key": "a"})
    assert seen(other) == ""
    send(f"{other.url}/b", headers={"Idempotency-Key": "a"})
    assert seen(other) == DOUBLED
    assert seen(backend) == ""
    assert seen([*backend.requests, *other.requests]) == DOUBLED


@pytest.mark.asyncio
async def test_an_aiohttp_server_on_the_loop(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    taken: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(await request.read())
        return web.Response()

    async def forward(request: web.Request) -> web.Response:
        async with ClientSession() as session, session.post(backend.make_url("/ingest"), data=await request.read()):
            return web.Response()

    intake, listening = web.Application(), web.Application()
    intake.router.add_post("/ingest", take)
    listening.router.add_post("/", forward)
    async with TestServer(intake) as backend, TestServer(listening) as listener:
        async_lambda_telemetry.subscribe(f"http://sandbox.localdomain:{listener.port}", types=["function"])
        await async_lambda_telemetry.emit(*map(events.function, async_lambda_telemetry.log_lines(2)))
        await async_lambda_telemetry.advance(seconds=1)
        await async_lambda_telemetry.assert_exactly_once(seen=taken)


# -- what holds no bytes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        5,
        [{"record": "line 00000001"}],
        [httpx.Request("POST", BACKEND, content=iter([b"a"]))],
        [requests.Request("POST", BACKEND, data=iter([b"a"])).prepare()],
        lambda: None,
    ],
    ids=["int", "dict", "httpx stream", "requests stream", "callable that returns None"],
)
def test_what_holds_no_bytes(lines: tuple[str, ...], seen: Seen, given: object) -> None:
    with pytest.raises(MisuseError, match=r"seen= has .* \(item 1\), which holds no bytes; pass bytes, str or"):
        seen(given)
