"""Scripts play whole lifecycles; here the test subscribes in the extension's place."""

from collections.abc import Callable

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, Script

from .extension import ColdStarts


@pytest.fixture
def cold_starts(lambda_telemetry: LambdaTelemetry, listen: Callable[..., str]) -> ColdStarts:
    cold_starts = ColdStarts()
    lambda_telemetry.subscribe(listen(cold_starts.handle), types=["platform"])
    return cold_starts


def test_one_cold_start_and_two_warm_invocations(lambda_telemetry: LambdaTelemetry, cold_starts: ColdStarts) -> None:
    lambda_telemetry.play(Script.cold_start(init_duration_ms=250) + Script.invocation() * 2)
    lambda_telemetry.shutdown()
    assert (cold_starts.count, cold_starts.waited_ms) == (1, 250)


def test_nobody_waits_for_provisioned_concurrency(lambda_telemetry: LambdaTelemetry, cold_starts: ColdStarts) -> None:
    lambda_telemetry.play(Script.cold_start(initialization_type="provisioned-concurrency"))
    lambda_telemetry.shutdown()
    assert cold_starts.count == 0


def test_an_initialization_that_is_repeated_is_one_cold_start(
    lambda_telemetry: LambdaTelemetry, cold_starts: ColdStarts
) -> None:
    lambda_telemetry.play(Script.suppressed_init(init_duration_ms=250))
    lambda_telemetry.shutdown()
    assert (cold_starts.count, cold_starts.waited_ms) == (1, 500)
