"""Messages name what helps in the case at hand, and nothing that does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, MisuseError, ProtocolViolation, Retry, Settings, events
from pytest_lambda_telemetry.protocol.fields import overhead_spans, runtime_spans
from tests.support.helpers import EXTENSION, Listener, call, register, subscribe, subscribe_body
from tests.support.programs import program

STILL_BUFFERED = "Telemetry for it is still buffered"


def violation(environment: LambdaTelemetry) -> str:
    with pytest.raises(ProtocolViolation) as caught:
        environment.check()
    return str(caught.value)


@pytest.mark.lambda_telemetry(timeout_s=0.3, extension_timeout_s=0.1, retry=Retry(initial_ms=10_000))
@pytest.mark.parametrize("tried", [True, False])
def test_a_larger_overhead_is_advised_where_nothing_was_tried(lambda_telemetry: LambdaTelemetry, tried: bool) -> None:
    with Listener(lambda _number: 500) as listener:
        timeout_ms = 100 if tried else 30_000
        subscribe(register(), subscribe_body(listener.port, buffering={"timeoutMs": timeout_ms}))
        lambda_telemetry.invoke()
        text = violation(lambda_telemetry)
        lambda_telemetry.close()
    assert "did not ask for its next event" in text
    assert (STILL_BUFFERED in text) is not tried


def test_a_child_that_is_still_starting_may_be_waited_for(tmp_path: Path) -> None:
    def end_at_once() -> None:
        with LambdaTelemetry() as environment:
            environment.run_extension(program(tmp_path, "for_ever()"))

    with pytest.raises(ProtocolViolation) as caught:
        end_at_once()
    assert str(caught.value).endswith("Lambda-Extension-Name; or let the test wait for it: wait_until_ready().")


def test_one_that_registers_too_late_may_be_waited_for(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.invoke()
    call("POST", f"{EXTENSION}/register", {"events": []}, {"Lambda-Extension-Name": "ext"})
    assert "in a test, wait_for_extension() lets the first invocation wait for one" in violation(lambda_telemetry)


def test_a_call_to_a_wrong_path_is_seen_instead_of_the_refusal(lambda_telemetry: LambdaTelemetry) -> None:
    expecting = lambda_telemetry.expect_rejection(timeout=60)
    expecting.__enter__()
    call("PUT", "/2022-07-01/telemetri", {})
    with pytest.raises(ProtocolViolation) as caught:
        expecting.__exit__(None, None, None)
    assert str(caught.value).startswith("expected a refused Subscribe within 60 s, but there was none; seen instead:")
    assert "PUT /2022-07-01/telemetri from an extension was answered 404 NotFound" in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "sandbox.localdomain"])
def test_who_never_listened_is_told_the_host_of_the_destination(host: str) -> None:
    settings = Settings(allow_loopback_destination=True, extension_timeout_s=0.1)

    def nobody_listens() -> None:
        with LambdaTelemetry(settings) as environment:
            environment.subscribe(f"http://{host}:9")
            environment.emit(events.function("x"))
            environment.flush()

    with pytest.raises(ProtocolViolation) as caught:
        nobody_listens()
    assert f"(at {host} or at every address)" in str(caught.value)


def test_one_event_is_one_event(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        lambda_telemetry.emit(events.function("x"))
        lambda_telemetry.subscribe(listener.uri)
        assert [entry.what for entry in lambda_telemetry.journal if "replay" in entry.what] == [
            "replay of 1 early event"
        ]


@pytest.mark.parametrize("spans", [runtime_spans, overhead_spans])
def test_a_duration_that_is_none_is_a_misuse(spans: Callable[[Any], object]) -> None:
    for value in (None, "1"):
        with pytest.raises(MisuseError, match="_ms="):
            spans(value)
