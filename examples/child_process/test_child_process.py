"""The extension is started as Lambda starts it: a program with Lambda's variables, ended by SHUTDOWN."""

import sys
from pathlib import Path

import pytest

from pytest_lambda_telemetry import ExtensionProcess, LambdaTelemetry, events

PROGRAM = Path(__file__).with_name("extension.py")


@pytest.fixture
def extension(lambda_telemetry: LambdaTelemetry) -> ExtensionProcess:
    process = lambda_telemetry.run_extension([sys.executable, PROGRAM])
    lambda_telemetry.wait_until_ready("extension.py")
    return process


def test_log_lines_are_printed(lambda_telemetry: LambdaTelemetry, extension: ExtensionProcess) -> None:
    lambda_telemetry.emit(events.function("one"), events.function("two"))
    lambda_telemetry.advance(ms=999)
    assert extension.output == ""

    lambda_telemetry.advance(ms=1)
    assert extension.output.splitlines() == ["received: one", "received: two"]


def test_it_ends_by_itself(lambda_telemetry: LambdaTelemetry, extension: ExtensionProcess) -> None:
    lambda_telemetry.shutdown("spindown")
    assert extension.returncode == 0
    assert extension.output.splitlines() == ["shut down: spindown"]
