"""clock="system": time is real, and a background thread delivers at real deadlines."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time

from pytest_lambda_telemetry import AsyncLambdaTelemetry, LambdaTelemetry, Retry, Settings, events
from pytest_lambda_telemetry.real import Real
from tests.support.helpers import Listener

START = datetime(2030, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)

pytestmark = pytest.mark.lambda_telemetry(clock="system", retry=Retry(initial_ms=1, max_ms=2))


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture
def subscribed(lambda_telemetry: LambdaTelemetry, listener: Listener) -> LambdaTelemetry:
    lambda_telemetry.subscribe(listener.uri, types=["function"], buffering={"timeoutMs": 25})
    return lambda_telemetry


def test_a_batch_arrives_by_itself_and_not_before_it_is_due(subscribed: LambdaTelemetry, listener: Listener) -> None:
    before = subscribed.elapsed
    subscribed.emit(events.function("one"))
    subscribed.wait_until(lambda: subscribed.deliveries)
    (delivery,) = subscribed.deliveries
    assert delivery.ok
    assert subscribed.elapsed - before >= 25 * MS
    assert [event["record"] for event in listener.batches[0]] == ["one"]


def test_now_is_the_real_time_and_passes(subscribed: LambdaTelemetry) -> None:
    assert abs(subscribed.now.timestamp() - Real.time()) < 60
    first = subscribed.elapsed
    subscribed.wait_until(lambda: subscribed.elapsed > first)


def test_advance_waits_and_delivers_on_the_way(subscribed: LambdaTelemetry) -> None:
    subscribed.emit(events.function("one"))
    before = subscribed.elapsed
    (delivery,) = subscribed.advance(ms=30)
    assert delivery.ok
    assert subscribed.elapsed - before >= 30 * MS


@pytest.mark.asyncio
async def test_advance_heeds_what_comes_meanwhile(
    async_lambda_telemetry: AsyncLambdaTelemetry, listener: Listener
) -> None:
    env = async_lambda_telemetry
    env.subscribe(listener.uri, types=["function"], buffering={"timeoutMs": 25})
    advancing = asyncio.create_task(env.advance(seconds=3600))
    await asyncio.sleep(0)
    assert await env.emit(events.function("meanwhile")) == ()
    await env.wait_until(lambda: listener.batches)
    advancing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await advancing
    assert (await env.emit(), env.deliveries[0].ok) == ((), True)


def test_a_failed_batch_comes_again_by_itself(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener(lambda number: 500 if number < 3 else 200) as listener:
        lambda_telemetry.subscribe(listener.uri, buffering={"timeoutMs": 25})
        lambda_telemetry.emit(events.function("one"))
        lambda_telemetry.wait_until(lambda: any(one.ok for one in lambda_telemetry.deliveries))
        assert len(lambda_telemetry.deliveries[0].attempts) == 3
        assert len(set(listener.bodies)) == 1


def test_a_full_batch_goes_at_once(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    lambda_telemetry.subscribe(listener.uri, types=["function"], buffering={"timeoutMs": 30_000})
    lambda_telemetry.emit(*[events.function("one")] * 1_000)
    lambda_telemetry.wait_until(lambda: lambda_telemetry.deliveries)
    assert len(listener.batches[0]) == 1_000


def test_while_the_environment_is_frozen_only_the_wall_moves(subscribed: LambdaTelemetry, listener: Listener) -> None:
    subscribed.freeze()
    elapsed, wall = subscribed.elapsed, subscribed.now
    subscribed.emit(events.function("one"))
    subscribed.advance(ms=30)
    assert (subscribed.elapsed, listener.batches) == (elapsed, [])
    assert subscribed.now - wall >= 30 * MS
    subscribed.thaw()
    subscribed.wait_until(lambda: subscribed.deliveries)


def test_it_follows_no_freeze(subscribed: LambdaTelemetry, listener: Listener) -> None:
    with freeze_time(START) as freezer:
        subscribed.emit(events.function("one"))
        freezer.tick(3600)
        subscribed.wait_until(lambda: subscribed.deliveries)
        assert subscribed.elapsed < timedelta(seconds=600)
        assert datetime.now(UTC) == START + timedelta(hours=1)
    assert not listener.batches[0][0]["time"].startswith("2030")


def test_a_start_shifts_the_wall_clock() -> None:
    with LambdaTelemetry(Settings(clock="system", start=START)) as environment:
        assert START <= environment.now < START + timedelta(minutes=10)


def test_an_invocation_takes_its_duration(subscribed: LambdaTelemetry) -> None:
    before = subscribed.elapsed
    invocation = subscribed.invoke(logs=["one"], duration_ms=10)
    assert invocation.outcome == "completed"
    assert subscribed.elapsed - before >= 10 * MS


def test_its_thread_ends_with_the_environment(listener: Listener) -> None:
    before = set(threading.enumerate())
    with LambdaTelemetry(Settings(clock="system")) as environment:
        environment.subscribe(listener.uri, buffering={"timeoutMs": 25})
        environment.emit(events.function("one"))
        assert {thread.name for thread in set(threading.enumerate()) - before} >= {"lambda-telemetry-clock"}
    assert not any(thread.name == "lambda-telemetry-clock" for thread in set(threading.enumerate()) - before)


@pytest.mark.asyncio
async def test_in_an_async_test_batches_arrive_while_the_test_awaits(
    async_lambda_telemetry: AsyncLambdaTelemetry, listener: Listener
) -> None:
    async_lambda_telemetry.subscribe(listener.uri, buffering={"timeoutMs": 25})
    await async_lambda_telemetry.emit(events.function("one"))
    await async_lambda_telemetry.wait_until(lambda: listener.batches)
    assert (await async_lambda_telemetry.invoke(logs=["two"])).deliveries
