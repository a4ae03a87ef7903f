"""Over TCP Lambda gets no answer: `ok` means written, and the test waits until the extension has read it."""

from collections.abc import Iterator
from threading import Thread

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, events

from .extension import Server, main


@pytest.fixture
def server(lambda_telemetry: LambdaTelemetry) -> Iterator[Server]:
    server = Server()
    thread = Thread(target=main, args=[server])
    thread.start()
    lambda_telemetry.wait_until_ready("tcp")
    yield server
    thread.join()


def test_events_arrive_line_by_line(lambda_telemetry: LambdaTelemetry, server: Server) -> None:
    delivery = lambda_telemetry.push([events.function("one"), events.function("line\nbreak")])

    assert delivery.ok
    assert delivery.body.count(b"\n") == 2
    lambda_telemetry.wait_until(lambda: len(server.events) == 2)
    assert [event["record"] for event in server.events] == ["one", "line\nbreak"]
