"""The extension's backend is mocked, Lambda's API is not: whichever library the test mocks with, and however."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpcore
import httpx
import pytest
import requests
import responses
import respx
from pytest_httpx import HTTPXMock
from requests_mock import Mocker as RequestsMocker

from pytest_lambda_telemetry import AsyncLambdaTelemetry, LambdaTelemetry, Settings, events
from tests.support.helpers import EXTENSION, IDENTIFIER, Listener, call, subscribe_body

pytestmark = pytest.mark.lambda_telemetry(strict=False)  # a 404 shows that a call got through

BACKEND = "http://backend.example/ingest"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as made:
        yield made


def join_with_httpx(port: int) -> None:
    """An extension as its authors write it: httpx for Lambda's API and for the backend."""
    base = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}"
    with httpx.Client(base_url=base) as api:
        answer = api.post(
            f"{EXTENSION}/register", json={"events": ["SHUTDOWN"]}, headers={"Lambda-Extension-Name": "ext"}
        )
        identifier = answer.raise_for_status().headers[IDENTIFIER]
        body = subscribe_body(port, types=["function"])
        api.put("/2022-07-01/telemetry", json=body, headers={IDENTIFIER: identifier}).raise_for_status()
    assert httpx.get(f"http://localhost:{base.rpartition(':')[2]}/nothing").status_code == 404


async def join_with_async_httpx(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}") as api:
        answer = await api.post(
            f"{EXTENSION}/register", json={"events": ["SHUTDOWN"]}, headers={"Lambda-Extension-Name": "ext"}
        )
        identifier = answer.raise_for_status().headers[IDENTIFIER]
        body = subscribe_body(port, types=["function"])
        answer = await api.put("/2022-07-01/telemetry", json=body, headers={IDENTIFIER: identifier})
        answer.raise_for_status()


def join_with_requests(port: int) -> None:
    base = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}"
    answer = requests.post(
        f"{base}{EXTENSION}/register", json={"events": ["SHUTDOWN"]}, headers={"Lambda-Extension-Name": "ext"}
    )
    answer.raise_for_status()
    headers = {IDENTIFIER: answer.headers[IDENTIFIER]}
    body = subscribe_body(port, types=["function"])
    requests.put(f"{base}/2022-07-01/telemetry", json=body, headers=headers).raise_for_status()


