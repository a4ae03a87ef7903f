"""responses: calls to our API pass, uncounted; the test's own mocks notice nothing."""

import re

import pytest
import requests
import responses

from tests.behaviour.integrations.conftest import FakeApi

BACKEND = "https://backend.example/ingest"
UNTOUCHED = vars(responses.RequestsMock)["_on_request"]


@responses.activate
def test_our_calls_pass_and_the_backends_are_mocked(api: FakeApi) -> None:
    backend = responses.put(BACKEND, status=202)
    assert requests.put(f"{api.url}/2022-07-01/telemetry", json={}, timeout=5).text == "OK"
    with requests.Session() as session:
        assert session.get(f"http://localhost:{api.port}/again", timeout=5).text == "OK"
    assert requests.put(BACKEND, timeout=5).status_code == 202
    assert (backend.call_count, len(responses.calls)) == (1, 1)
    assert api.paths == ["/2022-07-01/telemetry", "/again"]


def test_own_mocks_nested_reset_and_with_a_catch_all_let_our_calls_pass(api: FakeApi) -> None:
    with responses.RequestsMock() as outer, responses.RequestsMock() as inner:
        outer.get(BACKEND, status=202)
        inner.get(re.compile(".*"), status=418)
        assert requests.get(f"{api.url}/ours", timeout=5).text == "OK"
        assert requests.get(BACKEND, timeout=5).status_code == 418
        inner.reset()
        outer.reset()
        assert requests.get(f"{api.url}/ours", timeout=5).text == "OK"


def test_all_requests_are_fired_still_fails_when_only_we_were_called(api: FakeApi) -> None:
    mock = responses.RequestsMock(assert_all_requests_are_fired=True)
    mock.start()
    mock.get(f"{api.url}/ours", status=418)
    assert requests.get(f"{api.url}/ours", timeout=5).text == "OK"
    with pytest.raises(AssertionError, match="Not all requests have been executed"):
        mock.stop()


@responses.activate
def test_other_loopback_ports_are_still_refused(api: FakeApi) -> None:
    with pytest.raises(requests.ConnectionError, match="refused by Responses"):
        requests.get(f"http://127.0.0.1:{api.port - 1}/another", timeout=5)


@responses.activate
def test_without_us_responses_intercepts_and_is_untouched(unclaimed: FakeApi) -> None:
    assert vars(responses.RequestsMock)["_on_request"] is UNTOUCHED
    with pytest.raises(requests.ConnectionError, match="refused by Responses"):
        requests.get(f"{unclaimed.url}/ours", timeout=5)
    assert unclaimed.paths == []
