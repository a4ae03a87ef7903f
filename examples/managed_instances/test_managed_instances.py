"""Three invocations at once, interleaved by a seed: the same order in every run."""

from collections.abc import Callable

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, Script

from .extension import Invocations

REQUEST_ID = "00000000-0000-4000-8000-000000000001"

pytestmark = pytest.mark.lambda_telemetry(initialization_type="lambda-managed-instances", log_format="JSON")


@pytest.fixture
def invocations(lambda_telemetry: LambdaTelemetry, listen: Callable[..., str]) -> Invocations:
    invocations = Invocations()
    lambda_telemetry.register("matcher", events=["SHUTDOWN"])  # there is no INVOKE on Managed Instances
    lambda_telemetry.subscribe(listen(invocations.handle), name="matcher")
    return invocations


@pytest.mark.parametrize("seed", range(5))
def test_logs_are_matched_by_request_id(lambda_telemetry: LambdaTelemetry, invocations: Invocations, seed: int) -> None:
    one = Script.invocation(
        initialization_type="lambda-managed-instances",
        request_id=REQUEST_ID,
        logs=[{"requestId": REQUEST_ID, "message": "begin"}, {"requestId": REQUEST_ID, "message": "end"}],
        duration_ms=40,
    )
    start = Script.initialization(initialization_type="lambda-managed-instances", extensions=["matcher"])

    lambda_telemetry.play(start + one.concurrent(3, seed=seed))
    lambda_telemetry.flush()

    assert list(invocations.finished.values()) == [(["begin", "end"], 40)] * 3
