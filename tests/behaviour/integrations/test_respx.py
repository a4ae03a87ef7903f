"""respx: calls to our API pass in every mode; the test's own router notices nothing."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
import respx
from respx.mocks import Mocker

from tests.behaviour.integrations.conftest import FakeApi

BACKEND = "https://backend.example/ingest"
UNTOUCHED = {name: vars(Mocker)[name] for name in ("handler", "async_handler")}


def _call(url: str) -> httpx.Response:
    with httpx.Client() as client:
        return client.put(url, json={"a": 1})


async def _acall(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.put(url, json={"a": 1})


Call = Callable[[str], httpx.Response]
CALLS = [pytest.param(_call, id="sync"), pytest.param(lambda url: asyncio.run(_acall(url)), id="async")]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("using", ["httpx", "httpcore"])
def test_our_calls_pass_and_the_backends_are_mocked(call: Call, using: str, api: FakeApi) -> None:
    with respx.mock(using=using) as router:
        backend = router.put(BACKEND).respond(202)
        assert call(f"{api.url}/2022-07-01/telemetry").text == "OK"
        assert call(f"http://localhost:{api.port}/again").text == "OK"
        assert call(BACKEND).status_code == 202
        assert (backend.call_count, router.calls.call_count) == (1, 1)
    assert api.paths == ["/2022-07-01/telemetry", "/again"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("using", ["httpx", "httpcore"])
def test_a_catch_all_does_not_swallow_our_calls(call: Call, using: str, api: FakeApi) -> None:
    with respx.mock(using=using) as router:
        everything = router.route().respond(418)
        assert call(f"{api.url}/ours").status_code == 200
        assert call(BACKEND).status_code == 418
        assert everything.call_count == 1


@pytest.mark.parametrize("call", CALLS)
def test_a_router_that_mocks_the_unknown_does_not_swallow_our_calls(call: Call, api: FakeApi) -> None:
    with respx.mock(assert_all_mocked=False) as router:
        assert call(f"{api.url}/ours").text == "OK"
        assert call(BACKEND).text == ""
        assert router.calls.call_count == 1


def test_a_global_router_and_nested_ones_let_our_calls_pass(api: FakeApi) -> None:
    with respx.mock, respx.mock(base_url="https://backend.example") as inner:
        inner.put("/ingest").respond(202)
        assert _call(f"{api.url}/ours").text == "OK"
        assert _call(BACKEND).status_code == 202
        assert (respx.calls.call_count, inner.calls.call_count) == (0, 1)


@pytest.mark.respx(assert_all_called=True, base_url="https://backend.example")
def test_its_fixture_and_marker_let_our_calls_pass(respx_mock: respx.MockRouter, api: FakeApi) -> None:
    respx_mock.put("/ingest").respond(202)
    assert _call(f"{api.url}/ours").text == "OK"
    assert _call(BACKEND).status_code == 202


@respx.mock
def test_its_decorator_lets_our_calls_pass(api: FakeApi) -> None:
    respx.put(BACKEND).respond(202)
    assert _call(f"{api.url}/ours").text == "OK"
    assert _call(BACKEND).status_code == 202


def test_a_client_made_before_the_router_lets_our_calls_pass(api: FakeApi) -> None:
    with httpx.Client() as client, respx.mock:
        assert client.get(f"{api.url}/ours").text == "OK"


def test_assert_all_called_still_fails_when_only_we_were_called(api: FakeApi) -> None:
    router = respx.mock(assert_all_called=True)
    router.start()
    router.route(host="127.0.0.1").respond(418)
    assert _call(f"{api.url}/ours").text == "OK"
    with pytest.raises(AssertionError, match="some routes were not called"):
        router.stop()


def test_assert_all_mocked_still_fails_for_other_loopback_ports(api: FakeApi) -> None:
    with respx.mock:
        with pytest.raises(AssertionError, match="not mocked"):
            _call(f"http://127.0.0.1:{api.port - 1}/another")
        with pytest.raises(AssertionError, match="not mocked"):
            _call("http://127.0.0.1/default-port")


def test_the_tests_own_pass_through_and_errors_work_as_before(api: FakeApi, unclaimed: FakeApi) -> None:
    with respx.mock as router:
        router.put(BACKEND).mock(side_effect=httpx.ConnectError)
        with pytest.raises(httpx.ConnectError):
            _call(BACKEND)
        assert router.calls.call_count == 1


def test_without_us_respx_intercepts_and_is_untouched(unclaimed: FakeApi) -> None:
    assert {name: vars(Mocker)[name] for name in UNTOUCHED} == UNTOUCHED
    with respx.mock, pytest.raises(AssertionError, match="not mocked"):
        _call(f"{unclaimed.url}/ours")
    assert unclaimed.paths == []
