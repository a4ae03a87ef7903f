"""A shell script that subscribes somebody else's listener: a fake backend stands in for the collector."""

import shutil
from pathlib import Path

import pytest

from pytest_lambda_telemetry import Backend, ExtensionProcess, LambdaTelemetry

PROGRAM = Path(__file__).with_name("extension.sh")

pytestmark = [
    pytest.mark.skipif(shutil.which("sh") is None, reason="sh is not installed"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


@pytest.fixture
def extension(lambda_telemetry: LambdaTelemetry, lambda_telemetry_backend: Backend) -> ExtensionProcess:
    port = str(lambda_telemetry_backend.port)
    process = lambda_telemetry.run_extension(["sh", PROGRAM], env={"COLLECTOR_PORT": port})
    lambda_telemetry.wait_until_ready("extension.sh")
    return process


def test_collector_is_subscribed(lambda_telemetry: LambdaTelemetry, extension: ExtensionProcess) -> None:
    subscription = lambda_telemetry.assert_subscribed("extension.sh", destination={"path": "/lambda"})
    assert subscription.destination.host == "sandbox.localdomain"


def test_collector_gets_every_log_line(
    lambda_telemetry: LambdaTelemetry, lambda_telemetry_backend: Backend, extension: ExtensionProcess
) -> None:
    lambda_telemetry_backend.fail_next(503)
    lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(10))
    lambda_telemetry.shutdown()
    lambda_telemetry.assert_exactly_once()


def test_it_ends_by_itself(lambda_telemetry: LambdaTelemetry, extension: ExtensionProcess) -> None:
    lambda_telemetry.invoke()
    lambda_telemetry.shutdown()
    assert extension.returncode == 0
