"""pytest-httpx: calls to our API pass, uncounted, whether its fixture came before ours or after."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from pytest_httpx import HTTPXMock
from pytest_httpx._options import _HTTPXMockOptions

from tests.behaviour.integrations.conftest import FakeApi

BACKEND = "https://backend.example/ingest"


async def _aget(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url)


Call = Callable[[str], httpx.Response]
CALLS = [pytest.param(httpx.get, id="sync"), pytest.param(lambda url: asyncio.run(_aget(url)), id="async")]


def _check(call: Call, mock: HTTPXMock, api: FakeApi) -> None:
    mock.add_response(url=BACKEND, status_code=202)
    assert call(f"{api.url}/ours").text == "OK"
    assert call(f"http://localhost:{api.port}/again").text == "OK"
    assert call(BACKEND).status_code == 202
    assert [str(request.url) for request in mock.get_requests()] == [BACKEND]
    assert api.paths == ["/ours", "/again"]


@pytest.mark.parametrize("call", CALLS)
def test_our_calls_pass_with_its_fixture_first(call: Call, httpx_mock: HTTPXMock, api: FakeApi) -> None:
    _check(call, httpx_mock, api)


@pytest.mark.parametrize("call", CALLS)
def test_our_calls_pass_with_its_fixture_second(call: Call, api: FakeApi, httpx_mock: HTTPXMock) -> None:
    _check(call, httpx_mock, api)


@pytest.mark.httpx_mock(should_mock=lambda request: request.url.path != "/theirs")
def test_the_tests_own_should_mock_still_decides_the_rest(api: FakeApi, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=BACKEND, status_code=202)
    assert httpx.get(f"{api.url}/ours").text == "OK"
    assert httpx.get(BACKEND).status_code == 202
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://127.0.0.1:1/theirs")


@pytest.mark.httpx_mock(assert_all_requests_were_expected=False)
def test_other_loopback_ports_are_still_refused(httpx_mock: HTTPXMock, api: FakeApi) -> None:
    with pytest.raises(httpx.TimeoutException, match="No response can be found"):
        httpx.get(f"http://127.0.0.1:{api.port - 1}/another")


@pytest.mark.httpx_mock(assert_all_requests_were_expected=False)
def test_without_us_pytest_httpx_intercepts_and_is_untouched(httpx_mock: HTTPXMock, unclaimed: FakeApi) -> None:
    assert "should_mock" not in vars(_HTTPXMockOptions)
    with pytest.raises(httpx.TimeoutException, match="No response can be found"):
        httpx.get(f"{unclaimed.url}/ours")
    assert unclaimed.paths == []
