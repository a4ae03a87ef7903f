"""Under time-machine the environment's time is the travelled one; the same as under freezegun, as far as it applies."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from freezegun import freeze_time

from pytest_lambda_telemetry import AsyncLambdaTelemetry, LambdaTelemetry, MisuseError, Settings, events
from tests.support.helpers import EXTENSION, IDENTIFIER, Listener, call, register, running

START = datetime(2030, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)


class Watching(Listener):
    """A listener in this process that notes what `datetime.now()` says when a batch arrives."""

    def __init__(self) -> None:
        self.clock: list[datetime] = []
        super().__init__(self.look)

    def look(self, _number: int) -> int:
        self.clock.append(datetime.now(UTC))
        return 200


@pytest.fixture
def listener() -> Iterator[Watching]:
    with Watching() as listener:
        yield listener


@pytest.fixture
def subscribed(lambda_telemetry: LambdaTelemetry, listener: Watching) -> LambdaTelemetry:
    lambda_telemetry.subscribe(listener.uri, buffering={"timeoutMs": 100})
    return lambda_telemetry


def log(environment: LambdaTelemetry) -> None:
    assert environment.emit(events.function("hello")) == ()


@time_machine.travel(START, tick=False)
def test_a_decorated_test_is_followed_and_advance_takes_the_journey_along(
    subscribed: LambdaTelemetry, listener: Watching
) -> None:
    log(subscribed)
    assert subscribed.advance(ms=99) == ()
    (delivery,) = subscribed.advance(seconds=1)
    assert delivery.at == START + 100 * MS
    assert listener.clock == [START + 100 * MS]
    assert datetime.now(UTC) == subscribed.now == START + 1099 * MS
    assert listener.batches[0][0]["time"] == "2030-01-01T00:00:00.000Z"


def test_an_environment_made_inside_a_journey_starts_at_its_time() -> None:
    with time_machine.travel(START, tick=False), LambdaTelemetry() as environment:
        assert (environment.now, environment.elapsed) == (START, timedelta(0))


@pytest.mark.time_machine(START, tick=False)
def test_its_fixture_is_followed(
    subscribed: LambdaTelemetry, listener: Watching, time_machine: time_machine.TimeMachineFixture
) -> None:
    log(subscribed)
    time_machine.shift(0.1)
    assert listener.clock == [START + 100 * MS]


@pytest.mark.parametrize(
    "move",
    [
        lambda traveller: traveller.shift(1),
        lambda traveller: traveller.shift(timedelta(seconds=1)),
        lambda traveller: traveller.move_to(START + timedelta(seconds=1)),
    ],
)
@pytest.mark.parametrize("tick", [False, True])
def test_the_users_own_move_delivers_what_became_due_before_it_returns(
    move: Callable[[Any], object], tick: bool, subscribed: LambdaTelemetry, listener: Watching
) -> None:
    log(subscribed)
    with time_machine.travel(START, tick=tick) as traveller:
        move(traveller)
        assert len(listener.batches) == 1
        assert START + 100 * MS <= subscribed.deliveries[0].at < START + 900 * MS
        assert timedelta(seconds=1) <= subscribed.elapsed < timedelta(seconds=6)


def test_jumps_back_entering_and_leaving_remap_the_stamps_and_fire_nothing(
    subscribed: LambdaTelemetry, listener: Watching
) -> None:
    real = subscribed.now
    log(subscribed)
    with time_machine.travel(START, tick=False) as traveller:
        assert subscribed.now == START
        subscribed.advance(ms=50)
        traveller.move_to(START - timedelta(days=1))
        assert subscribed.now == START - timedelta(days=1)
        with time_machine.travel(START + timedelta(days=1), tick=False) as inner:
            traveller.shift(50)
            assert subscribed.now == START + timedelta(days=1)
            inner.shift(0.049)
        assert subscribed.now == START - timedelta(days=1) + timedelta(seconds=50)
    assert (listener.batches, subscribed.elapsed) == ([], 99 * MS)
    assert subscribed.now - real == subscribed.elapsed
    assert len(subscribed.advance(ms=1)) == 1


def test_a_ticking_journey_passes_by_itself_and_elapsed_time_never_shrinks(subscribed: LambdaTelemetry) -> None:
    with time_machine.travel(START, tick=True) as traveller:
        log(subscribed)
        time.time()
        traveller._real_start_timestamp_ns -= 10 * 1_000_000_000  # as if ten real seconds had passed
        before = subscribed.elapsed
        assert before >= timedelta(seconds=10)
        traveller.move_to(START)
        assert subscribed.elapsed >= before
        assert len(subscribed.deliveries) == 1


def test_a_move_from_a_second_thread_is_refused_and_moves_nothing(subscribed: LambdaTelemetry) -> None:
    refused: list[MisuseError] = []

    def move() -> None:
        with pytest.raises(MisuseError) as caught:
            traveller.shift(1)
        refused.append(caught.value)

    with time_machine.travel(START, tick=False) as traveller:
        with running(move):
            pass
        assert datetime.now(UTC) == subscribed.now == START
    assert len(refused) == 1


def test_a_virtual_clock_neither_follows_nor_shifts() -> None:
    start = datetime(2020, 2, 2, tzinfo=UTC)
    with time_machine.travel(START, tick=False) as traveller:
        with LambdaTelemetry(Settings(clock="virtual", start=start)) as environment:
            traveller.shift(3600)
            assert (environment.now, environment.elapsed) == (start, timedelta(0))
            environment.advance(seconds=1)
            assert datetime.now(UTC) == START + timedelta(hours=1)


def test_a_freeze_inside_a_journey_is_what_counts(subscribed: LambdaTelemetry) -> None:
    with time_machine.travel(START + timedelta(days=1), tick=False), freeze_time(START):
        assert subscribed.now == START


def test_polls_work_and_deadlines_are_in_the_time_that_the_extension_sees() -> None:
    heard: list[Any] = []
    with time_machine.travel(START, tick=False), LambdaTelemetry() as environment:
        identifier = register(api=environment.runtime_api)
        path, headers, address = f"{EXTENSION}/event/next", {IDENTIFIER: identifier}, environment.runtime_api
        with running(lambda: heard.append(call("GET", path, headers=headers, api=address))):
            environment.wait_until_ready()
            environment.shutdown()
    assert heard[0].body["deadlineMs"] == int(START.timestamp() * 1000) + 2000


@pytest.mark.lambda_telemetry(clock="time-machine", start="2031-05-06T07:08:09Z")
def test_by_name_the_process_stands_still_at_the_start(lambda_telemetry: LambdaTelemetry, listener: Watching) -> None:
    start = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert datetime.now(UTC) == lambda_telemetry.now == start
    lambda_telemetry.subscribe(listener.uri, buffering={"timeoutMs": 100})
    log(lambda_telemetry)
    lambda_telemetry.advance(ms=100)
    assert listener.clock == [start + 100 * MS]


@pytest.mark.asyncio
@pytest.mark.lambda_telemetry(clock="time-machine", start=START)
async def test_by_name_asyncio_still_works(async_lambda_telemetry: AsyncLambdaTelemetry, listener: Watching) -> None:
    await asyncio.wait_for(asyncio.sleep(0.001), 5)
    async_lambda_telemetry.subscribe(listener.uri, buffering={"timeoutMs": 100})
    await async_lambda_telemetry.emit(events.function("hello"))
    await async_lambda_telemetry.advance(ms=100)
    assert listener.clock == [START + 100 * MS]


@pytest.mark.asyncio
async def test_a_journey_inside_a_loop_only_moves_time(
    async_lambda_telemetry: AsyncLambdaTelemetry, listener: Watching
) -> None:
    async_lambda_telemetry.subscribe(listener.uri, buffering={"timeoutMs": 100})
    with time_machine.travel(START, tick=False) as traveller:
        await async_lambda_telemetry.emit(events.function("hello"))
        traveller.shift(1)
        assert (async_lambda_telemetry.elapsed, listener.batches) == (timedelta(seconds=1), [])
    (delivery,) = await async_lambda_telemetry.advance(ms=0)
    assert delivery.ok


def test_by_name_it_says_how_to_get_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "time_machine", None)
    with pytest.raises(MisuseError, match="pip install"):
        with LambdaTelemetry(Settings(clock="time-machine")):
            pytest.fail("started")