def deliver(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    lambda_telemetry.emit(events.function("work"))
    assert lambda_telemetry.flush()[0].status == 200
    assert listener.batches[-1][0]["record"] == "work"


def nothing_is_patched() -> None:
    """After the block a backend is real again: this one does not exist."""
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://127.0.0.1:1/", trust_env=False)


# -- respx -------------------------------------------------------------------------------------------------------------


def ship_and_count(mock: respx.MockRouter, lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    route = mock.post(BACKEND).mock(return_value=httpx.Response(202))
    join_with_httpx(listener.port)
    assert not route.called
    assert mock.calls.call_count == 0
    deliver(lambda_telemetry, listener)
    assert httpx.post(BACKEND, json=listener.batches[-1]).status_code == 202
    assert (route.call_count, mock.calls.call_count) == (1, 1)


def test_respx_fixture(respx_mock: respx.MockRouter, lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    ship_and_count(respx_mock, lambda_telemetry, listener)


def test_respx_fixture_asked_for_last(
    lambda_telemetry: LambdaTelemetry, listener: Listener, respx_mock: respx.MockRouter
) -> None:
    ship_and_count(respx_mock, lambda_telemetry, listener)


@pytest.mark.respx(base_url="http://backend.example", assert_all_called=True, assert_all_mocked=True)
def test_respx_marker(respx_mock: respx.MockRouter, lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    ship_and_count(respx_mock, lambda_telemetry, listener)


@respx.mock
def test_respx_decorator(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    ship_and_count(respx.mock, lambda_telemetry, listener)


def test_respx_context_manager(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    with respx.mock:
        ship_and_count(respx.mock, lambda_telemetry, listener)
    nothing_is_patched()
    call("GET", f"{EXTENSION}/nothing")


@pytest.mark.parametrize("using", ["httpx", "httpcore"])
def test_respx_router_of_ones_own(lambda_telemetry: LambdaTelemetry, listener: Listener, using: str) -> None:
    with respx.mock(using=using, assert_all_called=True, assert_all_mocked=True) as router:
        ship_and_count(router, lambda_telemetry, listener)
    nothing_is_patched()


def test_respx_started_and_stopped_by_hand(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    router = respx.MockRouter()
    router.start()
    try:
        ship_and_count(router, lambda_telemetry, listener)
    finally:
        router.stop()
    nothing_is_patched()


def test_respx_with_httpcore_alone(lambda_telemetry: LambdaTelemetry) -> None:
    with respx.mock(using="httpcore") as router:
        router.get("http://backend.example/").mock(return_value=httpx.Response(204))
        with httpcore.ConnectionPool() as pool:
            assert pool.request("GET", f"http://{lambda_telemetry.runtime_api}/nothing").status == 404
            assert pool.request("GET", "http://backend.example/").status == 204
        assert router.calls.call_count == 1


def test_a_catch_all_catches_nothing_of_ours(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    with respx.mock as router:
        everything = router.route().mock(return_value=httpx.Response(503))
        join_with_httpx(listener.port)
        deliver(lambda_telemetry, listener)
        assert not everything.called
        assert httpx.get("http://127.0.0.1:1/").status_code == 503


def test_assert_all_called_still_counts_for_the_user(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    router = respx.mock(assert_all_called=True)
    router.post(BACKEND)
    router.start()
    join_with_httpx(listener.port)
    with pytest.raises(AssertionError, match="some routes were not called"):
        router.stop()


def test_assert_all_mocked_still_counts_for_the_user(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    with respx.mock(assert_all_called=False):
        join_with_httpx(listener.port)
        with pytest.raises(AssertionError, match="not mocked"):
            httpx.get("http://other.example/")


@pytest.mark.parametrize("using", ["httpx", "httpcore"])
@pytest.mark.asyncio
async def test_respx_with_an_async_client(
    async_lambda_telemetry: AsyncLambdaTelemetry, listener: Listener, using: str
) -> None:
    with respx.mock(using=using) as router:
        route = router.post(BACKEND).mock(return_value=httpx.Response(202))
        await join_with_async_httpx(listener.port)
        await async_lambda_telemetry.emit(events.function("work"))
        [delivery] = await async_lambda_telemetry.flush()
        assert delivery.ok
        async with httpx.AsyncClient() as backend:
            assert (await backend.post(BACKEND, json=listener.batches[-1])).status_code == 202
        assert (route.call_count, router.calls.call_count) == (1, 1)


@respx.mock
@pytest.mark.asyncio
async def test_respx_decorator_of_a_coroutine(async_lambda_telemetry: AsyncLambdaTelemetry, listener: Listener) -> None:
    route = respx.post(BACKEND).mock(return_value=httpx.Response(202))
    await join_with_async_httpx(listener.port)
    async with httpx.AsyncClient() as backend:
        await asyncio.gather(*(backend.post(BACKEND) for _ in range(3)))
    assert route.call_count == 3


def test_without_an_environment_respx_is_its_own_again() -> None:
    before = respx.mocks.Mocker.__dict__["handler"]
    with LambdaTelemetry():
        assert respx.mocks.Mocker.__dict__["handler"] is not before
    assert respx.mocks.Mocker.__dict__["handler"] is before


def test_another_port_of_this_machine_is_the_users_to_mock(lambda_telemetry: LambdaTelemetry) -> None:
    with respx.mock as router:
        router.get("http://127.0.0.1:9/").mock(return_value=httpx.Response(418))
        assert httpx.get("http://127.0.0.1:9/").status_code == 418


# -- the others --------------------------------------------------------------------------------------------------------


@responses.activate
def test_responses_decorator(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    responses.add(responses.POST, BACKEND, status=202)
    join_with_requests(listener.port)
    deliver(lambda_telemetry, listener)
    assert requests.post(BACKEND, json={}).status_code == 202
    assert len(responses.calls) == 1


def test_responses_context_manager(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    with responses.RequestsMock(assert_all_requests_are_fired=True) as mock:
        mock.add(responses.POST, BACKEND, status=202)
        join_with_requests(listener.port)
        deliver(lambda_telemetry, listener)
        requests.post(BACKEND, json={})
        assert len(mock.calls) == 1
    with pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:1/")


def test_requests_mock_fixture(
    lambda_telemetry: LambdaTelemetry, requests_mock: RequestsMocker, listener: Listener
) -> None:
    requests_mock.post(BACKEND, status_code=202)
    join_with_requests(listener.port)
    deliver(lambda_telemetry, listener)
    assert requests.post(BACKEND, json={}).status_code == 202
    assert requests_mock.call_count == 1


def test_pytest_httpx_fixture(lambda_telemetry: LambdaTelemetry, httpx_mock: HTTPXMock, listener: Listener) -> None:
    httpx_mock.add_response(url=BACKEND, method="POST", status_code=202)
    join_with_httpx(listener.port)
    deliver(lambda_telemetry, listener)
    assert httpx.post(BACKEND, json={}).status_code == 202
    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.asyncio
async def test_pytest_httpx_with_an_async_client(
    httpx_mock: HTTPXMock, async_lambda_telemetry: AsyncLambdaTelemetry, listener: Listener
) -> None:
    httpx_mock.add_response(url=BACKEND, method="POST", status_code=202)
    await join_with_async_httpx(listener.port)
    async with httpx.AsyncClient() as backend:
        assert (await backend.post(BACKEND)).status_code == 202
    assert len(httpx_mock.get_requests()) == 1


def test_a_library_imported_after_the_environment_started_is_covered() -> None:
    code = """
import sys
from pytest_lambda_telemetry import LambdaTelemetry, Settings
with LambdaTelemetry(Settings(strict=False)) as environment:
    assert "responses" not in sys.modules
    import requests, responses
    with responses.RequestsMock():
        print(requests.get(f"http://{environment.runtime_api}/nothing").status_code)
assert responses.__spec__.loader is responses.__loader__
assert not any("telemetry" in type(finder).__module__ for finder in sys.meta_path)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("404\n", "")


# -- proxies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("excepted", [None, "corp.example"])
def test_no_proxy_of_the_environment_comes_between(
    monkeypatch: pytest.MonkeyPatch, listener: Listener, name: str, excepted: str | None
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    if excepted:
        monkeypatch.setenv("NO_PROXY", excepted)
    clients: list[Callable[[int], None]] = [join_with_httpx, join_with_requests]
    for join in clients:
        with LambdaTelemetry(Settings(strict=False)) as environment:
            join(listener.port)
            deliver(environment, listener)
            if excepted:
                assert os.environ["NO_PROXY"].startswith("corp.example,")
    assert os.environ.get("NO_PROXY") == excepted


@pytest.mark.asyncio
async def test_no_proxy_for_async_clients_either(
    monkeypatch: pytest.MonkeyPatch, async_lambda_telemetry: AsyncLambdaTelemetry, listener: Listener
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    join: Callable[[int], Awaitable[None]] = join_with_async_httpx
    await join(listener.port)
    assert len(async_lambda_telemetry.subscriptions) == 1


# -- pytest-socket and xdist -------------------------------------------------------------------------------------------

OURS = ["-p", "no:cacheprovider", "-p", "pytest_lambda_telemetry.plugin"]
INNER = """
import asyncio, socket, threading
import pytest
from http.server import BaseHTTPRequestHandler, HTTPServer
from tests.support.helpers import Listener, call, register, subscribe, subscribe_body
from pytest_lambda_telemetry import events
from pytest_socket import SocketBlockedError, SocketConnectBlockedError

@pytest.mark.parametrize("number", range(2))
def test_sync(lambda_telemetry, number):
    with Listener() as listener:
        subscribe(register(), subscribe_body(listener.port, types=["function"]))
        lambda_telemetry.emit(events.function("work"))
        assert lambda_telemetry.flush()[0].ok
        with pytest.raises((SocketBlockedError, SocketConnectBlockedError)):
            socket.create_connection(("192.0.2.1", 80))

@pytest.mark.asyncio
async def test_async(async_lambda_telemetry):
    await asyncio.to_thread(register)
    await async_lambda_telemetry.wait_for_extension("ext")

def test_without_us():
    with pytest.raises((SocketBlockedError, SocketConnectBlockedError)):
        socket.create_connection(("192.0.2.1", 80))
"""


@pytest.mark.parametrize(
    "options",
    [["--disable-socket", "--allow-unix-socket"], ["--allow-hosts=10.0.0.1"]],
    ids=" ".join,
)
def test_under_pytest_socket(pytester: pytest.Pytester, options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pytest_socket", reason="it is about pytest-socket")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(INNER)
    result = pytester.runpytest_subprocess(*OURS, "-p", "pytest_socket", "-p", "pytest_asyncio.plugin", *options)
    result.assert_outcomes(passed=4, warnings=3)  # pytest-socket warns of what it blocks


def test_in_parallel_workers_each_has_an_address_of_its_own(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        """
        import os, pytest
        @pytest.mark.parametrize("number", range(6))
        def test_address(lambda_telemetry, number, record_property):
            assert os.environ["AWS_LAMBDA_RUNTIME_API"] == lambda_telemetry.runtime_api
            record_property("address", lambda_telemetry.runtime_api)
        """
    )
    result = pytester.runpytest_subprocess(*OURS, "-p", "xdist", "-n2", "--junitxml=out.xml")
    result.assert_outcomes(passed=6)
    xml = (pytester.path / "out.xml").read_text()
    assert len({part.split('"')[0] for part in xml.split('name="address" value="')[1:]}) == 2
