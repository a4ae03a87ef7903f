"""The extension runs in a thread of the test: its code can be stepped through, and its state looked at."""

from collections.abc import Iterator
from threading import Thread
from types import ModuleType

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, events


@pytest.fixture
def extension(lambda_telemetry: LambdaTelemetry) -> Iterator[ModuleType]:
    from . import extension  # imported while the fake is there: the module reads AWS_LAMBDA_RUNTIME_API at import

    extension.lines.clear()
    thread = Thread(target=extension.main)
    thread.start()
    lambda_telemetry.wait_until_ready()
    yield extension
    thread.join()  # when a test ends, Lambda says SHUTDOWN before this runs


def test_subscription(lambda_telemetry: LambdaTelemetry, extension: ModuleType) -> None:
    subscription = lambda_telemetry.assert_subscribed(
        "extension.py",
        schema_version="2022-12-13",
        types=["platform", "function"],
        buffering={"timeout_ms": 100, "max_bytes": 262_144, "max_items": 1_000},
    )
    assert subscription.body["destination"]["URI"].startswith("http://sandbox.localdomain:")


def test_batch_comes_after_100_ms(lambda_telemetry: LambdaTelemetry, extension: ModuleType) -> None:
    lambda_telemetry.emit(events.function("hello"))

    lambda_telemetry.advance(ms=99)
    lambda_telemetry.assert_nothing_delivered()

    lambda_telemetry.advance(ms=1)
    lambda_telemetry.assert_delivered(["platform.initStart", "platform.telemetrySubscription", "function"])
    assert extension.lines == ["hello"]
