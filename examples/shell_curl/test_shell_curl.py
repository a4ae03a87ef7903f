"""A shell script that subscribes somebody else's listener: the test stands in for the collector."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pytest_lambda_telemetry import ExtensionProcess, LambdaTelemetry, events

PROGRAM = Path(__file__).with_name("extension.sh")

pytestmark = [
    pytest.mark.skipif(shutil.which("sh") is None, reason="sh is not installed"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


@pytest.fixture
def collected() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def extension(
    lambda_telemetry: LambdaTelemetry, listen: Callable[..., str], collected: list[dict[str, Any]]
) -> ExtensionProcess:
    port = urlsplit(listen(collected.extend)).port
    process = lambda_telemetry.run_extension(["sh", PROGRAM], env={"COLLECTOR_PORT": str(port)})
    lambda_telemetry.wait_until_ready("extension.sh")
    return process


def test_collector_is_subscribed(
    lambda_telemetry: LambdaTelemetry, extension: ExtensionProcess, collected: list[dict[str, Any]]
) -> None:
    subscription = lambda_telemetry.assert_subscribed("extension.sh", destination={"path": "/lambda"})
    assert subscription.destination.host == "sandbox.localdomain"

    lambda_telemetry.emit(events.function("hello"))
    lambda_telemetry.advance(seconds=1)
    assert collected[-1]["record"] == "hello"


def test_it_ends_by_itself(lambda_telemetry: LambdaTelemetry, extension: ExtensionProcess) -> None:
    lambda_telemetry.invoke()
    lambda_telemetry.shutdown()
    assert extension.returncode == 0
