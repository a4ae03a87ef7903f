"""One test, every production behaviour: the robust forwarder comes through all of them."""

import sys
from pathlib import Path

import pytest

from pytest_lambda_telemetry import Backend, LambdaTelemetry

ROBUST = Path(__file__).with_name("robust.py")


@pytest.mark.lambda_telemetry_scenarios("all")
@pytest.mark.lambda_telemetry(extension_timeout_s=20)
def test_every_line_arrives_once(lambda_telemetry: LambdaTelemetry, lambda_telemetry_backend: Backend) -> None:
    lambda_telemetry.run_extension([sys.executable, ROBUST, lambda_telemetry_backend.url], name="robust.py")
    lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(3))
    lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(2))
    lambda_telemetry.shutdown()
    lambda_telemetry.assert_exactly_once()
