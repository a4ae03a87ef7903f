"""The same function under both log formats, seen through an old and a new schema version side by side."""

from collections.abc import Callable

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, events

from .extension import Levels

FAILED = events.function_log("no such table", "ERROR")  # what Python's logging writes under the JSON log format


@pytest.fixture
def levels(lambda_telemetry: LambdaTelemetry, listen: Callable[..., str]) -> Levels:
    levels = Levels()
    lambda_telemetry.subscribe(listen(levels.handle), types=["function"], schema_version="2022-12-13")
    return levels


@pytest.mark.lambda_telemetry(log_format="Text")
def test_text(lambda_telemetry: LambdaTelemetry, levels: Levels) -> None:
    lambda_telemetry.emit(events.function("a line"))
    (delivery,) = lambda_telemetry.flush()
    assert delivery.events[0]["record"] == "a line"
    assert levels.seen == [("INFO", "a line")]


@pytest.mark.lambda_telemetry(log_format="JSON")
def test_json(lambda_telemetry: LambdaTelemetry, levels: Levels) -> None:
    lambda_telemetry.emit(events.function("a line"), events.function('{"message": "an object"}'), FAILED)
    (delivery,) = lambda_telemetry.flush()
    plain, parsed, failed = (event["record"] for event in delivery.events)
    assert plain == "a line"  # Lambda wraps nothing
    assert parsed == {"message": "an object"}
    assert set(failed) == {"timestamp", "level", "message"}
    assert levels.seen == [("INFO", "a line"), ("INFO", "an object"), ("ERROR", "no such table")]


@pytest.mark.lambda_telemetry(log_format="JSON")
def test_old_and_new_schema_side_by_side(
    lambda_telemetry: LambdaTelemetry, levels: Levels, listen: Callable[..., str]
) -> None:
    old = Levels()
    lambda_telemetry.subscribe(listen(old.handle), types=["function"], schema_version="2022-07-01", name="old")

    lambda_telemetry.emit(FAILED)
    for_the_new, for_the_old = lambda_telemetry.flush()

    assert for_the_new.events[0]["record"]["message"] == "no such table"
    assert isinstance(for_the_old.events[0]["record"], str)
    assert levels.seen == old.seen == [("ERROR", "no such table")]
