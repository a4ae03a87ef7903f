"""One test, every production behaviour: the robust forwarder comes through all of them."""

import sys
import threading
from pathlib import Path

import pytest

from pytest_lambda_telemetry import Backend, LambdaTelemetry

from .naive import NaiveForwarder

ROBUST = Path(__file__).with_name("robust.py")


@pytest.mark.lambda_telemetry_scenarios("all")
@pytest.mark.lambda_telemetry(extension_timeout_s=20)
def test_every_line_arrives_once(lambda_telemetry: LambdaTelemetry, lambda_telemetry_backend: Backend) -> None:
    lambda_telemetry.run_extension([sys.executable, ROBUST, lambda_telemetry_backend.url], name="robust.py")
    lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(3))
    lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(2))
    lambda_telemetry.shutdown()
    lambda_telemetry.assert_exactly_once()


@pytest.mark.lambda_telemetry_scenarios("plain")  # docs/scenarios.md shows what becomes of it under the others
def test_a_naive_one_works_on_a_quiet_day(lambda_telemetry: LambdaTelemetry, lambda_telemetry_backend: Backend) -> None:
    forwarder = NaiveForwarder(lambda_telemetry_backend.url, "naive.py")
    threading.Thread(target=forwarder.run, daemon=True).start()
    lambda_telemetry.wait_until_ready("naive.py")
    lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(3))
    lambda_telemetry.shutdown()
    lambda_telemetry.assert_exactly_once()
