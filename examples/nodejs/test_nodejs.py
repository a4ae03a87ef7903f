"""An extension in JavaScript, as a child process; `sandbox.localdomain` resolves in it."""

import shutil
from pathlib import Path

import pytest

from pytest_lambda_telemetry import Backend, ExtensionProcess, LambdaTelemetry, events

NODE = shutil.which("node")
PROGRAM = Path(__file__).with_name("extension.mjs")
FORWARDER = Path(__file__).with_name("forwarder.mjs")

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


@pytest.fixture
def extension(lambda_telemetry: LambdaTelemetry, lambda_telemetry_backend: Backend) -> ExtensionProcess:
    assert NODE
    process = lambda_telemetry.run_extension([NODE, PROGRAM], env={"BACKEND_URL": lambda_telemetry_backend.url})
    lambda_telemetry.wait_until_ready("extension.mjs", timeout=30)  # Node.js may take its time to start
    return process


def test_subscription(lambda_telemetry: LambdaTelemetry, extension: ExtensionProcess) -> None:
    lambda_telemetry.assert_subscribed("extension.mjs", types=["function"], buffering={"timeout_ms": 100})


def test_log_lines_are_printed(lambda_telemetry: LambdaTelemetry, extension: ExtensionProcess) -> None:
    lambda_telemetry.emit(events.function("hello"))
    lambda_telemetry.advance(ms=100)
    lambda_telemetry.wait_until(lambda: "received: hello" in extension.output)


def test_every_log_line_reaches_the_backend(
    lambda_telemetry: LambdaTelemetry, lambda_telemetry_backend: Backend, extension: ExtensionProcess
) -> None:
    lambda_telemetry_backend.fail_next(503)
    lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(10))
    lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(10))
    lambda_telemetry.shutdown()
    lambda_telemetry.assert_exactly_once()


def test_it_ends_by_itself(lambda_telemetry: LambdaTelemetry, extension: ExtensionProcess) -> None:
    lambda_telemetry.shutdown()
    assert extension.returncode == 0


@pytest.mark.lambda_telemetry_scenarios("all")
@pytest.mark.lambda_telemetry(extension_timeout_s=30)
def test_a_forwarder_survives_production(lambda_telemetry: LambdaTelemetry, lambda_telemetry_backend: Backend) -> None:
    assert NODE
    lambda_telemetry.run_extension([NODE, FORWARDER, lambda_telemetry_backend.url])
    lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(3))
    lambda_telemetry.invoke(logs=lambda_telemetry.log_lines(2))
    lambda_telemetry.shutdown()
    lambda_telemetry.assert_exactly_once()
