"""Whatever goes wrong, every log line is at the backend once: one assertion, and it says where each lost line ended."""

import sys
from pathlib import Path

import pytest

from pytest_lambda_telemetry import Backend, BackendFault, DeliveryFault, LambdaTelemetry

PROGRAM = Path(__file__).with_name("extension.py")


@pytest.fixture(autouse=True)
def extension(lambda_telemetry: LambdaTelemetry, lambda_telemetry_backend: Backend) -> None:
    lambda_telemetry.run_extension([sys.executable, PROGRAM], env={"BACKEND_URL": lambda_telemetry_backend.url})
    lambda_telemetry.wait_until_ready("extension.py")


def test_up_to_the_last_line(lambda_telemetry: LambdaTelemetry) -> None:
    for _ in range(3):
        lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(10))
    lambda_telemetry.shutdown()
    lambda_telemetry.assert_exactly_once()


@pytest.mark.parametrize("fault", [503, "refuse", "reset", "truncate"])
def test_whatever_the_backend_does(
    lambda_telemetry: LambdaTelemetry, lambda_telemetry_backend: Backend, fault: BackendFault
) -> None:
    lambda_telemetry_backend.fail_next(fault, times=2)
    lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(10))
    lambda_telemetry.shutdown()
    lambda_telemetry.assert_exactly_once()


@pytest.mark.parametrize("fault", ["refuse", "lost-answer", "duplicate", "reset"])
def test_whatever_lambda_does(lambda_telemetry: LambdaTelemetry, fault: DeliveryFault) -> None:
    lambda_telemetry.fail_next_delivery(fault)
    lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(10))
    lambda_telemetry.shutdown()
    lambda_telemetry.assert_exactly_once()
