"""The listener lives on the test's own event loop: the async fixture's calls are awaited and never block it."""

import asyncio

import pytest

from pytest_lambda_telemetry import AsyncLambdaTelemetry, events

from .extension import Extension

pytestmark = pytest.mark.asyncio


async def test_batch_comes_after_100_ms(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    extension = Extension()
    running = asyncio.create_task(extension.run())
    await async_lambda_telemetry.wait_until_ready("asyncio")
    await async_lambda_telemetry.emit(events.function("hello"))

    await async_lambda_telemetry.advance(ms=99)
    assert extension.lines == []

    await async_lambda_telemetry.advance(ms=1)
    assert extension.lines == ["hello"]

    await async_lambda_telemetry.shutdown()
    await running  # it ends by itself


async def test_work_during_an_invocation(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    extension = Extension()
    running = asyncio.create_task(extension.run())
    await async_lambda_telemetry.wait_until_ready("asyncio")

    async with async_lambda_telemetry.invocation(duration_ms=250) as invocation:
        invocation.log("from the function")
        await async_lambda_telemetry.advance(ms=100)
        assert extension.lines == ["from the function"]

    assert invocation.outcome == "completed"
    await async_lambda_telemetry.shutdown()
    await running
