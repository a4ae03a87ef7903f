"""The same events reach a Logs API subscriber under their older names: `platform.end`, no init events."""

from collections.abc import Iterator
from threading import Thread

import pytest

from pytest_lambda_telemetry import LambdaTelemetry

from .extension import Server, main


@pytest.fixture
def server(lambda_telemetry: LambdaTelemetry) -> Iterator[Server]:
    server = Server()
    thread = Thread(target=main, args=[server])
    thread.start()
    lambda_telemetry.wait_until_ready("old-timer")
    yield server
    thread.join()


def test_end_of_an_invocation(lambda_telemetry: LambdaTelemetry, server: Server) -> None:
    lambda_telemetry.assert_subscribed("old-timer", schema_version="2021-03-18")

    invocation = lambda_telemetry.invoke(logs=["hello"])

    assert server.ended == [invocation.request_id]
    types = [name for delivery in lambda_telemetry.deliveries for name in delivery.types]
    assert types == [
        "platform.logsSubscription",
        "platform.extension",
        "platform.start",
        "function",
        "platform.runtimeDone",
        "platform.end",
    ]
