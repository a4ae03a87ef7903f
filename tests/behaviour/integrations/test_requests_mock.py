"""requests-mock: calls to our API pass, uncounted; the test's own mocks notice nothing."""

import threading

import pytest
import requests
import requests_mock
from requests_mock.adapter import Adapter

from tests.behaviour.integrations.conftest import FakeApi

BACKEND = "https://backend.example/ingest"
UNTOUCHED = vars(Adapter)["send"]


def test_our_calls_pass_and_the_backends_are_mocked(api: FakeApi, requests_mock: requests_mock.Mocker) -> None:
    requests_mock.put(BACKEND, status_code=202)
    assert requests.put(f"{api.url}/2022-07-01/telemetry", json={}, timeout=5).text == "OK"
    with requests.Session() as session:
        assert session.get(f"http://localhost:{api.port}/again", timeout=5).text == "OK"
    assert requests.put(BACKEND, timeout=5).status_code == 202
    assert requests_mock.call_count == 1
    assert api.paths == ["/2022-07-01/telemetry", "/again"]


def test_nested_mockers_and_a_catch_all_let_our_calls_pass(api: FakeApi) -> None:
    with requests_mock.Mocker() as outer, requests_mock.Mocker() as inner:
        inner.register_uri(requests_mock.ANY, requests_mock.ANY, status_code=418)
        assert requests.get(f"{api.url}/ours", timeout=5).text == "OK"
        assert requests.get(BACKEND, timeout=5).status_code == 418
    assert (outer.call_count, inner.call_count) == (0, 1)


def test_a_mocker_of_one_session_lets_our_calls_pass(api: FakeApi) -> None:
    with requests.Session() as session, requests_mock.Mocker(session=session) as mocker:
        assert session.get(f"{api.url}/ours", timeout=5).text == "OK"
        assert mocker.call_count == 0


def test_a_call_that_waits_for_its_answer_holds_up_no_other_thread(api: FakeApi) -> None:
    """requests-mock sends under a lock; the real call must not, or a long poll would stop the extension."""
    hook_reached, backend_done = threading.Event(), threading.Event()

    def wait(_response: requests.Response, **_: object) -> None:
        hook_reached.set()
        assert backend_done.wait(5)

    with requests_mock.Mocker() as mocker:
        mocker.get(BACKEND, status_code=202)
        poll = threading.Thread(
            target=requests.get, args=(f"{api.url}/next",), kwargs={"hooks": {"response": wait}, "timeout": 5}
        )
        poll.start()
        assert hook_reached.wait(5)
        assert requests.get(BACKEND, timeout=5).status_code == 202
        backend_done.set()
        poll.join()


def test_other_loopback_ports_are_still_refused(api: FakeApi) -> None:
    with requests_mock.Mocker() as mocker, pytest.raises(requests_mock.NoMockAddress):
        requests.get(f"http://127.0.0.1:{api.port - 1}/another", timeout=5)
    assert mocker.call_count == 1


def test_an_adapter_that_the_test_mounts_itself_stays_its_own(api: FakeApi) -> None:
    with requests.Session() as session:
        adapter = requests_mock.Adapter()
        adapter.register_uri("GET", f"{api.url}/ours", text="theirs")
        session.mount("http://", adapter)
        assert session.get(f"{api.url}/ours", timeout=5).text == "theirs"


def test_without_us_requests_mock_intercepts_and_is_untouched(unclaimed: FakeApi) -> None:
    assert vars(Adapter)["send"] is UNTOUCHED
    with requests_mock.Mocker(), pytest.raises(requests_mock.NoMockAddress):
        requests.get(f"{unclaimed.url}/ours", timeout=5)
    assert unclaimed.paths == []
