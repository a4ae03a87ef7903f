"""Time stands still until the test moves it: half a minute of buffering, and retries, in milliseconds and no sleep.

The test subscribes in the extension's place, so there is only a listener to write (`listen`, in ../conftest.py).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from freezegun import freeze_time

from pytest_lambda_telemetry import LambdaTelemetry, events

Listen = Callable[[Callable[[list[dict[str, Any]]], int | None]], str]


class Receiver:
    """Keeps what it gets; answers 503 for the next `failures_left` batches."""

    def __init__(self) -> None:
        self.failures_left = 0
        self.lines: list[str] = []

    def handle(self, batch: list[dict[str, Any]]) -> int:
        if self.failures_left:
            self.failures_left -= 1
            return 503
        self.lines += [event["record"] for event in batch]
        return 200


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def uri(receiver: Receiver, listen: Listen) -> str:
    return listen(receiver.handle)


def test_thirty_seconds_of_buffering(lambda_telemetry: LambdaTelemetry, receiver: Receiver, uri: str) -> None:
    lambda_telemetry.subscribe(uri, buffering={"timeoutMs": 30_000})
    lambda_telemetry.emit(events.function("early"))

    lambda_telemetry.advance(seconds=29, ms=999)
    assert receiver.lines == []

    lambda_telemetry.emit(events.function("late"))
    lambda_telemetry.advance(ms=1)  # the batch is due 30 s after its first event
    assert receiver.lines == ["early", "late"]


def test_full_batch_does_not_wait(lambda_telemetry: LambdaTelemetry, receiver: Receiver, uri: str) -> None:
    lambda_telemetry.subscribe(uri, buffering={"maxItems": 1_000})

    lambda_telemetry.emit(*[events.function(f"line {number}") for number in range(1_001)])
    assert len(receiver.lines) == 1_000

    lambda_telemetry.flush()
    assert len(receiver.lines) == 1_001


@pytest.mark.lambda_telemetry(start="2026-01-01T00:00:00Z")
def test_listener_that_is_down_for_two_attempts(
    lambda_telemetry: LambdaTelemetry, receiver: Receiver, uri: str
) -> None:
    lambda_telemetry.subscribe(uri, buffering={"timeoutMs": 1_000})
    receiver.failures_left = 2
    lambda_telemetry.emit(events.function("precious"))

    (delivery,) = lambda_telemetry.advance(seconds=2)

    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert [(attempt.at - start, attempt.status) for attempt in delivery.attempts] == [
        (timedelta(milliseconds=1_000), 503),
        (timedelta(milliseconds=1_100), 503),  # the setting: retry=Retry(initial_ms=100, factor=2.0)
        (timedelta(milliseconds=1_300), 200),
    ]
    assert receiver.lines == ["precious"]


def test_no_listener_for_two_attempts(lambda_telemetry: LambdaTelemetry, receiver: Receiver, uri: str) -> None:
    lambda_telemetry.subscribe(uri)
    lambda_telemetry.fail_next_delivery("refuse", times=2)
    lambda_telemetry.emit(events.function("precious"))

    (delivery,) = lambda_telemetry.advance(seconds=2)

    assert [attempt.status for attempt in delivery.attempts] == [None, None, 200]
    assert receiver.lines == ["precious"]


@freeze_time("2026-01-01")
def test_frozen_time_moves_along(lambda_telemetry: LambdaTelemetry, receiver: Receiver, uri: str) -> None:
    lambda_telemetry.subscribe(uri, buffering={"timeoutMs": 30_000})
    lambda_telemetry.emit(events.function("a line"))

    (delivery,) = lambda_telemetry.advance(seconds=30)

    assert datetime.now(UTC) == datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)  # the extension's own clock moved too
    assert delivery.events[0]["time"] == "2026-01-01T00:00:00.000Z"


def test_the_freezers_own_tick_delivers(lambda_telemetry: LambdaTelemetry, receiver: Receiver, uri: str) -> None:
    with freeze_time("2026-01-01") as frozen:
        lambda_telemetry.subscribe(uri, buffering={"timeoutMs": 30_000})
        lambda_telemetry.emit(events.function("a line"))

        frozen.tick(29.999)
        assert receiver.lines == []

        frozen.tick(0.001)
        assert receiver.lines == ["a line"]
