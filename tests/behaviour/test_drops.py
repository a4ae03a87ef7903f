"""Telemetry that was dropped: a violation where the listener has failed, none where the test has seen to it."""

import pytest

from pytest_lambda_telemetry import BufferingOptions, DeliveryFault, LambdaTelemetry, ProtocolViolation, events
from tests.support.helpers import Listener

TOO_MANY = [events.function("x")] * 2001
TWO_FIT: BufferingOptions = {"maxItems": 1000, "timeoutMs": 100}


def told(environment: LambdaTelemetry) -> str:
    with pytest.raises(ProtocolViolation) as caught:
        environment.check()
    return str(caught.value)


def overflow(environment: LambdaTelemetry) -> None:
    environment.emit(events.function("first"))
    environment.advance(ms=100)
    environment.emit(*TOO_MANY)


@pytest.mark.parametrize("count", [1, 1001])
def test_what_was_dropped_because_the_listener_failed_is_told_once(
    lambda_telemetry: LambdaTelemetry, count: int
) -> None:
    with Listener(lambda number: 503 if number == 1 else 200) as listener:
        lambda_telemetry.subscribe(listener.uri, buffering=TWO_FIT, name="ext")
        lambda_telemetry.emit(events.function("first"))
        lambda_telemetry.advance(ms=100)
        lambda_telemetry.emit(*TOO_MANY[: 1000 + count])
        lambda_telemetry.advance(seconds=60)
        assert told(lambda_telemetry) == (
            f"{'1 event was' if count == 1 else '1,001 events were'} dropped for extension 'ext': its listener"
            f" ({listener.uri}) answered 503, and behind the batch that waited to be sent again there was no room for"
            " more.\n"
            "  On Lambda they are lost, and platform.logsDropped takes their place. Answer 200 as soon as a batch has"
            " arrived, and work on it afterwards; fail_next_delivery() makes a delivery fail that is meant to."
        )
        lambda_telemetry.check()


@pytest.mark.parametrize("fault", [503, "refuse", "lost-answer"])
def test_what_was_dropped_because_of_an_injected_fault_is_not(
    lambda_telemetry: LambdaTelemetry, fault: DeliveryFault
) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri, buffering=TWO_FIT)
        lambda_telemetry.fail_next_delivery(fault)
        overflow(lambda_telemetry)
        lambda_telemetry.advance(seconds=60)
        assert lambda_telemetry.records("platform.logsDropped")[0]["droppedRecords"] == 1001
        lambda_telemetry.check()


def test_what_finds_no_room_while_the_environment_is_frozen_is_not(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri, buffering=TWO_FIT)
        lambda_telemetry.freeze()
        lambda_telemetry.emit(*TOO_MANY * 6)
        lambda_telemetry.thaw()
        lambda_telemetry.advance(seconds=60)
        assert lambda_telemetry.records("platform.logsDropped")
        lambda_telemetry.check()
