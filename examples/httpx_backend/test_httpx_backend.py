"""respx mocks the backend; calls to Lambda's API reach the fake without a line about it.

What the route was sent is what `assert_exactly_once` judges by.
"""

import json
from collections.abc import Iterator
from threading import Thread

import pytest
import respx
from httpx import Response

from pytest_lambda_telemetry import LambdaTelemetry, events

from .extension import BACKEND, main


@pytest.fixture
def extension(lambda_telemetry: LambdaTelemetry, respx_mock: respx.MockRouter) -> Iterator[None]:
    thread = Thread(target=main)
    thread.start()
    lambda_telemetry.wait_until_ready("httpx-forwarder")
    yield
    thread.join()


@pytest.mark.usefixtures("extension")
def test_batch_is_forwarded(lambda_telemetry: LambdaTelemetry, respx_mock: respx.MockRouter) -> None:
    backend = respx_mock.post(BACKEND).respond(200)
    lambda_telemetry.emit(events.function("hello"))

    lambda_telemetry.advance(seconds=1)

    forwarded = json.loads(backend.calls.last.request.content)
    assert forwarded["source"] == "httpx-forwarder"
    assert [event["record"] for event in forwarded["events"]] == ["hello"]
    assert respx_mock.calls.call_count == 1  # the calls to Lambda's API are not among them


@pytest.mark.usefixtures("extension")
def test_batch_that_the_backend_refuses_comes_again(
    lambda_telemetry: LambdaTelemetry, respx_mock: respx.MockRouter
) -> None:
    backend = respx_mock.post(BACKEND).mock(side_effect=[Response(503), Response(202)])
    lambda_telemetry.emit(events.function("precious"))

    (delivery,) = lambda_telemetry.advance(seconds=2)

    assert [attempt.status for attempt in delivery.attempts] == [503, 202]
    lambda_telemetry.assert_exactly_once(seen=backend.calls)
