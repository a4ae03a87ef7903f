"""The fixture `lambda_telemetry_backend`: of its test alone, shown when it fails, and reached where sockets are not."""

import pytest

from tests.plugin.conftest import Run

SEND = """
import urllib.request
def send(backend, path="/", body=b"x"):
    return urllib.request.urlopen(backend.url + path, body, timeout=30).status
"""


def test_each_test_has_a_backend_of_its_own(run: Run) -> None:
    result = run(
        SEND
        + """
def test_a(lambda_telemetry_backend, lambda_telemetry, async_lambda_telemetry):
    lambda_telemetry_backend.respond(201)
    lambda_telemetry_backend.hold()
    assert lambda_telemetry_backend.url == lambda_telemetry.backend().url == async_lambda_telemetry.backend().url

def test_b(lambda_telemetry_backend):
    assert lambda_telemetry_backend.requests == ()
    assert send(lambda_telemetry_backend) == 200
    assert len(lambda_telemetry_backend.requests) == 1
"""
    )
    result.assert_outcomes(passed=2)


def test_a_failing_test_shows_what_its_backend_was_sent(run: Run) -> None:
    result = run(
        SEND
        + """
def test_a(lambda_telemetry, lambda_telemetry_backend):
    lambda_telemetry_backend.fail_next("slow", delay_ms=0)
    send(lambda_telemetry_backend, "/v1/logs", b"12345")
    lambda_telemetry.advance(seconds=1)
    lambda_telemetry_backend.wait_for(2, timeout=0)
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *WaitTimeout: waited 0 s for 2 requests at backend 'backend' (http://127.0.0.1:*); seen instead:",
            "E *  1 request to backend 'backend'",
            "E *    <BackendRequest POST /v1/logs -> 200>",
            "*- AWS Lambda telemetry -*",
            "+0.000s  backend  #1 POST /v1/logs (5 bytes)      waits for its answer (fail_next: slow)",
            "+0.000s  backend  #1 POST /v1/logs, after a wait  200",
        ]
    )


def test_a_factorys_backend_outlives_a_test(run: Run) -> None:
    result = run(
        SEND
        + """
@pytest.fixture(scope="module")
def environment(lambda_telemetry_factory):
    with lambda_telemetry_factory() as made:
        yield made

@pytest.mark.parametrize("number", [1, 2])
def test_a(environment, number):
    assert send(environment.backend()) == 200
    assert len(environment.backend().requests) == number
"""
    )
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize("option", ["--disable-socket", "--allow-hosts=127.0.0.2"])
def test_it_is_reached_where_sockets_are_forbidden(run: Run, option: str) -> None:
    pytest.importorskip("pytest_socket", reason="it is about pytest-socket")
    result = run(
        SEND
        + """
def test_a(lambda_telemetry_backend):
    assert send(lambda_telemetry_backend) == 200
    with pytest.raises(Exception, match="(?i)blocked|not allow|allowed"):
        urllib.request.urlopen("http://127.0.0.3:9/", timeout=30)
""",
        *("-p", "pytest_socket", option, "-W", "default"),
        subprocess=True,
    )
    result.assert_outcomes(passed=1)
