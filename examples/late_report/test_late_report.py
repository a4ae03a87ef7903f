"""Invocations run as on Lambda: the environment freezes after each, and the report comes one invocation late."""

from collections.abc import Callable

import pytest

from pytest_lambda_telemetry import LambdaTelemetry

from .extension import Summaries

FIRST, SECOND = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


@pytest.fixture
def summaries(lambda_telemetry: LambdaTelemetry, listen: Callable[..., str]) -> Summaries:
    summaries = Summaries()
    lambda_telemetry.subscribe(listen(summaries.handle), types=["platform", "function"])
    return summaries


def test_report_comes_one_invocation_late(lambda_telemetry: LambdaTelemetry, summaries: Summaries) -> None:
    lambda_telemetry.invoke(request_id=FIRST, logs=["hello"], max_memory_used_mb=70)
    assert summaries.waiting == {FIRST: ["hello"]}
    assert summaries.finished == []

    lambda_telemetry.invoke(request_id=SECOND, logs=["again"], max_memory_used_mb=71)
    assert summaries.finished == [f"{FIRST}: hello (70 MB)"]


def test_last_report_comes_at_shutdown(lambda_telemetry: LambdaTelemetry, summaries: Summaries) -> None:
    lambda_telemetry.invoke(request_id=FIRST, logs=["hello"], max_memory_used_mb=70)
    lambda_telemetry.shutdown()
    assert summaries.finished == [f"{FIRST}: hello (70 MB)"]
    assert summaries.waiting == {}
